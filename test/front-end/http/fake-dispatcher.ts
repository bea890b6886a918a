/** A dispatcher that records what it is asked, and answers when, and what, a test says. */
import { revision, type AccountId } from '../../../src/protocol/ids.ts';
import type { Reply } from '../../../src/protocol/replies.ts';
import type { Histogram, ServerStats } from '../../../src/protocol/stats.ts';
import { BatchArrayItem } from '../../../src/router/batch-array/batch-array-item.ts';
import type {
  BatchReplySink,
  ReplySink,
  Dispatcher,
  Cancelable,
  PrefixWatch,
  StreamSink,
  WatchedKey,
  WatchInfo,
} from '../../../src/router/dispatcher.ts';
import { mayWait, type Batch, type Command } from '../../../src/protocol/operations/operations.ts';

export interface Asked {
  readonly command?: Command;
  readonly keys?: readonly WatchedKey[];
  readonly account?: AccountId;
  readonly waitMs?: number;
  readonly watch?: Partial<PrefixWatch>;
  readonly client?: ReplySink;
  readonly sink?: StreamSink;
  cancelled: boolean;
}

export class FakeDispatcher implements Dispatcher {
  readonly asked: Asked[] = [];
  /** Undefined: the test answers. */
  reply: ((command: Command | undefined) => Partial<Reply>) | undefined = () => ({});
  #listeners: (() => void)[] = [];

  get commands(): Command[] {
    return this.asked.flatMap(({ command }) => (command === undefined ? [] : [command]));
  }

  request(command: Command, client: ReplySink): Cancelable {
    return this.#ask({ command, client, cancelled: false });
  }

  requestAll(batches: readonly Batch[], client: BatchReplySink): Cancelable {
    const cancelables = batches.map((batch, place) => this.request(batch, new BatchArrayItem(client, place)));
    return { cancel: () => cancelables.forEach((cancelable) => cancelable.cancel()) };
  }

  watchKeys(account: AccountId, keys: readonly WatchedKey[], waitMs: number, client: ReplySink): Cancelable {
    return this.#ask({ account, keys, waitMs, client, cancelled: false });
  }

  watchPrefix(watch: PrefixWatch, client: ReplySink): Cancelable {
    return this.#ask({ watch, client, cancelled: false });
  }

  streamPrefix(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, sink: StreamSink): Cancelable {
    return this.#ask({ watch, sink, cancelled: false });
  }

  watches(): readonly WatchInfo[] {
    return [];
  }

  stats(): Promise<ServerStats> {
    return Promise.resolve(stats);
  }

  /** Resolves when `holds`, which is checked after every change, returns true. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => this.#listeners.push(resolve));
    }
  }

  #ask(asked: Asked): Cancelable {
    this.asked.push(asked);
    const { client, command, sink } = asked;
    const { reply } = this;
    if (client !== undefined && reply !== undefined) {
      setImmediate(() => client.deliver({ rev: revision(7), outcome: 'ok', body: '{"Rev":7}', ...reply(command) }));
    }
    if (sink !== undefined && reply !== undefined) setImmediate(() => sink.end());
    this.#changed();
    return {
      waits: command === undefined || mayWait(command),
      cancel: () => {
        asked.cancelled = true;
        this.#changed();
      },
    };
  }

  #changed(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}

const histogram: Histogram = { bounds: [1, 10], counts: [3, 4, 5], sum: 50, count: 5 };

const stats: ServerStats = {
  shards: [
    {
      shard: 0,
      queued: 4,
      waiters: 3,
      blocked: 0,
      locks: {
        grants: { free: 7, line: 2, reentered: 1 },
        ends: { released: 5, expired: 1, forced: 1 },
        undelivered: 1,
        waitSeconds: histogram,
        holdSeconds: histogram,
      },
      watchedKeys: 2,
      memtableEntries: 9,
      memtableBytes: 999,
      stored: { bytes: 30, entries: 1, messages: 0, tasks: 0 },
      checkpoints: 1,
      checkpointSeconds: histogram,
      turnSeconds: histogram,
      watermark: 50,
      commits: 70,
      queues: {
        ready: 0,
        inFlight: 0,
        delayed: 0,
        dead: 0,
        blocked: 0,
        oldestMs: 0,
        consumers: 0,
        deliveries: 0,
        redeliveries: 0,
      },
      turns: 60,
    },
  ],
  journal: {
    groupRecords: histogram,
    syncSeconds: histogram,
    bytesWritten: 12_345,
    segments: 2,
    space: 'open',
    oldestRevision: 5,
  },
  durable: 70,
  watchers: 1,
  streams: 0,
  historyDamage: { places: 2, refused: 9, firstRevision: 20, lastRevision: 31 },
};
