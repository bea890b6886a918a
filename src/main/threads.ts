/**
 * The threads behind the front ends, wired together: shards, the checkpoint thread and, with several shards, the
 * journal's own thread. Every pair that talks has a channel of its own; main itself is never in the path of a request.
 *
 * A thread that throws takes the process down: half a server is the one thing nobody can use.
 */
import { once } from 'node:events';
import { MessageChannel, Worker, type MessagePort, type ResourceLimits } from 'node:worker_threads';
import type { CheckpointThreadData } from '../checkpoint/checkpoint-thread.ts';
import { JournalThread } from '../journal/journal-link.ts';
import type { JournalLog, JournalSettings } from '../journal/journal-options.ts';
import type { JournalStats } from '../protocol/stats.ts';
import { allocateRoom } from '../journal/journal-wire.ts';
import { ReplyCredit } from '../protocol/reply-credit.ts';
import { SharedRevisions } from '../protocol/revisions.ts';
import { bootShard } from '../shard-worker/open-shard.ts';
import type { Boot } from '../shard-worker/core/state.ts';
import type { ShardFromMain, ShardThreadData, ShardToMain } from '../shard-worker/shard-thread.ts';
import { assert } from '../shared/assert.ts';
import type { Config } from './config-schema.ts';
import type { OpenedData } from './open-data.ts';

/** What one front end needs to reach everything behind it. */
export interface FrontEndPorts {
  readonly shards: readonly MessagePort[];
  /** Of all front ends and shards, see `ReplyCredit`. */
  readonly credit: SharedArrayBuffer;
  /** Tells what is durable; absent when the only shard does. */
  readonly journal: MessagePort | undefined;
}

export class Threads {
  readonly frontEnds: readonly FrontEndPorts[];
  readonly revisions: SharedArrayBuffer;
  readonly #shards: readonly ShardThread[];
  readonly #journal: JournalThread | undefined;

  constructor(config: Config, opened: OpenedData, log: JournalLog, onFatal: (error: unknown) => void) {
    const { shards, http, journal } = config;
    const { recovered, journalDirectory } = opened;
    this.revisions = SharedRevisions.allocate(recovered.last);
    const settings: JournalSettings = { shards, segmentBytes: journal.segment_bytes, keepBytes: journal.keep_bytes };

    const toRouter = grid(http.threads, shards);
    const credit = ReplyCredit.allocate(http.threads * shards);
    const toCheckpoint = channels(shards);
    const checkpoint: CheckpointThreadData = {
      kind: 'checkpoint-thread',
      dataDirectory: config.data_dir,
      ports: toCheckpoint.map((channel) => channel.port2),
    };
    startWorker('../checkpoint/checkpoint-thread.ts', 'checkpoint', checkpoint, checkpoint.ports, onFatal);

    const room = allocateRoom();
    const toJournal = shards === 1 ? [] : channels(shards);
    const journalToRouter = shards === 1 ? [] : channels(http.threads);
    if (shards > 1) {
      const data = {
        directory: journalDirectory,
        recovered,
        settings,
        revisions: this.revisions,
        room,
        shardPorts: toJournal.map((channel) => channel.port2),
        routerPorts: journalToRouter.map((channel) => channel.port2),
      };
      this.#journal = new JournalThread(data, log, onFatal);
    }
    this.frontEnds = toRouter.map((row, index) => ({
      shards: row.map((channel) => channel.port1),
      credit,
      journal: journalToRouter[index]?.port1,
    }));
    this.#shards = Array.from({ length: shards }, (_, shard) => {
      const data: ShardThreadData = {
        shard,
        shards,
        limits: config.limits,
        dataDirectory: config.data_dir,
        journalDirectory,
        recovered,
        revisions: this.revisions,
        clockOrigin: performance.timeOrigin,
        routerPorts: toRouter.map((row) => row[shard]!.port2),
        credit,
        checkpointPort: toCheckpoint[shard]!.port1,
        journal: shards === 1 ? { kind: 'local', settings } : { kind: 'thread', port: toJournal[shard]!.port1, room },
      };
      return new ShardThread(data, log, onFatal);
    });
  }

  /** Replays, counts the start, begins to serve. */
  async start(): Promise<{ boot: Boot; replayed: number }> {
    const replayed = await Promise.all(this.#shards.map((shard) => shard.expect('replayed')));
    const counting = this.#shards[bootShard(this.#shards.length)]!;
    counting.send({ kind: 'boot' });
    const { boot } = await counting.expect('booted');
    await Promise.all(
      this.#shards.map((shard) => {
        shard.send({ kind: 'serve', boot });
        return shard.expect('serving');
      }),
    );
    return { boot, replayed: Math.max(...replayed.map(({ records }) => records)) };
  }

  async journalStats(): Promise<JournalStats> {
    return this.#journal === undefined ? this.#shards[0]!.journalStats() : this.#journal.stats();
  }

  /** Everything is committed and checkpointed: ends the threads. */
  async stop(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.stop()));
    await this.#journal?.close();
  }
}

/**
 * Two thirds of what V8 would let the young generation grow to. What a shard keeps is not on its heap (memtable.ts), and
 * the messages of a few turns fit. With 24 MB, arrays of 100 had it collect ninety times a second, for a sixth of its time.
 */
const shardResources: ResourceLimits = { maxYoungGenerationSizeMb: 48 };

class ShardThread {
  readonly #worker: Worker;
  readonly #expected = new Map<ShardToMain['kind'], (message: ShardToMain) => void>();
  readonly #stats = new Map<number, (stats: JournalStats) => void>();
  #ids = 0;

  constructor(data: ShardThreadData, log: JournalLog, onFatal: (error: unknown) => void) {
    const ports = [
      ...data.routerPorts,
      data.checkpointPort,
      ...(data.journal.kind === 'thread' ? [data.journal.port] : []),
    ];
    const name = `shard-${data.shard}`;
    this.#worker = startWorker('../shard-worker/shard-thread.ts', name, data, ports, onFatal, shardResources);
    this.#worker.on('message', (message: ShardToMain) => {
      if (message.kind === 'log') return log(message.level, message.message, message.details);
      if (message.kind === 'journal-stats') {
        this.#stats.get(message.id)?.(message.stats);
        this.#stats.delete(message.id);
        return;
      }
      const expecting = this.#expected.get(message.kind);
      assert(expecting !== undefined, `main expects "${message.kind}" from a shard`);
      expecting(message);
    });
    for (const kind of ['replayed', 'booted', 'serving', 'stopped'] as const)
      this.#arrivals.set(kind, this.#arrival(kind));
  }

  readonly #arrivals = new Map<ShardToMain['kind'], Promise<ShardToMain>>();

  /** A step of the start or stop; each arrives once. */
  async expect<Kind extends ShardToMain['kind']>(kind: Kind): Promise<Extract<ShardToMain, { kind: Kind }>> {
    return (await this.#arrivals.get(kind)) as Extract<ShardToMain, { kind: Kind }>;
  }

  send(message: ShardFromMain): void {
    this.#worker.postMessage(message);
  }

  journalStats(): Promise<JournalStats> {
    const id = (this.#ids += 1);
    return new Promise((resolve) => {
      this.#stats.set(id, resolve);
      this.send({ kind: 'journal-stats', id });
    });
  }

  async stop(): Promise<void> {
    const exited = once(this.#worker, 'exit');
    this.send({ kind: 'stop' });
    await exited;
  }

  #arrival(kind: ShardToMain['kind']): Promise<ShardToMain> {
    return new Promise((resolve) => this.#expected.set(kind, resolve));
  }
}

/** A worker whose error, or whose end with an error code, is fatal. */
export function startWorker(
  file: string,
  name: string,
  workerData: unknown,
  ports: readonly MessagePort[],
  onFatal: (error: unknown) => void,
  resourceLimits: ResourceLimits = {},
): Worker {
  const url = new URL(file, import.meta.url);
  const worker = new Worker(url, { workerData, transferList: [...ports], name, resourceLimits });
  worker.on('error', onFatal);
  worker.on('exit', (code) => {
    if (code !== 0) onFatal(new Error(`The thread ${name} has ended with code ${code}`));
  });
  return worker;
}

function channels(count: number): MessageChannel[] {
  return Array.from({ length: count }, () => new MessageChannel());
}

function grid(rows: number, columns: number): MessageChannel[][] {
  return Array.from({ length: rows }, () => channels(columns));
}
