/**
 * How much a shard may send to a front end before that has taken it: a port has no end of its own, and a shard can read
 * large values faster than a front end gets them out. One cell of shared memory for each pair; the shard adds what it
 * sends, the front end subtracts what it has taken, and a shard that is owed too much waits. The front end does so in
 * the turn after: else it would find the port full again and again, and never come to its connections.
 */
const unit = 16 * 1024;
const owedMax = (4 * 1024 * 1024) / unit;

export class ReplyCredit {
  /** Messages shorter than this need not be counted. */
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

  get exhausted(): boolean {
    return Atomics.load(this.#cells, this.#cell) > owedMax;
  }

  /** Both sides give the same `length` for the same message. */
  sent(length: number): void {
    Atomics.add(this.#cells, this.#cell, Math.floor(length / unit));
  }

  taken(length: number): void {
    Atomics.sub(this.#cells, this.#cell, Math.floor(length / unit));
  }
}
