/**
 * What lies below the memtables: a shard's content as of its last checkpoint. Production reads LMDB; tests and the
 * simulator read a map. Reads are synchronous; writes go through a `CheckpointWriter`.
 */
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { Entry } from '../protocol/entries.ts';
import type { Kind } from '../protocol/record.ts';
import type { StorageKey } from './storage-key.ts';

export interface Rows<T> {
  readonly rows: (readonly [key: StorageKey, value: T])[];
  /** There may be rows after the last one. */
  readonly more: boolean;
}

export interface ValueSize {
  valueBytes: number;
}

/** Rows are complete when they are returned: no cursor or read transaction stays open. */
export interface CheckpointStore {
  /** @param size takes the bytes of the entry's value */
  get(key: StorageKey, size?: ValueSize): Entry | undefined;
  /** Up to `limit` entries with start ≤ key < end, in order; fewer when their values are large. Entry keys only. */
  entries(start: StorageKey, end: StorageKey, limit: number): Rows<Entry>;
  /** Up to `limit` keys with start ≤ key < end, in order. */
  keys(start: StorageKey, end: StorageKey, limit: number): Rows<true>;
  /** The store holds everything up to and including this revision. 0: nothing yet. */
  watermark(): Revision;
  counts(): StoredCounts;
  /** Later reads see the last commit. */
  refresh(): void;
}

/** How many entries of one kind an account has in a shard, and their bytes (counts.ts). */
export interface EntryCount {
  readonly account: AccountId;
  readonly kind: Kind;
  /** For kind `q` also by queue, letter and state, see `partOf`; empty: all entries of the kind. */
  readonly part: string;
  readonly entries: number;
  readonly bytes: number;
}

export interface StoredCounts {
  readonly counts: readonly EntryCount[];
  /** The counts match the content. False if a version without counts wrote the store last. */
  readonly current: boolean;
}

/** Takes a checkpoint. */
export interface CheckpointTarget {
  /**
   * Writes all rows and the watermark in one durable transaction. Does not read a slice again after taking the next.
   * @throws NoSpaceError if nothing was written
   */
  apply(slices: Iterable<Uint8Array>, watermark: Revision): void;
}

/** A checkpoint was not written for lack of disk space; nothing of it is in the store. */
export class NoSpaceError extends Error {
  override name = 'NoSpaceError';
}
