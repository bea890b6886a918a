/**
 * The places of keys that are written often, by a hash of their characters: they are found without the tree and without
 * a joined string. (A `Map` does the same, but V8 then looks each new string up in its table of all strings, which took
 * a quarter of a shard's time.)
 *
 * Open addressing in one array of numbers. A key stands within `window` places of where its hash says, or not at all:
 * then the tree finds it. So no choice of keys makes a search long. The hash begins with a number that differs in each
 * process, so that nobody can choose keys that crowd out those of others.
 *
 *   row   hash i32 | place of the key i32; 0 = free, −1 = there was one
 */
import crypto from 'node:crypto';
import type { AccountId } from '../../protocol/ids.ts';
import type { Kind } from '../../protocol/record.ts';
import { chunkShift, unitMask, type Chunk } from './chunk-arena.ts';
import { keyHeaderBytes, keyLengthMask } from './key-tree.ts';
import { toByteString } from '../storage-key.ts';

const rowsAtFirst = 512;
const window = 16;
const free = 0;
const gone = -1;

const seed = crypto.randomBytes(4).readInt32LE(0);

export class HotKeys {
  readonly #chunks: readonly Chunk[];
  readonly #max: number;
  #rows = new Int32Array(0);
  #mask = 0;
  #size = 0;
  /** Rows that are not free. */
  #used = 0;

  /** @param max the most keys */
  constructor(chunks: readonly Chunk[], max: number) {
    this.#chunks = chunks;
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** The place of the key, 0 = it is not here. */
  find(kind: Kind, account: AccountId, key: string): number {
    if (this.#size === 0) return 0;
    let hash = hashOf(kind, account);
    let all = 0;
    for (let i = 0; i < key.length; i += 1) {
      const code = key.charCodeAt(i);
      all |= code;
      hash = mix(hash, code);
    }
    // What is not ASCII is hashed as the bytes that it has in the arena.
    return all > 0x7f ? this.#findBytes(kind, account, toByteString(key)) : this.#search(hash, kind, account, key);
  }

  #findBytes(kind: Kind, account: AccountId, key: string): number {
    let hash = hashOf(kind, account);
    for (let i = 0; i < key.length; i += 1) hash = mix(hash, key.charCodeAt(i));
    return this.#search(hash, kind, account, key);
  }

  /** @returns whether the key is here now */
  add(place: number): boolean {
    if (this.#size >= this.#max) return false;
    if ((this.#used + 1) * 4 > this.#rows.length) this.#grow();
    if (!this.#put(this.#hashAt(place), place)) return false;
    this.#size += 1;
    return true;
  }

  delete(place: number): void {
    if (this.#size === 0) return;
    const rows = this.#rows;
    const hash = this.#hashAt(place);
    for (let step = 0, row = home(hash); step < window; step += 1, row += 1) {
      const at = (row & this.#mask) * 2;
      const found = rows[at + 1]!;
      if (found === free) return;
      if (found !== place) continue;
      rows[at + 1] = gone;
      this.#size -= 1;
      return;
    }
  }

  clear(): void {
    this.#rows = new Int32Array(0);
    this.#mask = 0;
    this.#size = 0;
    this.#used = 0;
  }

  #search(hash: number, kind: Kind, account: AccountId, key: string): number {
    const rows = this.#rows;
    for (let step = 0, row = home(hash); step < window; step += 1, row += 1) {
      const at = (row & this.#mask) * 2;
      const place = rows[at + 1]!;
      if (place === free) return 0;
      if (rows[at] === hash && place !== gone && this.#isAt(place, kind, account, key)) return place;
    }
    return 0;
  }

  /** @param key one character for each byte */
  #isAt(place: number, kind: Kind, account: AccountId, key: string): boolean {
    const { bytes, ints } = this.#chunks[place >>> chunkShift]!;
    const unit = place & unitMask;
    const { length } = account;
    if ((ints[unit * 2 + 3]! & keyLengthMask) !== length + key.length + 2) return false;
    let at = unit * 8 + keyHeaderBytes;
    if (bytes[at] !== length || bytes[at + length + 1] !== kind) return false;
    at += 1;
    for (let i = 0; i < length; i += 1) if (bytes[at + i] !== account.charCodeAt(i)) return false;
    at += length + 1;
    for (let i = 0; i < key.length; i += 1) if (bytes[at + i] !== key.charCodeAt(i)) return false;
    return true;
  }

  #hashAt(place: number): number {
    const { bytes, ints } = this.#chunks[place >>> chunkShift]!;
    const unit = place & unitMask;
    const start = unit * 8 + keyHeaderBytes;
    const end = start + (ints[unit * 2 + 3]! & keyLengthMask);
    let hash = seed;
    for (let at = start; at < end; at += 1) hash = mix(hash, bytes[at]!);
    return hash;
  }

  #put(hash: number, place: number): boolean {
    const rows = this.#rows;
    for (let step = 0, row = home(hash); step < window; step += 1, row += 1) {
      const at = (row & this.#mask) * 2;
      const found = rows[at + 1]!;
      if (found !== free && found !== gone) continue;
      if (found === free) this.#used += 1;
      rows[at] = hash;
      rows[at + 1] = place;
      return true;
    }
    return false;
  }

  /** Makes room, or only removes what is gone. A key that finds no place within its window is no longer here. */
  #grow(): void {
    const before = this.#rows;
    const rows = this.#size * 4 < before.length / 2 ? before.length / 2 : before.length;
    this.#rows = new Int32Array(Math.max(rowsAtFirst, rows) * 2);
    this.#mask = this.#rows.length / 2 - 1;
    this.#used = 0;
    this.#size = 0;
    for (let at = 0; at < before.length; at += 2) {
      const place = before[at + 1]!;
      if (place > 0 && this.#put(before[at]!, place)) this.#size += 1;
    }
  }
}

/** The hash of what stands before the key itself. */
function hashOf(kind: Kind, account: AccountId): number {
  let hash = mix(seed, account.length);
  for (let i = 0; i < account.length; i += 1) hash = mix(hash, account.charCodeAt(i));
  return mix(hash, kind);
}

function mix(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

/** The low bits of a product depend on the low bits of its factors alone. */
function home(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 7;
}
