/**
 * Which accounts use this front end most: one request in `oneIn` is looked at, and put into a sketch of bounded size
 * (space-saving: an account that is new takes the place of the one with the fewest requests, and its count with it). So
 * counts may be too high, never too low but for the sampling, and whoever is really busy is never missing. There are two
 * sketches, of five minutes each; together they know the last five to ten minutes.
 *
 * A request costs one subtraction and comparison; one in 61 a search among 256 accounts at most.
 */
import { busyAccountsMax } from '../shared/limits.ts';

/** A prime, so that clients with a rhythm do not hide. */
const oneIn = 61;
const halfMs = 5 * 60_000;

export interface BusyAccount {
  readonly account: string;
  /** Estimates for the time that the sketches know. */
  readonly requests: number;
  readonly bytes: number;
  /** From the head of a request to its reply, of all of them together, without those that wait. */
  readonly ms: number;
}

interface Counts {
  requests: number;
  bytes: number;
  ms: number;
}

export interface SampledRequest {
  /** Of the reply's body. */
  readonly bytes: number;
  readonly ms: number;
  /** It may have waited for a lock, a message or a change. */
  readonly waits: boolean;
}

export class BusyAccounts {
  readonly #now: () => number;
  #current = new Map<string, Counts>();
  #before = new Map<string, Counts>();
  #since: number;
  #beforeSince: number;
  #left = 1;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
    this.#beforeSince = this.#since;
  }

  /** Whether this request is one to be looked at. */
  isSampled(): boolean {
    this.#left -= 1;
    if (this.#left > 0) return false;
    this.#left = oneIn;
    return true;
  }

  add(account: string, { bytes, ms, waits }: SampledRequest): void {
    this.#turn();
    const counts = this.#current.get(account) ?? this.#place(account);
    counts.requests += oneIn;
    counts.bytes += oneIn * bytes;
    if (!waits) counts.ms += oneIn * ms;
  }

  /** @returns what is known, and for how many milliseconds */
  current(): { accounts: BusyAccount[]; ms: number } {
    this.#turn();
    const total = new Map<string, Counts>();
    for (const sketch of [this.#before, this.#current]) {
      for (const [account, { requests, bytes, ms }] of sketch) {
        const sum = total.get(account) ?? { requests: 0, bytes: 0, ms: 0 };
        total.set(account, { requests: sum.requests + requests, bytes: sum.bytes + bytes, ms: sum.ms + ms });
      }
    }
    const accounts = Array.from(total, ([account, counts]) => ({ account, ...counts }));
    return { accounts, ms: this.#now() - this.#beforeSince };
  }

  #turn(): void {
    const now = this.#now();
    if (now - this.#since < halfMs) return;
    const isOld = now - this.#since >= 2 * halfMs;
    this.#before = isOld ? new Map() : this.#current;
    this.#beforeSince = isOld ? now : this.#since;
    this.#current = new Map();
    this.#since = now;
  }

  #place(account: string): Counts {
    let counts: Counts = { requests: 0, bytes: 0, ms: 0 };
    if (this.#current.size >= busyAccountsMax) {
      let least: string | undefined;
      for (const [name, one] of this.#current) {
        if (least !== undefined && one.requests >= counts.requests) continue;
        least = name;
        counts = one;
      }
      this.#current.delete(least!);
    }
    this.#current.set(account, counts);
    return counts;
  }
}
