/**
 * Merges a shard's layers, newest first, into one ordered sequence. Of rows with the same key the newest wins; if that
 * is a tombstone, the key is left out.
 *
 * The merge reads every layer in chunks that grow from a few rows to many: a caller that stops early pays little, and
 * nothing stays open between two rows. If a layer has changed since its chunk was read (a put while the caller
 * iterates, a checkpoint that moved content down), the merge reads it again from after the last key returned. So the
 * sequence is a live view, ordered and without repetitions.
 */
import { assert } from '../shared/assert.ts';
import type { Rows } from './checkpoint-store.ts';
import { successor, type StorageKey } from './storage-key.ts';

/** Most readers of a group of messages want its first row. */
const firstChunkRows = 2;
const chunkGrowth = 4;
const chunkRowsMax = 256;

export interface Layer<T> {
  read(start: StorageKey, end: StorageKey, limit: number): Rows<T | undefined>;
  /** Changes whenever earlier chunks may be stale. */
  stamp(): number;
}

/**
 * Live rows with start ≤ key < end. `next` takes a key to go on from, which is not before the one that follows.
 *
 * @param layers newest first
 */
export function* mergeLayers<T>(
  layers: readonly Layer<T>[],
  start: StorageKey,
  end: StorageKey,
): Generator<readonly [StorageKey, T], void, StorageKey | undefined> {
  if (start >= end) return;
  const cursors = layers.map((layer) => new LayerCursor(layer, end));
  let from = start;
  for (;;) {
    let lowest: StorageKey | undefined;
    let newest: T | undefined;
    for (const cursor of cursors) {
      const row = cursor.seek(from);
      // Strictly lower, so that the first layer wins among equal keys.
      if (row !== undefined && (lowest === undefined || row[0] < lowest)) {
        lowest = row[0];
        newest = row[1];
      }
    }
    if (lowest === undefined) return;
    const next = newest === undefined ? undefined : yield [lowest, newest];
    from = next ?? successor(lowest);
  }
}

class LayerCursor<T> {
  readonly #layer: Layer<T>;
  readonly #end: StorageKey;
  #rows: Rows<T | undefined>['rows'] = [];
  #more = true;
  #index = 0;
  #stamp = Number.NaN;
  #limit = firstChunkRows;

  constructor(layer: Layer<T>, end: StorageKey) {
    this.#layer = layer;
    this.#end = end;
  }

  /** The first row at or after `from`. `from` never decreases. */
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
      this.#limit = Math.min(chunkRowsMax, this.#limit * chunkGrowth);
    }
  }
}
