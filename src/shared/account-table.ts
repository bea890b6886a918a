/**
 * Places in shared memory, each for one account at a time: what all threads together count of an account stands there.
 * The places form sets of `ways`; the hash of an account's name chooses its set. A place that carries no information
 * goes to the next account of its set that needs one.
 *
 *     Int32 mutex │ for each place: Int32 hash │ Uint8 length of name, its 64 characters
 */
import { assert } from './assert.ts';
import { SharedMutex } from './shared-mutex.ts';

const nameBytes = 1 + 64;
const headBytes = 8;

export class AccountTable {
  static readonly ways = 16;
  /** For what must be read and changed at one moment. */
  readonly mutex: SharedMutex;
  readonly #sets: number;
  readonly #hashes: Int32Array;
  readonly #names: Uint8Array;

  /** @param sets a power of two */
  constructor(memory: SharedArrayBuffer, offset: number, sets: number) {
    const places = sets * AccountTable.ways;
    this.#sets = sets;
    this.mutex = new SharedMutex(new Int32Array(memory, offset, 1));
    this.#hashes = new Int32Array(memory, offset + headBytes, places);
    this.#names = new Uint8Array(memory, offset + headBytes + places * 4, places * nameBytes);
  }

  static bytes(sets: number): number {
    return headBytes + sets * AccountTable.ways * (4 + nameBytes);
  }

  /**
   * Returns the account's place, or a free one that becomes its own; undefined when its set has none. Call it under the
   * mutex. @param isFree whether the account that has a place needs it no more
   */
  find(account: string, isFree: (place: number) => boolean): number | undefined {
    const hash = hashOf(account);
    const first = (hash & (this.#sets - 1)) * AccountTable.ways;
    let spare: number | undefined;
    for (let place = first; place < first + AccountTable.ways; place += 1) {
      if (this.#hashes[place] === hash && this.#isOf(place, account)) return place;
      if (spare === undefined && isFree(place)) spare = place;
    }
    if (spare !== undefined) this.#give(spare, account, hash);
    return spare;
  }

  #isOf(place: number, account: string): boolean {
    const start = place * nameBytes;
    if (this.#names[start] !== account.length) return false;
    for (let i = 0; i < account.length; i += 1) {
      if (this.#names[start + 1 + i] !== account.charCodeAt(i)) return false;
    }
    return true;
  }

  #give(place: number, account: string, hash: number): void {
    assert(account.length < nameBytes, 'a name of an account has at most 64 characters, all ASCII');
    const start = place * nameBytes;
    this.#hashes[place] = hash;
    this.#names[start] = account.length;
    for (let i = 0; i < account.length; i += 1) this.#names[start + 1 + i] = account.charCodeAt(i);
  }
}

/** FNV-1a, folded so that its low bits depend on all bits. */
function hashOf(account: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < account.length; i += 1) hash = Math.imul(hash ^ account.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 16)) | 0;
}
