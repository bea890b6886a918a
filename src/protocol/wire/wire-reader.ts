import { assert } from '../../shared/assert.ts';

export type ToShardWire = readonly (number | string)[];
export type Pieces = (number | string)[];

/** Reads a wire from front to back. */
export class WireReader {
  readonly #wire: ToShardWire;
  #at = 0;

  constructor(wire: ToShardWire) {
    this.#wire = wire;
  }

  get atEnd(): boolean {
    return this.#at === this.#wire.length;
  }

  next(): number | string {
    const piece = this.#wire[this.#at];
    assert(piece !== undefined, 'a wire holds whole messages');
    this.#at += 1;
    return piece;
  }

  number(): number {
    return this.next() as number;
  }

  text(): string {
    return this.next() as string;
  }
}
