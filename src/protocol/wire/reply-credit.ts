/**
 * Flow control from shard to front end. A MessagePort buffers without limit, and a shard can read large values faster
 * than a front end can send them. Each pair has one cell of shared memory: the shard adds what it sends, the front end
 * subtracts what it has taken, and a shard that is owed too much waits. The front end subtracts one turn later;
 * otherwise it would always find the port full, and its connections would starve.
 */
const unit = 16 * 1024;
/** Over this, requests of accounts with large answers wait. */
const largeOwedMax = (4 * 1024 * 1024) / unit;
/** Over this, all requests wait. */
const owedMax = (32 * 1024 * 1024) / unit;

export class ReplyCredit {
  /** Messages shorter than this count as 0. */
  static readonly small = unit;
  readonly #cells: Int32Array;
  readonly #cell: number;

  constructor(memory: SharedArrayBuffer, cell: number) {
    this.#cells = new Int32Array(memory);
    this.#cell = cell;
  }

  static allocate(cells: number): SharedArrayBuffer {
    return new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT);
  }

  /** What the shard must let wait until the front end has taken more. */
  get exhausted(): 'none' | 'large' | 'all' {
    const owed = Atomics.load(this.#cells, this.#cell);
    return owed > owedMax ? 'all' : owed > largeOwedMax ? 'large' : 'none';
  }

  /** Both sides must pass the same `length` for the same message. */
  sent(length: number): void {
    Atomics.add(this.#cells, this.#cell, Math.floor(length / unit));
  }

  taken(length: number): void {
    Atomics.sub(this.#cells, this.#cell, Math.floor(length / unit));
  }
}
