/** Counts of all threads, for /metrics. */
import type { JournalSpace } from './journal.ts';
import type { Amounts } from './quotas.ts';

export interface ShardStats {
  readonly shard: number;
  /** Commands in the mailbox. */
  readonly queued: number;
  readonly waiters: number;
  readonly blocked: number;
  readonly locks: LockStats;
  readonly watchedKeys: number;
  readonly memtableEntries: number;
  readonly memtableBytes: number;
  /** By all accounts. Bytes of values that are written often are counted later. */
  readonly stored: Amounts;
  readonly checkpoints: number;
  readonly watermark: number;
  readonly commits: number;
  readonly turns: number;
  /** Seconds that the shard's thread worked in one turn. */
  readonly turnSeconds: Histogram;
  /** Seconds from the freeze of the memtable to the end of its checkpoint. */
  readonly checkpointSeconds: Histogram;
  readonly queues: QueueTotals;
}

/** Locks and mutexes of a shard, since the start. */
export interface LockStats {
  /** `line`: after waiting; `reentered`: its holder extended it, or asked again. */
  readonly grants: { readonly free: number; readonly line: number; readonly reentered: number };
  readonly ends: { readonly released: number; readonly expired: number; readonly forced: number };
  /** Grants that came back, because their clients had disconnected. They ended as `released`, too. */
  readonly undelivered: number;
  /** Seconds from joining the line to being served. */
  readonly waitSeconds: Histogram;
  /** Seconds from the grant to the end. */
  readonly holdSeconds: Histogram;
}

/** All queues of a shard together. */
export interface QueueTotals {
  /** Messages by state. */
  readonly ready: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly dead: number;
  readonly blocked: number;
  /** The age of the oldest message that is first in line, of the queues used last. */
  readonly oldestMs: number;
  /** Requests that wait for messages. */
  readonly consumers: number;
  /** Since the start. Redeliveries are those of messages that had been delivered before. */
  readonly deliveries: number;
  readonly redeliveries: number;
}

/** A cumulative histogram: `counts[i]` observations ≤ `bounds[i]`, the last count for +Inf. */
export interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

export interface JournalStats {
  /** Records of one group commit. */
  readonly groupRecords: Histogram;
  /** Seconds of one fdatasync. */
  readonly syncSeconds: Histogram;
  readonly bytesWritten: number;
  readonly segments: number;
  readonly space: JournalSpace;
  readonly oldestRevision: number;
}

/** What readers of the journal's history found damaged. */
export interface HistoryDamageStats {
  /** Places found since the server started. */
  readonly places: number;
  /** Readers that were ended, because what they were to read next could not be read. */
  readonly refused: number;
  /** The lowest and the highest revision in these places; 0: none. */
  readonly firstRevision: number;
  readonly lastRevision: number;
}

export interface ServerStats {
  readonly shards: readonly ShardStats[];
  readonly journal: JournalStats;
  readonly durable: number;
  /** Summed over all front ends. */
  readonly watchers: number;
  readonly streams: number;
  readonly historyDamage: HistoryDamageStats;
}
