/**
 * Mutual exclusion between threads for a few instructions on shared memory: one Int32.
 *
 *     free 0 ──lock──► held 1 ──another wants it──► contended 2 ──unlock──► free 0, one of those who sleep is woken
 *
 * Who comes second sleeps in the kernel, so that a holder whose core was taken away costs nobody a spinning core. It is
 * not reentrant. A thread that dies while it holds it leaves it held; but a thread that dies takes the process down.
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
      // Whoever has slept takes it as contended: others may sleep still.
      while (Atomics.exchange(this.#cell, 0, contended) !== free) Atomics.wait(this.#cell, 0, contended);
    }
    try {
      return critical();
    } finally {
      if (Atomics.exchange(this.#cell, 0, free) === contended) Atomics.notify(this.#cell, 0, 1);
    }
  }
}
