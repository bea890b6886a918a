/** A count in shared memory: a limit that all threads observe together, exactly. */
import { assert } from './assert.ts';

/** Counts of one memory are this far apart, so that threads that count different things do not fight for a cache line. */
export const sharedCountBytes = 64;

export class SharedCount {
  readonly #cell: Int32Array<SharedArrayBuffer>;

  /** @param place the how-manieth count of this memory */
  constructor(memory: SharedArrayBuffer, place: number) {
    this.#cell = new Int32Array(memory, place * sharedCountBytes, 1);
  }

  get value(): number {
    return Atomics.load(this.#cell, 0);
  }

  /** Counts one more, unless there are `max` already. */
  take(max: number): boolean {
    for (let seen = this.value; seen < max; ) {
      const found = Atomics.compareExchange(this.#cell, 0, seen, seen + 1);
      if (found === seen) return true;
      seen = found;
    }
    return false;
  }

  /** Takes some back. */
  give(count = 1): void {
    const before = Atomics.sub(this.#cell, 0, count);
    assert(before >= count, 'what is given back was taken');
  }
}
