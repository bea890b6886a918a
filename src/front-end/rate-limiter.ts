/**
 * One leaky bucket for each account, shared by all front ends: `perSecond` requests a second, and one second's worth
 * may come at once. An admitted request may cost more than is left (an array of batches): then the account is in debt,
 * and its later requests are refused until it has paid.
 *
 * The buckets are the places of an `AccountTable`, and for each
 *
 *     Float64 fill, Float64 at, Float64 perSecond
 *
 * `fill` is how much of the bucket was used up at the millisecond `at`: a request pours in 1000, a millisecond drains
 * `perSecond`, and at 1000 × `perSecond` the bucket is full. All are whole numbers, so nothing is ever rounded. An
 * empty bucket carries no information and goes to the next account that needs one. All buckets of a set are in use only
 * when more than `ways` of its accounts send within a second. An account that then finds no bucket is admitted and not
 * counted: no account is ever refused because of others.
 */
import type { AccountId } from '../protocol/ids.ts';
import { AccountTable } from '../shared/account-table.ts';

const sets = 4096;
const buckets = sets * AccountTable.ways;
/** What one request pours in. */
const requestCost = 1000;
const levelsBytes = buckets * 24;

/** Rates of single accounts, instead of the one for all; 0: no limit. */
export type OwnRates = ReadonlyMap<string, number>;
const none: OwnRates = new Map();

export class RateLimiter {
  #perSecond: number;
  readonly #now: () => number;
  #own: OwnRates;
  readonly #buckets: Buckets;

  /** @param now milliseconds of a monotonic clock that is the same for all threads */
  constructor(memory: SharedArrayBuffer, perSecond: number, now: () => number, own: OwnRates = none) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#own = own;
    this.#buckets = new Buckets(memory);
  }

  /** Allocates the buckets. The memory is used only once accounts have limits. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(levelsBytes + AccountTable.bytes(sets));
  }

  /** Other rates, from the next request on. */
  replace(perSecond: number, own: OwnRates): void {
    this.#perSecond = perSecond;
    this.#own = own;
  }

  /** Requests a second that the account may send; 0: any number. */
  rateOf(account: AccountId): number {
    return this.#own.size === 0 ? this.#perSecond : (this.#own.get(account) ?? this.#perSecond);
  }

  /** @returns false when the account has used up its share for now */
  admit(account: AccountId): boolean {
    return this.#pour(account, 1, 'if it fits');
  }

  /** Charges `requests` in addition to the admitted one. */
  charge(account: AccountId, requests: number): void {
    this.#pour(account, requests, 'in any case');
  }

  #pour(account: AccountId, requests: number, how: 'if it fits' | 'in any case'): boolean {
    const perSecond = this.rateOf(account);
    if (perSecond === 0) return true;
    const table = this.#buckets;
    return table.accounts.mutex.run(() => {
      // Read under the mutex, so that the later of two threads does not bring the earlier time.
      const now = Math.floor(this.#now());
      const bucket = table.accounts.find(account, (place) => table.left(place, now) === 0);
      if (bucket === undefined) return true;
      // Whoever had the bucket before, it was empty.
      const fill = table.left(bucket, now);
      const poured = fill + requests * requestCost;
      const fits = how === 'in any case' || poured <= perSecond * requestCost;
      table.set(bucket, { fill: fits ? poured : fill, at: now, perSecond });
      return fits;
    });
  }
}

/** Access it only under the mutex of its accounts. */
class Buckets {
  readonly accounts: AccountTable;
  readonly #levels: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#levels = new Float64Array(memory, 0, buckets * 3);
    this.accounts = new AccountTable(memory, levelsBytes, sets);
  }

  /** Returns how much of the bucket is still used up. */
  left(bucket: number, now: number): number {
    const at = bucket * 3;
    return Math.max(0, this.#levels[at]! - (now - this.#levels[at + 1]!) * this.#levels[at + 2]!);
  }

  set(bucket: number, { fill, at, perSecond }: { fill: number; at: number; perSecond: number }): void {
    this.#levels[bucket * 3] = fill;
    this.#levels[bucket * 3 + 1] = at;
    this.#levels[bucket * 3 + 2] = perSecond;
  }
}
