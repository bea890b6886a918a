/**
 * A shard's thread: opens the shard, then feeds the actor.
 *
 *   replay ─► "replayed" to main ─► "boot" from main (one shard takes the epoch of this start) ─► "serve" ─► turns
 *
 * A turn begins when a message arrives on any port, or, if the last turn has left some, after all events that wait by
 * then; all messages that have arrived on any port are in the mailbox by then. While the journal's fdatasync blocks this
 * thread (with one shard the journal runs here), messages gather, and the next turn commits them as one group.
 */
import { setImmediate as yieldTurn } from 'node:timers/promises';
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { ThreadCheckpointWriter } from '../storage/checkpoint/checkpoint-link.ts';
import { ThreadJournal } from '../journal/journal-link.ts';
import { spaceCode } from '../journal/journal-wire.ts';
import { FileJournalSource } from '../journal/file/file-journal-source.ts';
import { JournalWriter } from '../journal/file/journal-writer.ts';
import { LocalJournal } from '../journal/local-journal.ts';
import type { JournalSettings } from '../journal/file/journal-options.ts';
import type { JournalStats } from '../protocol/stats.ts';
import type { RecoveredJournal } from '../journal/file/recovery.ts';
import { shardId } from '../protocol/ids.ts';
import type { Journal } from '../protocol/journal.ts';
import { SharedRevisions } from '../protocol/wire/revisions.ts';
import { ReplyCredit } from '../protocol/wire/reply-credit.ts';
import { decodeToShard, encodeFromShard, messageLength, type ToShardWire } from '../protocol/wire/shard-wire.ts';
import { assert, unreachable } from '../shared/assert.ts';
import { systemClock, threadMicros } from '../shared/clock.ts';
import { realDisk } from '../shared/disk.ts';
import { diskWithReserve } from '../shared/reserved-disk.ts';
import { postLog } from '../shared/thread-log.ts';
import type { Limits } from '../shared/limits.ts';
import { newShardState, type Boot } from './core/state/state.ts';
import { commitBoot, openShard } from './open-shard.ts';
import { ShardActor } from './shard-actor.ts';
import { afterJournal, ShardCheckpoints } from './checkpoint-schedule.ts';
import { Quotas, type OwnQuotas, type QuotaLimits } from '../protocol/quotas.ts';
import { AccountUsages } from '../storage/account-usage.ts';
import { SharedUsage } from '../storage/shared-usage.ts';
import { LmdbStore } from '../storage/lmdb/lmdb-store.ts';

export interface ShardThreadData {
  readonly shard: number;
  readonly shards: number;
  readonly limits: Limits;
  readonly ownQuotas: OwnQuotas;
  /** See `SharedUsage`; undefined: there are no other shards. */
  readonly usage: SharedArrayBuffer | undefined;
  /** See `recordBytesMax` in shared/limits.ts. */
  readonly recordBytesMax: number;
  readonly dataDirectory: string;
  readonly journalDirectory: string;
  readonly recovered: RecoveredJournal;
  readonly revisions: SharedArrayBuffer;
  /** See `systemClock`. */
  readonly clock: SharedArrayBuffer;
  /** One for each front end. */
  readonly routerPorts: readonly MessagePort[];
  /** For all front ends and shards, see `ReplyCredit`. */
  readonly credit: SharedArrayBuffer;
  readonly checkpointPort: MessagePort;
  /** One Int32: see `spaceCode`. */
  readonly space: SharedArrayBuffer;
  readonly journal:
    | { readonly kind: 'local'; readonly settings: JournalSettings }
    | { readonly kind: 'thread'; readonly port: MessagePort };
}

export type ShardFromMain =
  | { readonly kind: 'boot' }
  | { readonly kind: 'serve'; readonly boot: Boot }
  /** To the shard that counts epochs. */
  | { readonly kind: 'take-epoch'; readonly id: number }
  /** To the shard that has asked for one. */
  | { readonly kind: 'epoch'; readonly epoch: number }
  /** A reload has changed them. */
  | { readonly kind: 'quotas'; readonly limits: QuotaLimits; readonly own: OwnQuotas }
  | { readonly kind: 'journal-stats'; readonly id: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'stop' };

export type ShardToMain =
  | { readonly kind: 'replayed'; readonly records: number }
  | { readonly kind: 'booted'; readonly boot: Boot }
  | { readonly kind: 'serving' }
  | { readonly kind: 'pong'; readonly id: number }
  | { readonly kind: 'ask-for-epoch' }
  | { readonly kind: 'epoch-taken'; readonly id: number; readonly epoch: number }
  | { readonly kind: 'journal-stats'; readonly id: number; readonly stats: JournalStats }
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly details?: object;
    };

const data = workerData as ShardThreadData;
assert(parentPort !== null, 'a shard runs in a worker');
const main = parentPort;
const shard = shardId(data.shard);
const clock = systemClock(data.clock);
const revisions = new SharedRevisions(data.revisions);
const space = new Int32Array(data.space);

const writer =
  data.journal.kind === 'local'
    ? new JournalWriter(diskWithReserve(data.journalDirectory), data.journalDirectory, {
        recovered: data.recovered,
        revisions,
        ...data.journal.settings,
        clock,
        onSpace: (next) => Atomics.store(space, 0, spaceCode(next)),
        log: (level, message, details) =>
          postLog(main, { kind: 'log', level, message, ...(details && { details }) } satisfies ShardToMain),
      })
    : undefined;
const local = writer === undefined ? undefined : new LocalJournal(writer);
const journal: Journal = data.journal.kind === 'thread' ? new ThreadJournal(data.journal.port, data.space) : local!;

const lmdb = new LmdbStore(data.dataDirectory);
const checkpointWriter = new ThreadCheckpointWriter(data.checkpointPort);
const { store, checkpointer, owns, replayed } = await openShard({
  shard,
  shards: data.shards,
  limits: data.limits,
  usages: new AccountUsages(
    new Quotas(data.limits, data.ownQuotas),
    data.usage && new SharedUsage(data.usage, data.shard, data.shards),
  ),
  checkpoint: lmdb.shard(shard),
  writer: afterJournal(checkpointWriter, journal, revisions),
  source: new FileJournalSource(realDisk, data.journalDirectory),
  last: data.recovered.last,
  yieldTurn,
  log: (level, message, details) => postLog(main, { kind: 'log', level, message, details } satisfies ShardToMain),
});

main.on('message', (message: ShardFromMain) => {
  switch (message.kind) {
    case 'boot':
      return void commitBoot(store, journal, revisions, clock.now()).then((boot) => toMain({ kind: 'booted', boot }));
    case 'serve':
      return serve(message.boot);
    case 'take-epoch':
      return serving!.epochs.take((epoch) => toMain({ kind: 'epoch-taken', id: message.id, epoch }));
    case 'epoch':
      return serving!.epochs.add(message.epoch);
    case 'quotas':
      return store.replaceQuotas(message.limits, message.own);
    case 'journal-stats':
      return toMain({ kind: 'journal-stats', id: message.id, stats: writer!.stats() });
    case 'ping':
      return toMain({ kind: 'pong', id: message.id });
    case 'stop':
      return void stop();
    default:
      return unreachable(message);
  }
});
toMain({ kind: 'replayed', records: replayed });

let timer: NodeJS.Timeout | undefined;
let immediate: NodeJS.Immediate | undefined;
/** From `serve` on. */
let serving: ShardActor | undefined;

function serve(boot: Boot): void {
  const { limits, recordBytesMax } = data;
  const state = newShardState({ shard, limits, entries: store, revisions, owns, recordBytesMax, boot });
  const checkpoints = new ShardCheckpoints({
    state,
    store,
    checkpointer,
    journal,
    storeBytes: () => lmdb.storeBytes(),
    now: () => clock.now(),
  });
  const credits = data.routerPorts.map((_, router) => new ReplyCredit(data.credit, router * data.shards + data.shard));
  const actor = new ShardActor({
    state,
    clock,
    journal,
    checkpoints,
    send: (router, message) => {
      const length = messageLength(message);
      if (length >= ReplyCredit.small) credits[router]!.sent(length);
      data.routerPorts[router]!.postMessage(encodeFromShard(message));
    },
    congestion: () => congestionOf(credits),
    meter: threadMicros,
    wake: (delayMs) => {
      clearTimeout(timer);
      clearImmediate(immediate);
      immediate = undefined;
      if (delayMs === 0) immediate = setImmediate(turn);
      else timer = setTimeout(turn, delayMs);
    },
    askForEpoch: () => toMain({ kind: 'ask-for-epoch' }),
    ...(local !== undefined && {
      announce: {
        routers: data.routerPorts.length,
        awaits: (router) => revisions.awaits(router),
        onDurable: (listener) => local.onDurable(listener),
      },
    }),
  });
  const take = (router: number, wire: ToShardWire): void => actor.receive(router, decodeToShard(wire));
  data.routerPorts.forEach((port, router) => {
    port.on('message', (wire: ToShardWire) => {
      take(router, wire);
      // Of a backlog, one turn follows all that has arrived by then, also on the port of the main thread.
      if (immediate === undefined) turn();
    });
  });
  const turn = (): void => {
    immediate = undefined;
    data.routerPorts.forEach((port, router) => {
      for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
        take(router, next.message as ToShardWire);
      }
    });
    actor.turn();
  };
  serving = actor;
  turn();
  toMain({ kind: 'serving' });
}

function congestionOf(credits: readonly ReplyCredit[]): 'none' | 'large' | 'all' {
  let most: 'none' | 'large' = 'none';
  for (const { exhausted } of credits) {
    if (exhausted === 'all') return 'all';
    if (exhausted === 'large') most = 'large';
  }
  return most;
}

/** Closes ports and files and ends the thread. Everything is committed and checkpointed by now. */
async function stop(): Promise<void> {
  clearTimeout(timer);
  clearImmediate(immediate);
  for (const port of data.routerPorts) port.close();
  checkpointWriter.close();
  if (data.journal.kind === 'thread') data.journal.port.close();
  await writer?.close();
  process.exit();
}

function toMain(message: ShardToMain): void {
  main.postMessage(message);
}
