/**
 * What lies below the memtables: a shard's content as of its last checkpoint. Production reads LMDB, tests and the
 * simulator a map. Reading is synchronous; writing goes through a `CheckpointWriter`.
 */
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { Entry } from '../protocol/entries.ts';
import type { Kind } from '../protocol/record.ts';
import type { StorageKey } from './storage-key.ts';

export interface Chunk<T> {
  readonly rows: (readonly [key: StorageKey, value: T])[];
  /** There may be rows behind the last one. */
  readonly more: boolean;
}

/** Chunks are complete when they are returned: no cursor or read transaction stays open behind them. */
export interface CheckpointStore {
  get(key: StorageKey): Entry | undefined;
  /** Up to `limit` entries with start ≤ key < end, in order; fewer when their values are large. Entry keys only. */
  entries(start: StorageKey, end: StorageKey, limit: number): Chunk<Entry>;
  /** Up to `limit` keys with start ≤ key < end, in order. */
  keys(start: StorageKey, end: StorageKey, limit: number): Chunk<true>;
  /** Everything up to and including this revision is in here. 0: nothing yet. */
  watermark(): Revision;
  counts(): StoredCounts;
  /** Reads from now on see the last commit. */
  refresh(): void;
}

/** How many entries of one kind an account has in a shard, and their bytes (counts.ts). */
export interface EntryCount {
  readonly account: AccountId;
  readonly kind: Kind;
  readonly entries: number;
  readonly bytes: number;
}

export interface StoredCounts {
  readonly counts: readonly EntryCount[];
  /** They are those of the content. False in a store that a version without counts wrote last. */
  readonly current: boolean;
}

/** Where a checkpoint is written to. */
export interface CheckpointTarget {
  /**
   * Puts all rows and the watermark in, in one durable transaction. A slice is not looked at again behind the next.
   * @throws NoSpaceError when nothing was written
   */
  apply(slices: Iterable<Uint8Array>, watermark: Revision): void;
}

/** A checkpoint was not written for want of space; nothing of it is in the store. */
export class NoSpaceError extends Error {
  override name = 'NoSpaceError';
}
