/**
 * One shard's sub-database: the shard reads it, the checkpoint thread writes it.
 *
 * Values are decoded from the buffer that lmdb-js reuses for every read, so nothing may keep a part of it. lmdb-js ends
 * the snapshot of a `get` by a timer after the event-loop turn; reads of many rows end theirs themselves. A snapshot
 * held for long would keep LMDB from reusing pages.
 */
import type { Database } from 'lmdb';
import { revision, type Revision } from '../../protocol/ids.ts';
import { assert } from '../../shared/assert.ts';
import { failpoint } from '../../shared/failpoints.ts';
import type { Entry } from '../../protocol/entries.ts';
import {
  NoSpaceError,
  type CheckpointStore,
  type CheckpointTarget,
  type Rows,
  type EntryCount,
  type StoredCounts,
  type ValueSize,
} from '../checkpoint-store.ts';
import {
  decodeCount,
  decodeWatermark,
  encodeCount,
  encodeWatermark,
  entryHeaderBytes,
  hasCounts,
  readEntry,
} from '../entry-codec.ts';
import { decodeSlice } from '../memtable/slice-codec.ts';
import {
  countEnd,
  countKey,
  countPrefix,
  letterOf,
  metaEnd,
  metaPrefix,
  parseCountKey,
  successor,
  watermarkKey,
  type StorageKey,
} from '../storage-key.ts';

/** A read of many rows ends after the value that reaches this many bytes. */
const chunkBytes = 256 * 1024;
const countsPerChunk = 4096;
/** What a commit may write besides its rows: the rest of their pages. */
const noSpaceMarginBytes = 64 * 1024 * 1024;

export interface LmdbUsage {
  /** Entries, deadline keys, meta records. */
  readonly rows: number;
  /** Pages in use × page size. */
  readonly bytes: number;
}

export interface LmdbShardOptions {
  /** Of the store's file system. */
  readonly freeBytes: () => number;
  /** Is told in the transaction of a checkpoint which kinds of entries it writes. */
  readonly onKinds: (letters: readonly number[]) => void;
}

interface Stats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
  readonly entryCount: number;
}

export class LmdbShard implements CheckpointStore, CheckpointTarget {
  readonly #database: Database<Buffer, string>;
  readonly #freeBytes: () => number;
  readonly #onKinds: (letters: readonly number[]) => void;

  constructor(database: Database<Buffer, string>, { freeBytes, onKinds }: LmdbShardOptions) {
    this.#database = database;
    this.#freeBytes = freeBytes;
    this.#onKinds = onKinds;
  }

  get(key: StorageKey, size?: ValueSize): Entry | undefined {
    const bytes = this.#database.getBinaryFast(key);
    if (bytes === undefined) return undefined;
    if (size !== undefined) size.valueBytes = bytes.length - entryHeaderBytes;
    return readEntry(bytes);
  }

  entries(start: StorageKey, end: StorageKey, limit: number): Rows<Entry> {
    return this.#chunk(start, end, limit, readEntry);
  }

  keys(start: StorageKey, end: StorageKey, limit: number): Rows<true> {
    const rows: Rows<true>['rows'] = [];
    for (const key of this.#database.getKeys({ start, end, limit })) rows.push([key, true]);
    this.#database.resetReadTxn();
    return { rows, more: rows.length === limit };
  }

  /** All rows of any sort, with their bytes as stored. */
  rawRows(start: StorageKey, end: StorageKey, limit: number): Rows<Buffer> {
    return this.#chunk(start, end, limit, (bytes) => Buffer.from(bytes.subarray(0, bytes.length)));
  }

  /** One row, with its bytes as stored. */
  raw(key: StorageKey): Buffer | undefined {
    const bytes = this.#database.getBinaryFast(key);
    return bytes === undefined ? undefined : Buffer.from(bytes.subarray(0, bytes.length));
  }

  /** Within a transaction of the store. */
  putRaw(key: StorageKey, value: Buffer): void {
    this.#database.putSync(key, value);
  }

  /** Within a transaction of the store. */
  putCount(count: EntryCount): void {
    this.#database.putSync(countKey(count.account, count.kind, count.part), encodeCount(count));
  }

  /** Within a transaction of the store, which also makes the counts match the content. */
  putWatermark(watermark: Revision): void {
    this.#database.putSync(watermarkKey, encodeWatermark(watermark));
  }

  watermark(): Revision {
    const bytes = this.#database.getBinaryFast(watermarkKey);
    return bytes === undefined ? revision(0) : decodeWatermark(bytes);
  }

  counts(): StoredCounts {
    const watermark = this.#database.getBinaryFast(watermarkKey);
    const current = watermark !== undefined && hasCounts(watermark);
    const counts: EntryCount[] = [];
    for (let from: StorageKey | undefined = countPrefix; from !== undefined; ) {
      const { rows, more }: Rows<ReturnType<typeof decodeCount>> = this.#chunk(
        from,
        countEnd,
        countsPerChunk,
        decodeCount,
      );
      for (const [key, count] of rows) counts.push({ ...parseCountKey(key), ...count });
      from = more ? successor(rows.at(-1)![0]) : undefined;
    }
    return { counts, current };
  }

  /** The number of meta records. */
  metaRows(): number {
    return this.keys(metaPrefix, metaEnd, this.usage().rows).rows.length;
  }

  refresh(): void {
    this.#database.resetReadTxn();
  }

  apply(slices: Iterable<Uint8Array>, watermark: Revision): void {
    let bytes = 0;
    const isWritten = new Uint8Array(256);
    try {
      this.#database.transactionSync(() => {
        for (const slice of slices) {
          bytes += slice.byteLength;
          decodeSlice(slice, (key, value) => {
            if (value === undefined) this.#database.removeSync(key);
            else {
              this.#database.putSync(key, value);
              isWritten[letterOf(key)] = 1;
            }
          });
        }
        this.#onKinds([...isWritten.keys()].filter((letter) => isWritten[letter] === 1));
        this.putWatermark(watermark);
        failpoint('checkpoint.before-commit');
      });
    } catch (error) {
      if (this.#isNoSpace(error, bytes)) throw new NoSpaceError('no disk space for a checkpoint', { cause: error });
      throw error;
    }
    failpoint('checkpoint.committed');
  }

  usage(): LmdbUsage {
    const stats: Partial<Stats> = this.#database.getStats();
    assertStats(stats);
    const pages = stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
    return { rows: stats.entryCount, bytes: pages * stats.pageSize };
  }

  /**
   * Whether the commit failed for lack of space: disk, quota, or address space. A disk that is filling up gives a short
   * write, which LMDB reports as an input/output error: then the free space decides. A retry is safe in every case:
   * LMDB never overwrites a page that a committed state uses, and a new attempt writes all its pages anew.
   */
  #isNoSpace(error: unknown, bytes: number): boolean {
    if (!(error instanceof Error) || !('code' in error)) return false;
    if (error.code === mapFull || error.code === errnoNoSpace || error.code === errnoQuota) return true;
    if (error.code !== errnoInputOutput) return false;
    return this.#freeBytes() < bytes + noSpaceMarginBytes;
  }

  #chunk<T>(start: StorageKey, end: StorageKey, limit: number, decode: (bytes: Buffer) => T): Rows<T> {
    const rows: Rows<T>['rows'] = [];
    let bytes = 0;
    let more = false;
    // Keys by cursor and values by get cost half of a cursor over both, which copies each value first.
    for (const key of this.#database.getKeys({ start, end, limit })) {
      const value = this.#database.getBinaryFast(key);
      if (value === undefined) continue;
      bytes += value.length;
      rows.push([key, decode(value)]);
      more = bytes >= chunkBytes;
      if (more) break;
    }
    this.#database.resetReadTxn();
    return { rows, more: more || rows.length === limit };
  }
}

function assertStats(stats: Partial<Stats>): asserts stats is Stats {
  assert(stats.pageSize !== undefined && stats.entryCount !== undefined, 'LMDB tells its page counts');
}

const mapFull = -30792;
const errnoInputOutput = 5;
const errnoNoSpace = 28;
const errnoQuota = 122;
