/** A counter in shared memory: a limit that all threads together observe exactly. */
import { assert } from './assert.ts';

/** Distance of two counters in the buffer: two threads that count different things do not contend for a cache line. */
export const sharedCountBytes = 64;

export class SharedCount {
  readonly #cell: Int32Array<SharedArrayBuffer>;

  /** @param place index of this counter in the shared buffer */
  constructor(memory: SharedArrayBuffer, place: number) {
    this.#cell = new Int32Array(memory, place * sharedCountBytes, 1);
  }

  get value(): number {
    return Atomics.load(this.#cell, 0);
  }

  /** Adds one. @returns false when there are `max` already */
  take(max: number): boolean {
    for (let seen = this.value; seen < max; ) {
      const found = Atomics.compareExchange(this.#cell, 0, seen, seen + 1);
      if (found === seen) return true;
      seen = found;
    }
    return false;
  }

  /** Adds without a limit. */
  add(count: number): void {
    Atomics.add(this.#cell, 0, count);
  }

  /** Subtracts what `take` has added. */
  give(count = 1): void {
    const before = Atomics.sub(this.#cell, 0, count);
    assert(before >= count, 'what is given back was taken');
  }
}
