/**
 * The server without its HTTP front end, in one thread: the routers, actors and journal code of production, joined by
 * queues instead of MessagePorts. For tests, simulation and stepping through a request in a debugger.
 *
 * The caller supplies the disk and the clock, and decides when messages arrive. As in production, a single shard has
 * the journal itself, and several shards reach it through queues. To simulate a crash, drop the returned object and
 * start again on the same disk and checkpoints.
 */
import { workMeter } from './work-meter.ts';
import { LocalCheckpointWriter } from '../../src/storage/checkpoint/checkpoint-link.ts';
import { JournalActor } from '../../src/journal/journal-actor.ts';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { ThreadJournal } from '../../src/journal/journal-link.ts';
import type { JournalLog, JournalSettings } from '../../src/journal/file/journal-options.ts';
import {
  allocateSpace,
  spaceCode,
  type DurableMessage,
  type JournalFromShard,
} from '../../src/journal/journal-wire.ts';
import { JournalWriter } from '../../src/journal/file/journal-writer.ts';
import { LocalJournal } from '../../src/journal/local-journal.ts';
import { frameHeaderBytes } from '../../src/journal/file/frame.ts';
import { recoverJournal } from '../../src/journal/file/recovery.ts';
import { segmentBytesDefault, segmentHeaderBytes } from '../../src/journal/file/segment.ts';
import { revision, shardId, type ShardId } from '../../src/protocol/ids.ts';
import type { Journal, Revisions } from '../../src/protocol/journal.ts';
import { LocalRevisions } from './local-revisions.ts';
import {
  decodeToShard,
  encodeFromShard,
  type FromShardWire,
  type ToShardWire,
} from '../../src/protocol/wire/shard-wire.ts';
import { PrefixWatches } from '../../src/router/watch/prefix-watches.ts';
import { RouterCounts } from '../../src/router/router-counts.ts';
import { Router } from '../../src/router/router.ts';
import { QueueShardLink } from '../../src/router/shard-link.ts';
import type { After, Clock } from '../../src/shared/clock.ts';
import type { Disk } from '../../src/shared/disk.ts';
import type { Limits } from '../../src/shared/limits.ts';
import { newShardState, type Boot, type ShardState } from '../../src/shard-worker/core/state/state.ts';
import { bootShard, commitBoot, openShard } from '../../src/shard-worker/open-shard.ts';
import { Quotas } from '../../src/protocol/quotas.ts';
import { AccountUsages } from '../../src/storage/account-usage.ts';
import { SharedUsage } from '../../src/storage/shared-usage.ts';
import { ShardActor } from '../../src/shard-worker/shard-actor.ts';
import { afterJournal, ShardCheckpoints } from '../../src/shard-worker/checkpoint-schedule.ts';
import type { CheckpointWriter } from '../../src/storage/checkpoint/checkpointer.ts';
import type { CheckpointStore, CheckpointTarget } from '../../src/storage/checkpoint-store.ts';

/** Makes one direction of a channel, which delivers its messages later, one by one, in order. */
export type MakeQueue = <Message>(name: string, deliver: (message: Message) => void) => (message: Message) => void;

export interface InProcessOptions {
  readonly shards: number;
  /** The number of front ends. */
  readonly routers?: number;
  readonly limits: Limits;
  readonly disk: Disk;
  readonly journalDirectory: string;
  readonly segmentBytes?: number;
  readonly keepBytes?: number;
  /** The other options of the journal. */
  readonly journal?: Partial<JournalSettings>;
  /** One for each shard. The caller keeps them over a simulated crash. */
  readonly checkpoints: readonly (CheckpointStore & CheckpointTarget)[];
  /** Writes checkpoints; by default at once. */
  readonly checkpointWriter?: (shard: ShardId) => CheckpointWriter;
  readonly clock: Clock;
  /** Runs something after the current call has returned: `setImmediate`, or a simulator's choice. */
  readonly defer: (run: () => void) => void;
  /** By default everything waits in the one queue of `defer`. */
  readonly queue?: MakeQueue;
  readonly after: After;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: JournalLog;
  /** Handles a failure outside of any call; by default it is thrown uncaught. */
  readonly onFailure?: (error: unknown) => void;
}

export interface InProcess {
  /** The first of them. */
  readonly router: Router;
  readonly routers: readonly Router[];
  readonly states: readonly ShardState[];
  readonly boot: Boot;
  /** Writes wait for a checkpoint. */
  holdsWrites(): boolean;
  /** Drains, checkpoints, closes the files: a clean stop. */
  stop(): Promise<void>;
}

/** @throws JournalCorruption, and errors of the disk */
export async function startInProcess(options: InProcessOptions): Promise<InProcess> {
  const { shards, routers = 1, limits, disk, journalDirectory, checkpoints, clock, defer, after } = options;
  const { randomBytes, log } = options;
  const queue: MakeQueue = options.queue ?? ((_, deliver) => (message) => defer(() => deliver(message)));
  const segments = options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes };
  const kept = options.keepBytes === undefined ? {} : { keepBytes: options.keepBytes };
  const from = revision(Math.min(...checkpoints.map((checkpoint) => checkpoint.watermark())));
  const recovered = await recoverJournal(disk, journalDirectory, { from, randomBytes, log, ...segments });
  const revisions = new LocalRevisions(recovered.last);
  const space = new Int32Array(allocateSpace());
  const writer = new JournalWriter(disk, journalDirectory, {
    recovered,
    revisions,
    ...options.journal,
    ...segments,
    ...kept,
    shards,
    log,
    clock,
    onSpace: (next) => Atomics.store(space, 0, spaceCode(next)),
    schedule: (run, ms) => void after(ms, run),
    elapsedMs: () => clock.now(),
    ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
  });
  const shardIds = checkpoints.map((_, index) => shardId(index));
  /** Routers that wait to be told what is durable. */
  const awaiting = new Set<number>();
  const apart =
    shards === 1 ? undefined : journalApart(writer, { revisions, space, queue, shardIds, routers, awaiting });
  const local = new LocalJournal(writer);
  const journalOf = (shard: ShardId): Journal => apart?.journals[shard] ?? local;

  const targetOf = (shard: ShardId): CheckpointTarget => checkpoints[shard]!;
  const writerOf = options.checkpointWriter ?? (() => new LocalCheckpointWriter(targetOf));
  const quotas = new Quotas(limits);
  const usage = quotas.any && shards > 1 ? SharedUsage.allocate(shards) : undefined;
  const opened = await Promise.all(
    shardIds.map((shard) => {
      const turns = queue<() => void>(`shard ${shard}`, (run) => run());
      return openShard({
        shard,
        shards,
        limits,
        usages: new AccountUsages(quotas, usage && new SharedUsage(usage, shard, shards)),
        checkpoint: checkpoints[shard]!,
        writer: afterJournal(writerOf(shard), journalOf(shard), revisions),
        source: new FileJournalSource(disk, journalDirectory),
        last: recovered.last,
        yieldTurn: () => new Promise((resolve) => turns(resolve)),
      });
    }),
  );
  // The segments of tests are too small to leave half of one empty.
  const recordBytesMax = (options.segmentBytes ?? segmentBytesDefault) - segmentHeaderBytes - frameHeaderBytes;
  const counting = bootShard(shards);
  const boot = await commitBoot(opened[counting]!.store, journalOf(counting), revisions, clock.now());

  const links: QueueShardLink[][] = Array.from({ length: routers }, () => []);
  const cancels: (() => void)[] = [];
  const actors: ShardActor[] = [];
  const states = shardIds.map((shard) => {
    const { store, checkpointer, owns } = opened[shard]!;
    const state = newShardState({ shard, limits, entries: store, revisions, owns, recordBytesMax, boot });
    const journal = journalOf(shard);
    const toRouters = links.map((_, router) =>
      queue<FromShardWire>(`shard ${shard} > router ${router}`, (wire) => links[router]![shard]!.deliver(wire)),
    );
    const actor: ShardActor = new ShardActor({
      state,
      clock,
      journal,
      checkpoints: new ShardCheckpoints({
        state,
        store,
        checkpointer,
        journal,
        storeBytes: () => 0,
        now: () => clock.now(),
      }),
      send: (router, message) => toRouters[router]!(encodeFromShard(message)),
      congestion: () => 'none',
      meter: workMeter(),
      wake: (delayMs) => {
        cancels[shard]?.();
        cancels[shard] = after(delayMs, () => actor.turn());
      },
      askForEpoch: () => defer(() => actors[counting]!.epochs.take((epoch) => defer(() => actor.epochs.add(epoch)))),
      ...(apart === undefined && {
        announce: {
          routers,
          awaits: (router) => awaiting.has(router),
          onDurable: (listener) => local.onDurable(listener),
        },
      }),
    });
    actors[shard] = actor;
    // Messages that arrive before the turn begins are part of it.
    const turns = queue<() => void>(`turns of shard ${shard}`, (run) => run());
    links.forEach((row, router) => {
      const toShard = queue<ToShardWire>(`router ${router} > shard ${shard}`, (wire) => {
        actor.receive(router, decodeToShard(wire));
        turns(() => actor.turn());
      });
      row.push(new QueueShardLink(toShard));
    });
    return state;
  });
  const counts = new RouterCounts(RouterCounts.allocate(shards), shards);
  const made = links.map((row, index) => {
    const turns = queue<() => void>(`router ${index}`, (run) => run());
    const prefixWatches = new PrefixWatches({
      source: new FileJournalSource(disk, journalDirectory),
      durable: () => revisions.durable(),
      limits,
      counts,
      defer: turns,
      after,
    });
    const router = new Router({
      index,
      links: row,
      durable: () => revisions.durable(),
      awaitDurable: (awaits) => void (awaits ? awaiting.add(index) : awaiting.delete(index)),
      limits,
      counts,
      prefixWatches,
      journalStats: async () => writer.stats(),
      defer: turns,
      after,
    });
    apart?.onDurable(index, (durable) => router.advance(durable));
    return router;
  });
  return {
    router: made[0]!,
    routers: made,
    states,
    boot,
    holdsWrites: () => actors.some((actor) => actor.holdsWrites),
    async stop() {
      await Promise.all(made.map((router) => router.drain()));
      await made[0]!.close();
      for (const cancel of cancels) cancel();
      apart?.actor.close();
      await writer.close();
    },
  };
}

interface JournalApartOptions {
  readonly revisions: Revisions;
  readonly space: Int32Array<SharedArrayBuffer>;
  readonly queue: MakeQueue;
  readonly shardIds: readonly ShardId[];
  readonly routers: number;
  readonly awaiting: ReadonlySet<number>;
}

/** The journal as if it had a thread of its own, joined by queues. */
function journalApart(
  writer: JournalWriter,
  { revisions, space, queue, shardIds, routers, awaiting }: JournalApartOptions,
) {
  const turns = queue<() => void>('journal', (run) => run());
  const listeners: ((durable: DurableMessage['durable']) => void)[] = [];
  const toRouters = Array.from({ length: routers }, (_, router) =>
    queue<DurableMessage>(`journal > router ${router}`, ({ durable }) => listeners[router]?.(durable)),
  );
  const toShards: ((message: DurableMessage) => void)[] = [];
  const actor = new JournalActor({
    writer,
    // Messages are taken on arrival: a queue within this thread has nothing to drain.
    receive: [],
    durable: () => revisions.durable(),
    tellRouters: (durable) => {
      for (const router of awaiting) toRouters[router]!({ kind: 'durable', durable });
    },
    tellShard: (shard, durable) => toShards[shard]!({ kind: 'durable', durable }),
    defer: turns,
  });
  const journals = shardIds.map((shard) => {
    const heard: ((message: DurableMessage) => void)[] = [];
    toShards.push(
      queue<DurableMessage>(`journal > shard ${shard}`, (message) => heard.forEach((hear) => hear(message))),
    );
    const post = queue<JournalFromShard>(`shard ${shard} > journal`, (message) => actor.take(shard, message));
    return new ThreadJournal({ postMessage: post, on: (_, listener) => heard.push(listener) }, space.buffer);
  });
  const onDurable = (router: number, listener: (durable: DurableMessage['durable']) => void): void => {
    listeners[router] = listener;
  };
  return { actor, journals, onDurable };
}
