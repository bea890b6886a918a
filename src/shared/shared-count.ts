/** Counters in shared memory: limits that all threads together observe exactly. */
import { assert } from './assert.ts';

/** Distance of two counters in the buffer: two threads that count different things do not contend for a cache line. */
export const sharedCountBytes = 64;
/** Bytes are counted in units of this size, rounded up, so that an Int32 can count them. */
export const bytesUnit = 256;

export class SharedCount {
  readonly #cells: Int32Array<SharedArrayBuffer>;

  /** @param place index of this counter in the shared buffer */
  constructor(memory: SharedArrayBuffer, place: number) {
    this.#cells = new Int32Array(memory, place * sharedCountBytes, 1);
  }

  get value(): number {
    return Atomics.load(this.#cells, 0);
  }

  /** Adds one. @returns false when there are `max` already */
  take(max: number): boolean {
    return takeUnits(this.#cells, 0, 1, max);
  }

  /** As `take`, for something of this size. Alone it fits always, so that nobody waits for ever. */
  takeBytes(bytes: number, max: number): boolean {
    const units = unitsOf(bytes);
    return takeUnits(this.#cells, 0, units, Math.max(units, Math.floor(max / bytesUnit)));
  }

  /** Adds without a limit. */
  add(count: number): void {
    Atomics.add(this.#cells, 0, count);
  }

  /** Subtracts what `take` has added. */
  give(count = 1): void {
    giveUnits(this.#cells, 0, count);
  }

  giveBytes(bytes: number): void {
    giveUnits(this.#cells, 0, unitsOf(bytes));
  }
}

export function unitsOf(bytes: number): number {
  return Math.ceil(bytes / bytesUnit);
}

/** Adds to a cell. @returns false when it would exceed `max` */
export function takeUnits(cells: Int32Array, cell: number, count: number, max: number): boolean {
  for (let seen = Atomics.load(cells, cell); seen + count <= max; ) {
    const found = Atomics.compareExchange(cells, cell, seen, seen + count);
    if (found === seen) return true;
    seen = found;
  }
  return false;
}

/** Subtracts what `takeUnits` has added. */
export function giveUnits(cells: Int32Array, cell: number, count: number): void {
  const before = Atomics.sub(cells, cell, count);
  assert(before >= count, 'what is given back was taken');
}
