/**
 * A checkpoint in memory, for tests and the simulator: rows in key order, with the same bytes as in LMDB. The test
 * keeps it over a simulated crash. As with LMDB at its worst, a reader sees the state as of its last `refresh`, however
 * old.
 */
import { revision, type Revision } from '../../src/protocol/ids.ts';
import type { Entry } from '../../src/protocol/entries.ts';
import type {
  CheckpointStore,
  CheckpointTarget,
  Rows,
  ValueSize,
  StoredCounts,
} from '../../src/storage/checkpoint-store.ts';
import {
  decodeCount,
  decodeWatermark,
  encodeWatermark,
  entryHeaderBytes,
  hasCounts,
  readEntry,
} from '../../src/storage/entry-codec.ts';
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

  get(key: StorageKey, size?: ValueSize): Entry | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    if (size !== undefined) size.valueBytes = value.length - entryHeaderBytes;
    return readEntry(value);
  }

  entries(start: StorageKey, end: StorageKey, limit: number): Rows<Entry> {
    const { rows, more } = this.keys(start, end, limit);
    return { rows: rows.map(([key]) => [key, readEntry(this.#values.get(key) ?? Buffer.alloc(0))] as const), more };
  }

  keys(start: StorageKey, end: StorageKey, limit: number): Rows<true> {
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

  /** Writes the watermark as a version without counts does: the stored counts are no longer current. */
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

  /** Index of the first key at or after `key`. */
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
