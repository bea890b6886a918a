import { revision, type Revision } from '../ids.ts';
import type { Revisions } from '../journal.ts';

/**
 * Revisions of several threads, in shared memory: the counter, the durable revision, and for each router whether it waits
 * to be told of a higher durable one. Whoever makes revisions durable stores that first and then looks who waits; a router
 * says that it waits and then reads what is durable. So one of the two notices, and nobody is woken without need.
 */
export class SharedRevisions implements Revisions {
  readonly #cells: BigInt64Array;
  readonly #waiting: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(memory, 0, 2);
    this.#waiting = new Int32Array(memory, 16);
  }

  static allocate(last: Revision, routers: number): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(16 + routers * Int32Array.BYTES_PER_ELEMENT);
    new BigInt64Array(memory, 0, 2).fill(BigInt(last));
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

  /** Whether this router waits to be told of a higher durable revision. */
  awaits(router: number): boolean {
    return Atomics.load(this.#waiting, router) === 1;
  }

  /** After `true`, read what is durable: it may be told no more. */
  setAwaits(router: number, awaits: boolean): void {
    Atomics.store(this.#waiting, router, awaits ? 1 : 0);
  }

  /** What a router knows of them. */
  ofRouter(router: number): { durable: () => Revision; awaitDurable: (awaits: boolean) => void } {
    return { durable: () => this.durable(), awaitDurable: (awaits) => this.setAwaits(router, awaits) };
  }
}
