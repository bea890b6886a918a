/**
 * Mutual exclusion between threads for a few instructions on shared memory: one Int32.
 *
 *     free 0 ──lock──► held 1 ──another thread waits──► contended 2 ──unlock──► free 0, one sleeping thread is woken
 *
 * A waiting thread sleeps in the kernel: if the scheduler suspends the holder, no core spins. The mutex is not
 * reentrant. A thread that dies while it holds the mutex leaves it held, but such a death takes the process down.
 */
const free = 0;
const held = 1;
const contended = 2;

export class SharedMutex {
  readonly #cell: Int32Array<SharedArrayBuffer>;

  /** @param cell of one element; 0 at first */
  constructor(cell: Int32Array<SharedArrayBuffer>) {
    this.#cell = cell;
  }

  run<T>(critical: () => T): T {
    if (Atomics.compareExchange(this.#cell, 0, free, held) !== free) {
      // After waking, lock as contended: other threads may still be asleep.
      while (Atomics.exchange(this.#cell, 0, contended) !== free) Atomics.wait(this.#cell, 0, contended);
    }
    try {
      return critical();
    } finally {
      if (Atomics.exchange(this.#cell, 0, free) === contended) Atomics.notify(this.#cell, 0, 1);
    }
  }
}
