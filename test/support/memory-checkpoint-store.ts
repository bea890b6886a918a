/**
 * A checkpoint in memory, for tests and the simulator: an array of rows in key order, with the same bytes in it as LMDB
 * would have. It survives what the test lets survive. Of LMDB's behaviour it keeps the worst: a reader sees the state
 * as of its last `refresh`, however old.
 */
import { revision, type Revision } from '../../src/protocol/ids.ts';
import type { Entry } from '../../src/protocol/entries.ts';
import type { CheckpointStore, CheckpointTarget, Chunk } from '../../src/storage/checkpoint-store.ts';
import type { StoredCounts } from '../../src/storage/checkpoint-store.ts';
import { decodeCount, decodeWatermark, encodeWatermark, hasCounts, readEntry } from '../../src/storage/entry-codec.ts';
import { decodeSlice } from '../../src/storage/memtable/slice-codec.ts';
import { countEnd, countPrefix, parseCountKey, watermarkKey, type StorageKey } from '../../src/storage/storage-key.ts';

export class MemoryCheckpointStore implements CheckpointStore, CheckpointTarget {
  #committed: ReadonlyMap<StorageKey, Buffer> = new Map();
  #values = this.#committed;
  #keys: StorageKey[] = [];

  apply(slices: Iterable<Uint8Array>, watermark: Revision): void {
    const values = new Map(this.#committed);
    for (const slice of slices) {
      decodeSlice(slice, (key, value) => {
        if (value === undefined) values.delete(key);
        else values.set(key, value);
      });
    }
    values.set(watermarkKey, encodeWatermark(watermark));
    this.#committed = values;
  }

  get(key: StorageKey): Entry | undefined {
    const value = this.#values.get(key);
    return value === undefined ? undefined : readEntry(value);
  }

  entries(start: StorageKey, end: StorageKey, limit: number): Chunk<Entry> {
    const { rows, more } = this.keys(start, end, limit);
    return { rows: rows.map(([key]) => [key, readEntry(this.#values.get(key) ?? Buffer.alloc(0))] as const), more };
  }

  keys(start: StorageKey, end: StorageKey, limit: number): Chunk<true> {
    const from = this.#position(start);
    const to = Math.min(this.#position(end), from + limit);
    return { rows: this.#keys.slice(from, to).map((key) => [key, true] as const), more: to - from === limit };
  }

  watermark(): Revision {
    const value = this.#values.get(watermarkKey);
    return value === undefined ? revision(0) : decodeWatermark(value);
  }

  counts(): StoredCounts {
    const watermark = this.#values.get(watermarkKey);
    const rows = this.#keys.slice(this.#position(countPrefix), this.#position(countEnd));
    return {
      counts: rows.map((key) => ({ ...parseCountKey(key), ...decodeCount(this.#values.get(key)!) })),
      current: watermark !== undefined && hasCounts(watermark),
    };
  }

  /** Leaves the content as a version without counts writes it: the watermark says that the counts are not current. */
  withoutCounts(): void {
    const values = new Map(this.#committed);
    values.set(watermarkKey, encodeWatermark(this.watermark()).subarray(0, 6));
    this.#committed = values;
    this.refresh();
  }

  refresh(): void {
    if (this.#values === this.#committed) return;
    this.#values = this.#committed;
    this.#keys = [...this.#values.keys()].toSorted((a, b) => (a < b ? -1 : 1));
  }

  /** Index of the first key at or behind `key`. */
  #position(key: StorageKey): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
