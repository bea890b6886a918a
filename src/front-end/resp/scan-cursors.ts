/**
 * Where SCAN goes on. Clients want an integer, and a place in the order of keys is a key: so a cursor is the number of a
 * slot in shared memory, which any front end finds.
 *
 *     Int32 mutex │ Float64 opened │ for each slot: Float64 age │ Int32 use, Int32 hash of account, Uint16 length, text
 *
 * A cursor is `use` × slots + slot, and `use` grows each time that a slot is taken: a cursor whose slot has gone to
 * another is unknown, and never another's. No slot is ever given back, because a client may ask again with the same
 * cursor. When all are taken, the account that has the most of them loses its oldest; none has more than a 64th.
 */
import { SharedMutex } from '../../shared/shared-mutex.ts';

const slots = 4096;
const accountSlotsMax = slots / 64;
/** Account, NUL, key. */
const textBytesMax = 64 + 1 + 512;
const rowBytes = textBytesMax + 1;
const headBytes = 16;

export class ScanCursors {
  readonly #mutex: SharedMutex;
  readonly #opened: Float64Array;
  readonly #ages: Float64Array;
  readonly #uses: Int32Array;
  readonly #hashes: Int32Array;
  readonly #lengths: Uint16Array;
  readonly #texts: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    let at = headBytes;
    this.#mutex = new SharedMutex(new Int32Array(memory, 0, 1));
    this.#opened = new Float64Array(memory, 8, 1);
    this.#ages = new Float64Array(memory, at, slots);
    this.#uses = new Int32Array(memory, (at += slots * 8), slots);
    this.#hashes = new Int32Array(memory, (at += slots * 4), slots);
    this.#lengths = new Uint16Array(memory, (at += slots * 4), slots);
    this.#texts = new Uint8Array(memory, at + slots * 2, slots * rowBytes);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(headBytes + slots * (8 + 4 + 4 + 2 + rowBytes));
  }

  /** Returns a cursor after this key, above 0. */
  open(account: string, key: string): number {
    const text = Buffer.from(`${account}\0${key}`);
    const hash = hashOf(account);
    return this.#mutex.run(() => {
      const slot = this.#slotFor(hash);
      this.#opened[0]! += 1;
      this.#ages[slot] = this.#opened[0]!;
      this.#uses[slot] = (this.#uses[slot]! % 0x7ffffffe) + 1;
      this.#hashes[slot] = hash;
      this.#lengths[slot] = text.length;
      this.#texts.set(text, slot * rowBytes);
      return this.#uses[slot] * slots + slot;
    });
  }

  /** Returns the key after which this cursor of the account goes on; undefined: there is no such cursor any more. */
  find(account: string, cursor: number): string | undefined {
    const slot = cursor % slots;
    const text = this.#mutex.run(() => {
      if (this.#uses[slot] !== Math.floor(cursor / slots)) return undefined;
      const start = slot * rowBytes;
      return Buffer.from(this.#texts.slice(start, start + this.#lengths[slot]!)).toString('utf8');
    });
    const own = `${account}\0`;
    return text?.startsWith(own) === true ? text.slice(own.length) : undefined;
  }

  #slotFor(hash: number): number {
    const counts = new Map<number, number>();
    let free: number | undefined;
    for (let slot = 0; slot < slots; slot += 1) {
      if (this.#ages[slot] === 0) free ??= slot;
      else counts.set(this.#hashes[slot]!, (counts.get(this.#hashes[slot]!) ?? 0) + 1);
    }
    if ((counts.get(hash) ?? 0) >= accountSlotsMax) return this.#oldestOf(hash);
    if (free !== undefined) return free;
    const [heaviest] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most));
    return this.#oldestOf(heaviest);
  }

  #oldestOf(hash: number): number {
    let oldest = -1;
    for (let slot = 0; slot < slots; slot += 1) {
      if (this.#ages[slot] === 0 || this.#hashes[slot] !== hash) continue;
      if (oldest < 0 || this.#ages[slot]! < this.#ages[oldest]!) oldest = slot;
    }
    return oldest;
  }
}

/** FNV-1a. */
function hashOf(account: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < account.length; i += 1) hash = Math.imul(hash ^ account.charCodeAt(i), 0x01000193);
  return hash | 0;
}
