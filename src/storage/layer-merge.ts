/**
 * Merges a shard's layers, newest first, into one ordered sequence: of rows with the same key the newest wins, and
 * where that is a tombstone the key is left out.
 *
 * Every layer is read in chunks that grow from a few rows to many, so that a caller that stops early pays for little,
 * and nothing stays open between two rows. A layer that changed since its chunk was read (a put while the caller
 * iterates, a checkpoint that moved content down) is read again from behind the last key returned: the sequence
 * is a live view, ordered and without repetitions.
 */
import { assert } from '../shared/assert.ts';
import type { Chunk } from './checkpoint-store.ts';
import { successor, type StorageKey } from './storage-key.ts';

const firstChunkRows = 16;
const chunkRowsMax = 256;

export interface Layer<T> {
  read(start: StorageKey, end: StorageKey, limit: number): Chunk<T | undefined>;
  /** Another number whenever earlier chunks may be stale. */
  stamp(): number;
}

/** Live rows with start ≤ key < end. `layers`: newest first. */
export function* mergeLayers<T>(
  layers: readonly Layer<T>[],
  start: StorageKey,
  end: StorageKey,
): Generator<readonly [StorageKey, T], void, undefined> {
  if (start >= end) return;
  const cursors = layers.map((layer) => new LayerCursor(layer, end));
  let from = start;
  for (;;) {
    let lowest: StorageKey | undefined;
    let newest: T | undefined;
    for (const cursor of cursors) {
      const row = cursor.seek(from);
      // Strictly lower: of equal keys the first layer's row stays.
      if (row !== undefined && (lowest === undefined || row[0] < lowest)) {
        lowest = row[0];
        newest = row[1];
      }
    }
    if (lowest === undefined) return;
    if (newest !== undefined) yield [lowest, newest];
    from = successor(lowest);
  }
}

class LayerCursor<T> {
  readonly #layer: Layer<T>;
  readonly #end: StorageKey;
  #rows: Chunk<T | undefined>['rows'] = [];
  #more = true;
  #index = 0;
  #stamp = Number.NaN;
  #limit = firstChunkRows;

  constructor(layer: Layer<T>, end: StorageKey) {
    this.#layer = layer;
    this.#end = end;
  }

  /** The first row at or behind `from`. `from` never goes back. */
  seek(from: StorageKey): readonly [StorageKey, T | undefined] | undefined {
    const stamp = this.#layer.stamp();
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#rows = [];
      this.#index = 0;
      this.#more = true;
    }
    for (;;) {
      for (; this.#index < this.#rows.length; this.#index += 1) {
        const row = this.#rows[this.#index];
        if (row !== undefined && row[0] >= from) return row;
      }
      if (!this.#more) return undefined;
      const chunk = this.#layer.read(from, this.#end, this.#limit);
      assert(chunk.rows.length > 0 || !chunk.more, 'an empty chunk is the last one');
      this.#rows = chunk.rows;
      this.#more = chunk.more;
      this.#index = 0;
      this.#limit = Math.min(chunkRowsMax, this.#limit * 2);
    }
  }
}
