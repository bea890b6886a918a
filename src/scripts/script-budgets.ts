/**
 * What the scripts of an account may use, counted by all front ends together: CPU time, and threads that had to be killed.
 *
 *   CPU time   a leaky bucket of one second: what a run has used is known only afterwards, and an account in debt waits
 *   kills      the times of the last ones; behind `scriptKillsMax` within `scriptKillsMs` its scripts rest
 *
 * For each place of an `AccountTable`: Float64 debt in µs, Float64 its time, Float64 rests until, Float64 what the account has in
 * a second, Float64 × scriptKillsMax kills.
 */
import { failure, type Failure } from '../protocol/errors.ts';
import type { AccountId } from '../protocol/ids.ts';
import { AccountTable } from '../shared/account-table.ts';
import { scriptKillsMax, scriptKillsMs, scriptRestMs } from './script-limits.ts';

const sets = 256;
const places = sets * AccountTable.ways;
const cellsOfPlace = 4 + scriptKillsMax;
const cellsBytes = places * cellsOfPlace * Float64Array.BYTES_PER_ELEMENT;
const debtAt = 1;
const restsAt = 2;
const perSecondAt = 3;
const killsAt = 4;

/** Milliseconds a second of the accounts that have their own. */
export type OwnCpuTime = ReadonlyMap<string, number>;

export class ScriptBudgets {
  readonly #cells: Float64Array;
  readonly #table: AccountTable;
  readonly #perSecond: number;
  #own: OwnCpuTime;
  readonly #now: () => number;

  /**
   * @param perSecond milliseconds of CPU time that an account has in a second; 0: no limit
   * @param now milliseconds of a monotonic clock that is the same for all threads
   */
  // oxlint-disable-next-line max-params -- one more than a constructor should have: tests have no accounts of their own
  constructor(memory: SharedArrayBuffer, perSecond: number, now: () => number, own: OwnCpuTime = new Map()) {
    this.#cells = new Float64Array(memory, 0, places * cellsOfPlace);
    this.#table = new AccountTable(memory, cellsBytes, sets);
    this.#perSecond = perSecond;
    this.#now = now;
    this.#own = own;
  }

  /** Other times of single accounts, from the next run on. */
  replace(own: OwnCpuTime): void {
    this.#own = own;
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(cellsBytes + AccountTable.bytes(sets));
  }

  /** Says why the account may not run anything now. */
  refusal(account: AccountId): Failure | undefined {
    return this.#table.mutex.run(() => {
      const now = this.#now();
      const place = this.#find(account, now);
      if (place === undefined) return undefined;
      const rest = this.#cells[place + restsAt]! - now;
      if (rest > 0) return resting(rest);
      const perSecond = this.#perSecondOf(account);
      const debt = this.#debt(place, now) - perSecond * 1000;
      return debt > 0 && perSecond > 0 ? tooMuch(perSecond, debt / perSecond) : undefined;
    });
  }

  /** Counts the CPU time of a run, and whether its thread had to be killed. */
  charge(account: AccountId, cpuMs: number, killed: boolean): void {
    this.#table.mutex.run(() => {
      const now = this.#now();
      const place = this.#find(account, now);
      if (place === undefined) return;
      const perSecond = this.#perSecondOf(account);
      this.#cells[place] = perSecond === 0 ? 0 : this.#debt(place, now) + Math.round(cpuMs * 1000);
      this.#cells[place + perSecondAt] = perSecond;
      this.#cells[place + debtAt] = now;
      if (killed) this.#kill(place, now);
    });
  }

  #kill(place: number, now: number): void {
    const kills = this.#cells.subarray(place + killsAt, place + cellsOfPlace);
    kills.copyWithin(0, 1);
    kills[scriptKillsMax - 1] = now;
    if (kills[0]! > 0 && now - kills[0]! < scriptKillsMs) this.#cells[place + restsAt] = now + scriptRestMs;
  }

  #perSecondOf(account: AccountId): number {
    return this.#own.get(account) ?? this.#perSecond;
  }

  /** At the pace that the account had when it ran something last. */
  #debt(place: number, now: number): number {
    return Math.max(0, this.#cells[place]! - (now - this.#cells[place + debtAt]!) * this.#cells[place + perSecondAt]!);
  }

  /** Returns the first cell of the account's place. */
  #find(account: AccountId, now: number): number | undefined {
    const isFree = (at: number): boolean => {
      const place = at * cellsOfPlace;
      const last = this.#cells[place + cellsOfPlace - 1]!;
      return this.#debt(place, now) === 0 && (last === 0 || now - last >= scriptKillsMs);
    };
    const before = this.#table.find(account, (at) => {
      if (!isFree(at)) return false;
      this.#cells.fill(0, at * cellsOfPlace, (at + 1) * cellsOfPlace);
      return true;
    });
    return before === undefined ? undefined : before * cellsOfPlace;
  }
}

function resting(restMs: number): Failure {
  const message =
    `Scripts of this account had to be killed ${scriptKillsMax} times within a minute; none is run for ` +
    `${Math.ceil(restMs / 1000)} s.`;
  return failure('rate_limited', message, {
    Quota: 'script_kills',
    Limit: scriptKillsMax,
    RetryAfterMs: Math.ceil(restMs),
  });
}

function tooMuch(perSecond: number, waitMs: number): Failure {
  const message =
    `Scripts of this account use more than ${perSecond} ms of CPU time a second (scripts.account_cpu_ms_per_second, or its script_cpu_ms_per_second); ` +
    'nothing was done, try again soon.';
  return failure('rate_limited', message, { Quota: 'script_cpu', Limit: perSecond, RetryAfterMs: Math.ceil(waitMs) });
}
