/**
 * One leaky bucket for each account, shared by all front ends: `perSecond` requests a second, and one second's worth
 * may come at once. An admitted request may cost more than is left (an array of batches): then the account is in debt,
 * and its later requests are refused until it has paid.
 *
 * The buckets are a table in shared memory, in sets of `ways`; an account belongs to one set, by its hash:
 *
 *     Int32 mutex │ for each bucket: Float64 fill, Float64 at │ Int32 hash │ Uint8 length of name, its 64 characters
 *
 * `fill` is how much of the bucket was used up at the millisecond `at`: a request pours in 1000, a millisecond drains
 * `perSecond`, and at 1000 × `perSecond` the bucket is full. All are whole numbers, so nothing is ever rounded. An
 * empty bucket carries no information and goes to the next account that needs one. All buckets of a set are in use only
 * when more than `ways` of its accounts send within a second. An account that then finds no bucket is admitted and not
 * counted: no account is ever refused because of others.
 */
import type { AccountId } from '../protocol/ids.ts';
import { assert } from '../shared/assert.ts';
import { SharedMutex } from '../shared/shared-mutex.ts';

const sets = 4096;
const ways = 16;
const buckets = sets * ways;
/** What one request pours in. */
const requestCost = 1000;
const nameBytes = 1 + 64;
const offsets = {
  mutex: 0,
  levels: 8,
  hashes: 8 + buckets * 16,
  names: 8 + buckets * 20,
  end: 8 + buckets * (20 + nameBytes),
};

export class RateLimiter {
  readonly #perSecond: number;
  readonly #now: () => number;
  readonly #table: Table | undefined;

  /** @param now milliseconds of a monotonic clock that is the same for all threads */
  constructor(memory: SharedArrayBuffer, perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#table = perSecond === 0 ? undefined : new Table(memory);
  }

  /** Allocates the table; empty when there is no limit. */
  static allocate(perSecond: number): SharedArrayBuffer {
    return new SharedArrayBuffer(perSecond === 0 ? 0 : offsets.end);
  }

  /** @returns false when the account has used up its share for now */
  admit(account: AccountId): boolean {
    return this.#table === undefined || this.#pour(this.#table, account, 1, 'if it fits');
  }

  /** Charges `requests` in addition to the admitted one. */
  charge(account: AccountId, requests: number): void {
    if (this.#table !== undefined) this.#pour(this.#table, account, requests, 'in any case');
  }

  #pour(table: Table, account: AccountId, requests: number, how: 'if it fits' | 'in any case'): boolean {
    const hash = hashOf(account);
    return table.mutex.run(() => {
      // Read under the mutex, so that the later of two threads does not bring the earlier time.
      const now = Math.floor(this.#now());
      const bucket = table.find(account, hash, (fill, at) => fill <= (now - at) * this.#perSecond);
      if (bucket === undefined) return true;
      const fill = Math.max(0, table.fill(bucket) - (now - table.at(bucket)) * this.#perSecond);
      const poured = fill + requests * requestCost;
      const fits = how === 'in any case' || poured <= this.#perSecond * requestCost;
      table.set(bucket, fits ? poured : fill, now);
      return fits;
    });
  }
}

/** Access it only under its mutex. */
class Table {
  readonly mutex: SharedMutex;
  readonly #levels: Float64Array;
  readonly #hashes: Int32Array;
  readonly #names: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.mutex = new SharedMutex(new Int32Array(memory, offsets.mutex, 1));
    this.#levels = new Float64Array(memory, offsets.levels, buckets * 2);
    this.#hashes = new Int32Array(memory, offsets.hashes, buckets);
    this.#names = new Uint8Array(memory, offsets.names, buckets * nameBytes);
  }

  fill(bucket: number): number {
    return this.#levels[bucket * 2]!;
  }

  at(bucket: number): number {
    return this.#levels[bucket * 2 + 1]!;
  }

  set(bucket: number, fill: number, at: number): void {
    this.#levels[bucket * 2] = fill;
    this.#levels[bucket * 2 + 1] = at;
  }

  /** Returns the account's bucket, or an empty one that becomes its own; undefined when its set is full. */
  find(account: AccountId, hash: number, empty: (fill: number, at: number) => boolean): number | undefined {
    const first = (hash & (sets - 1)) * ways;
    let spare: number | undefined;
    for (let bucket = first; bucket < first + ways; bucket += 1) {
      if (this.#hashes[bucket] === hash && this.#isOf(bucket, account)) return bucket;
      if (spare === undefined && empty(this.fill(bucket), this.at(bucket))) spare = bucket;
    }
    if (spare !== undefined) this.#give(spare, account, hash);
    return spare;
  }

  #isOf(bucket: number, account: AccountId): boolean {
    const start = bucket * nameBytes;
    if (this.#names[start] !== account.length) return false;
    for (let i = 0; i < account.length; i += 1) {
      if (this.#names[start + 1 + i] !== account.charCodeAt(i)) return false;
    }
    return true;
  }

  #give(bucket: number, account: AccountId, hash: number): void {
    assert(account.length < nameBytes, 'a name of an account has at most 64 characters, all ASCII');
    const start = bucket * nameBytes;
    this.#hashes[bucket] = hash;
    this.#names[start] = account.length;
    for (let i = 0; i < account.length; i += 1) this.#names[start + 1 + i] = account.charCodeAt(i);
    this.set(bucket, 0, 0);
  }
}

/** FNV-1a, folded so that its low bits depend on all bits. */
function hashOf(account: AccountId): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < account.length; i += 1) hash = Math.imul(hash ^ account.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 16)) | 0;
}
