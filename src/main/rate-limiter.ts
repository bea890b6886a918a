/**
 * A token bucket for each account: `perSecond` requests a second, of which one second's worth may come at once. A request
 * that is let in may cost more than is left (an array of batches): the account is then in debt, and later ones wait.
 */
import type { AccountId } from '../protocol/ids.ts';

interface Bucket {
  tokens: number;
  refilledAt: number;
}

/** Buckets kept before full ones, which say nothing, are thrown away. */
const bucketsMax = 10_000;

export class RateLimiter {
  readonly #perSecond: number;
  readonly #now: () => number;
  readonly #buckets = new Map<AccountId, Bucket>();

  /** @param now milliseconds of a monotonic clock */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#now = now;
  }

  /** @returns false when the account has used up its share for now */
  admit(account: AccountId): boolean {
    if (this.#perSecond === 0) return true;
    const bucket = this.#refilled(account);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** `requests` more than the one that was admitted. */
  charge(account: AccountId, requests: number): void {
    if (this.#perSecond > 0) this.#refilled(account).tokens -= requests;
  }

  #refilled(account: AccountId): Bucket {
    const now = this.#now();
    let bucket = this.#buckets.get(account);
    if (bucket === undefined) {
      if (this.#buckets.size >= bucketsMax) this.#forgetFull(now);
      bucket = { tokens: this.#perSecond, refilledAt: now };
      this.#buckets.set(account, bucket);
    }
    bucket.tokens = Math.min(this.#perSecond, bucket.tokens + ((now - bucket.refilledAt) / 1000) * this.#perSecond);
    bucket.refilledAt = now;
    return bucket;
  }

  #forgetFull(now: number): void {
    for (const [account, bucket] of this.#buckets) {
      const since = ((now - bucket.refilledAt) / 1000) * this.#perSecond;
      if (bucket.tokens + since >= this.#perSecond) this.#buckets.delete(account);
    }
  }
}
