/**
 * What readers of history found damaged, over all front ends: shared memory, so that each place is told of once by the
 * whole server, however many readers come to it, and `/metrics` says where.
 *
 *   bytes 0-31   places found, readers refused, the lowest and the highest revision that cannot be read: one i64 each
 *   then         the places, each as a hash, 0: free. When there is no more room, further places are counted only.
 */
import { createHash } from 'node:crypto';
import type { DamagedPlace } from '../../protocol/journal.ts';
import type { HistoryDamageStats } from '../../protocol/stats.ts';

const counts = { places: 0, refused: 1, first: 2, last: 3 };
const firstSlot = 4;
/** Also bounds the lines in the log. */
const placesMax = 64;

export class HistoryDamage {
  readonly #cells: BigInt64Array<SharedArrayBuffer>;

  static readonly bytes = (firstSlot + placesMax) * BigInt64Array.BYTES_PER_ELEMENT;

  /** @param offset of its bytes in the shared buffer */
  constructor(memory: SharedArrayBuffer, offset: number) {
    this.#cells = new BigInt64Array(memory, offset, firstSlot + placesMax);
  }

  /** @returns whether this place is worth a line in the log: it is new, and there have not been too many */
  found({ file, offset, first, last }: DamagedPlace): boolean {
    const hash = createHash('sha256').update(`${file}:${offset}`).digest().readBigInt64LE(0) || 1n;
    let slot = firstSlot;
    for (; slot < this.#cells.length; slot += 1) {
      const before = Atomics.compareExchange(this.#cells, slot, 0n, hash);
      if (before === hash) return false;
      if (before === 0n) break;
    }
    Atomics.add(this.#cells, counts.places, 1n);
    this.#move(counts.first, BigInt(first), (seen, found) => seen === 0n || found < seen);
    this.#move(counts.last, BigInt(last), (seen, found) => found > seen);
    return slot < this.#cells.length;
  }

  refused(): void {
    Atomics.add(this.#cells, counts.refused, 1n);
  }

  stats(): HistoryDamageStats {
    const read = (place: number): number => Number(Atomics.load(this.#cells, place));
    return {
      places: read(counts.places),
      refused: read(counts.refused),
      firstRevision: read(counts.first),
      lastRevision: read(counts.last),
    };
  }

  #move(place: number, found: bigint, isFurther: (seen: bigint, found: bigint) => boolean): void {
    for (let seen = Atomics.load(this.#cells, place); isFurther(seen, found); ) {
      const before = Atomics.compareExchange(this.#cells, place, seen, found);
      if (before === seen) return;
      seen = before;
    }
  }
}
