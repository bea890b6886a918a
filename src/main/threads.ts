/**
 * Starts and connects the threads that serve the front ends: shards, the checkpoint thread and, with several shards,
 * the journal's thread. Every two threads that talk have a channel of their own; the main thread is never in the path
 * of a request.
 *
 * A thread that throws takes the process down: half a server is of no use to anybody.
 */
import { MessageChannel, type ResourceLimits } from 'node:worker_threads';
import type { FrontEndPorts } from '../front-end/ports.ts';
import type { CheckpointThreadData } from '../storage/checkpoint/checkpoint-thread.ts';
import type { JournalLog, JournalSettings } from '../journal/file/journal-options.ts';
import type { JournalStats } from '../protocol/stats.ts';
import {
  allocateSpace,
  type JournalFromMain,
  type JournalThreadData,
  type JournalToMain,
} from '../journal/journal-wire.ts';
import { ReplyCredit } from '../protocol/wire/reply-credit.ts';
import { SharedRevisions } from '../protocol/wire/revisions.ts';
import type { QuotaLimits } from '../protocol/quotas.ts';
import { ownQuotasOf } from '../front-end/shared-counters.ts';
import { SharedUsage } from '../storage/shared-usage.ts';
import { bootShard } from '../shard-worker/open-shard.ts';
import type { Boot } from '../shard-worker/core/state/state.ts';
import type { ShardFromMain, ShardThreadData, ShardToMain } from '../shard-worker/shard-thread.ts';
import { assert } from '../shared/assert.ts';
import { recordBytesMax } from '../shared/limits.ts';
import { WorkerLink } from '../shared/worker-link.ts';
import type { Config } from '../front-end/config-schema.ts';
import type { OpenedDataDirectory } from './data-directory/open-data-directory.ts';
import { workerUrls } from './worker-urls.ts';

export interface ThreadsOptions {
  readonly config: Config;
  readonly opened: OpenedDataDirectory;
  /** See `systemClock`. */
  readonly clock: SharedArrayBuffer;
  /** See `JournalHold`. */
  readonly hold: SharedArrayBuffer;
  readonly log: JournalLog;
  readonly onFatal: (error: unknown) => void;
}

export class Threads {
  readonly frontEnds: readonly FrontEndPorts[];
  /** Of the dispatcher of tasks. */
  readonly dispatcher: FrontEndPorts;
  readonly revisions: SharedArrayBuffer;
  /** Of the journal, see `spaceCode`. */
  readonly space: SharedArrayBuffer;
  readonly #shards: readonly StartedShard[];
  readonly #journal: WorkerLink<JournalFromMain, JournalToMain> | undefined;
  readonly #checkpoint: WorkerLink<never, never>;

  constructor({ config, opened, clock, hold, log, onFatal }: ThreadsOptions) {
    const { shards, http, journal } = config;
    const { recovered, journalDirectory } = opened;
    const settings: JournalSettings = {
      shards,
      segmentBytes: journal.segment_bytes,
      keepBytes: journal.keep_bytes,
      hold,
    };

    const routers = http.threads + 1;
    this.revisions = SharedRevisions.allocate(recovered.last, routers);
    const toRouter = grid(routers, shards);
    const credit = ReplyCredit.allocate(routers * shards);
    const toCheckpoint = channels(shards);
    const checkpoint: CheckpointThreadData = {
      kind: 'checkpoint-thread',
      dataDirectory: config.data_dir,
      ports: toCheckpoint.map((channel) => channel.port2),
    };
    this.#checkpoint = new WorkerLink({
      url: workerUrls.checkpoint,
      name: 'checkpoint',
      workerData: checkpoint,
      ports: checkpoint.ports,
      onFatal,
    });

    const ownQuotas = ownQuotasOf(config.accounts);
    // Also without quotas, which a reload may bring.
    const usage = shards > 1 ? SharedUsage.allocate(shards) : undefined;
    const space = allocateSpace();
    this.space = space;
    const toJournal = shards === 1 ? [] : channels(shards);
    const journalToRouter = shards === 1 ? [] : channels(routers);
    if (shards > 1) {
      const data: JournalThreadData = {
        directory: journalDirectory,
        recovered,
        settings,
        clock,
        revisions: this.revisions,
        space,
        shardPorts: toJournal.map((channel) => channel.port2),
        routerPorts: journalToRouter.map((channel) => channel.port2),
      };
      this.#journal = new WorkerLink({
        url: workerUrls.journal,
        name: 'journal',
        workerData: data,
        ports: [...data.shardPorts, ...data.routerPorts],
        onFatal,
        onMessage: (message) => logged(message, log),
      });
    }
    const ports = toRouter.map((row, index) => ({
      shards: row.map((channel) => channel.port1),
      credit,
      journal: journalToRouter[index]?.port1,
    }));
    this.frontEnds = ports.slice(0, -1);
    this.dispatcher = ports.at(-1)!;
    this.#shards = Array.from({ length: shards }, (_, shard) => {
      const data: ShardThreadData = {
        shard,
        shards,
        limits: config.limits,
        ownQuotas,
        usage,
        recordBytesMax: recordBytesMax(journal.segment_bytes),
        dataDirectory: config.data_dir,
        journalDirectory,
        recovered,
        revisions: this.revisions,
        clock,
        routerPorts: toRouter.map((row) => row[shard]!.port2),
        credit,
        checkpointPort: toCheckpoint[shard]!.port1,
        space,
        journal: shards === 1 ? { kind: 'local', settings } : { kind: 'thread', port: toJournal[shard]!.port1 },
      };
      return startShard(data, log, { onFatal, onEpochNeeded: () => void this.#sendEpoch(shard) });
    });
  }

  /** Replays the journal, takes an epoch, begins to serve. */
  async start(): Promise<{ boot: Boot; replayed: number }> {
    const replayed = await Promise.all(this.#shards.map(({ replayed }) => replayed));
    const counting = this.#shards[bootShard(this.#shards.length)]!;
    counting.link.send({ kind: 'boot' });
    const { boot } = await counting.link.step('booted');
    await Promise.all(
      this.#shards.map((shard) => {
        shard.link.send({ kind: 'serve', boot });
        return shard.link.step('serving');
      }),
    );
    return { boot, replayed: Math.max(...replayed.map(({ records }) => records)) };
  }

  /** Gives a shard more fences for its mutexes, see `protocol/epochs.ts`. */
  async #sendEpoch(shard: number): Promise<void> {
    this.#shards[shard]!.link.send({ kind: 'epoch', epoch: await this.takeEpoch() });
  }

  /** Takes the next epoch. It is durable. */
  async takeEpoch(): Promise<number> {
    const taken = await this.#shards[bootShard(this.#shards.length)]!.link.ask('take-epoch');
    assert(taken.kind === 'epoch-taken', 'a question for an epoch is answered with one');
    return taken.epoch;
  }

  /** Every shard takes over other quotas. */
  replaceQuotas(limits: QuotaLimits, accounts: Config['accounts']): void {
    const own = ownQuotasOf(accounts);
    for (const { link } of this.#shards) link.send({ kind: 'quotas', limits, own });
  }

  async journalStats(): Promise<JournalStats> {
    const answer = await (this.#journal ?? this.#shards[0]!.link).ask('journal-stats');
    assert(answer.kind === 'journal-stats', 'a question for statistics is answered with statistics');
    return answer.stats;
  }

  /** Resolves when every shard and the journal have answered. */
  ping(): Promise<unknown> {
    return Promise.all([...this.#shards.map(({ link }) => link.ask('ping')), this.#journal?.ask('ping')]);
  }

  /** Ends the threads. Call when everything is committed and checkpointed. */
  async stop(): Promise<void> {
    // The checkpoint thread ends with the last shard.
    this.#checkpoint.mayEnd();
    await Promise.all(this.#shards.map(({ link }) => link.stop({ kind: 'stop' })));
    await this.#journal?.stop({ kind: 'close' });
  }
}

/**
 * Two thirds of what V8 would let the young generation grow to. A shard keeps its entries off the heap (memtable.ts),
 * and the messages of a few turns fit. With 24 MB, arrays of 100 batches caused 90 collections a second, a sixth of the
 * time.
 */
const shardResources: ResourceLimits = { maxYoungGenerationSizeMb: 48 };

interface StartedShard {
  readonly link: WorkerLink<ShardFromMain, ShardToMain>;
  /** Requested at once, because a shard may be done before `start` awaits it. */
  readonly replayed: Promise<Extract<ShardToMain, { kind: 'replayed' }>>;
}

interface ShardEvents {
  readonly onFatal: (error: unknown) => void;
  readonly onEpochNeeded: () => void;
}

function startShard(data: ShardThreadData, log: JournalLog, { onFatal, onEpochNeeded }: ShardEvents): StartedShard {
  const link = new WorkerLink<ShardFromMain, ShardToMain>({
    url: workerUrls.shard,
    name: `shard-${data.shard}`,
    workerData: data,
    ports: [...data.routerPorts, data.checkpointPort, ...(data.journal.kind === 'thread' ? [data.journal.port] : [])],
    resourceLimits: shardResources,
    onFatal,
    onMessage: (message) => (message.kind === 'ask-for-epoch' ? onEpochNeeded() : logged(message, log)),
  });
  return { link, replayed: link.step('replayed') };
}

function logged(message: ShardToMain | JournalToMain, log: JournalLog): void {
  if (message.kind === 'log') log(message.level, message.message, message.details);
}

function channels(count: number): MessageChannel[] {
  return Array.from({ length: count }, () => new MessageChannel());
}

function grid(rows: number, columns: number): MessageChannel[][] {
  return Array.from({ length: rows }, () => channels(columns));
}
