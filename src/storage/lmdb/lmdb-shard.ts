/**
 * One shard's sub-database: read by the shard, written by whoever makes checkpoints.
 *
 * Values are decoded straight from the buffer that LMDB's binding reuses for every read, so nothing of it may be kept.
 * A snapshot that `get` opened ends with the event-loop turn (lmdb-js resets it by a timer); chunks end theirs
 * themselves. A snapshot held for long would keep LMDB from reusing pages.
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
  type Chunk,
  type EntryCount,
  type StoredCounts,
} from '../checkpoint-store.ts';
import { decodeCount, decodeWatermark, encodeCount, encodeWatermark, hasCounts, readEntry } from '../entry-codec.ts';
import { decodeSlice } from '../memtable/slice-codec.ts';
import {
  countEnd,
  countKey,
  countPrefix,
  metaEnd,
  metaPrefix,
  parseCountKey,
  successor,
  watermarkKey,
  type StorageKey,
} from '../storage-key.ts';

/** A chunk ends behind the value that reaches this many bytes. */
const chunkBytes = 256 * 1024;
const countsPerChunk = 4096;
/** What a commit may write besides its rows: the rest of the pages that they are on. */
const noSpaceMarginBytes = 64 * 1024 * 1024;

export interface LmdbUsage {
  /** Entries, deadline keys, meta records. */
  readonly rows: number;
  /** Pages in use × page size. */
  readonly bytes: number;
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

  /** @param freeBytes of the file system that the store is on */
  constructor(database: Database<Buffer, string>, freeBytes: () => number) {
    this.#database = database;
    this.#freeBytes = freeBytes;
  }

  get(key: StorageKey): Entry | undefined {
    const bytes = this.#database.getBinaryFast(key);
    return bytes === undefined ? undefined : readEntry(bytes);
  }

  entries(start: StorageKey, end: StorageKey, limit: number): Chunk<Entry> {
    return this.#chunk(start, end, limit, readEntry);
  }

  keys(start: StorageKey, end: StorageKey, limit: number): Chunk<true> {
    const rows: Chunk<true>['rows'] = [];
    for (const key of this.#database.getKeys({ start, end, limit })) rows.push([key, true]);
    this.#database.resetReadTxn();
    return { rows, more: rows.length === limit };
  }

  /** Like `entries`, with the bytes of every row as they are stored, whatever it is. */
  rawRows(start: StorageKey, end: StorageKey, limit: number): Chunk<Buffer> {
    return this.#chunk(start, end, limit, (bytes) => Buffer.from(bytes.subarray(0, bytes.length)));
  }

  /** Within a transaction of the store. */
  putRaw(key: StorageKey, value: Buffer): void {
    this.#database.putSync(key, value);
  }

  /** Within a transaction of the store. */
  putCount(count: EntryCount): void {
    this.#database.putSync(countKey(count.account, count.kind), encodeCount(count));
  }

  /** Within a transaction of the store. The counts are, or become, those of the content. */
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
      const { rows, more }: Chunk<ReturnType<typeof decodeCount>> = this.#chunk(
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

  /** How many rows are meta records. */
  metaRows(): number {
    return this.keys(metaPrefix, metaEnd, this.usage().rows).rows.length;
  }

  refresh(): void {
    this.#database.resetReadTxn();
  }

  apply(slices: Iterable<Uint8Array>, watermark: Revision): void {
    let bytes = 0;
    try {
      this.#database.transactionSync(() => {
        for (const slice of slices) {
          bytes += slice.byteLength;
          decodeSlice(slice, (key, value) => {
            if (value === undefined) this.#database.removeSync(key);
            else this.#database.putSync(key, value);
          });
        }
        this.putWatermark(watermark);
        failpoint('checkpoint.before-commit');
      });
    } catch (error) {
      if (this.#isNoSpace(error, bytes)) throw new NoSpaceError('no room for a checkpoint', { cause: error });
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
   * Whether the commit failed for want of space: disk, quota, or address space. LMDB calls a short write, which is what
   * a disk that is just filling up gives, an input/output error, so that one is judged by the space left. Trying again
   * is safe in every case: LMDB never writes over a page that a committed state uses, and a new attempt writes all its
   * pages anew.
   */
  #isNoSpace(error: unknown, bytes: number): boolean {
    if (!(error instanceof Error) || !('code' in error)) return false;
    if (error.code === mapFull || error.code === errnoNoSpace || error.code === errnoQuota) return true;
    if (error.code !== errnoInputOutput) return false;
    return this.#freeBytes() < bytes + noSpaceMarginBytes;
  }

  #chunk<T>(start: StorageKey, end: StorageKey, limit: number, decode: (bytes: Buffer) => T): Chunk<T> {
    const rows: Chunk<T>['rows'] = [];
    let bytes = 0;
    let more = false;
    // Keys by cursor and values by get: half the cost of a cursor over both, which copies each value first.
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
