import { revision, type Revision } from '../ids.ts';
import type { Revisions } from '../journal.ts';

/** Revisions of several threads: two 64-bit cells in shared memory, the counter and the durable revision. */
export class SharedRevisions implements Revisions {
  readonly #cells: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(memory);
  }

  static allocate(last: Revision): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(16);
    new BigInt64Array(memory).fill(BigInt(last));
    return memory;
  }

  next(): Revision {
    return revision(Number(Atomics.add(this.#cells, 0, 1n)) + 1);
  }

  current(): Revision {
    return revision(Number(Atomics.load(this.#cells, 0)));
  }

  durable(): Revision {
    return revision(Number(Atomics.load(this.#cells, 1)));
  }

  setDurable(durable: Revision): void {
    Atomics.store(this.#cells, 1, BigInt(durable));
  }
}
