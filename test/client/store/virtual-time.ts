/**
 * Time that passes only when nobody has anything left to do. Requests take real time and no virtual time; when none is
 * under way and everything that they set off has run, the clock jumps to the next timer. So leases of seconds are over in
 * milliseconds, and a slow machine changes nothing.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LeaseClock } from '../../../src/client/lease-clock.ts';

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** What a machine has of its own. */
export interface Machine {
  /** By how much its wall clock is wrong. */
  readonly wallSkewMs?: number;
}

/** Virtual time in which everything that is waited for comes. */
const patienceMs = 3_600_000;
/** Turns of the event loop in which it comes when nobody waits for any time. */
const patienceTurns = 100_000;

export class VirtualTime {
  nowMs = 0;
  readonly epochMs = 1_795_000_000_000;
  readonly #timers = new Set<Timer>();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #turns: number;
  #clocks = 0;

  /** @param turns of the event loop in which nothing is under way, before time passes: for what cannot be seen here */
  constructor({ turns = 1 }: { readonly turns?: number } = {}) {
    this.#turns = turns;
  }

  /** A clock for another machine: its monotonic time begins anywhere. */
  clock({ wallSkewMs = 0 }: Machine = {}): LeaseClock {
    this.#clocks += 1;
    const bootMs = this.#clocks * 1e6;
    return {
      mark: () => ({ monotonicMs: this.nowMs + bootMs, wallMs: this.epochMs + this.nowMs + wallSkewMs }),
      since: ({ monotonicMs }) => this.nowMs + bootMs - monotonicMs,
      after: (delayMs, run) => this.after(delayMs, run),
      pause: (delayMs, run) => this.after(delayMs, run),
    };
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + Math.max(0, delayMs), run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Time stands still until the call has returned. */
  async during<Result>(call: () => Promise<Result>): Promise<Result> {
    const result = call();
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#underWay.add(settled);
    void settled.then(() => this.#underWay.delete(settled));
    return await result;
  }

  /** Lets so many milliseconds pass, and everything happen in them. */
  async sleep(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await this.#quiet();
    for (let next = this.#next(); next !== undefined && next.atMs <= endMs; next = this.#next()) {
      await this.#fire(next);
    }
    this.nowMs = endMs;
  }

  /** Lets time pass until the promise is settled. */
  async until<Result>(promise: Promise<Result>): Promise<Result> {
    const outcome = { settled: false };
    const settle = (): void => void (outcome.settled = true);
    promise.then(settle, settle);
    const endMs = this.nowMs + patienceMs;
    let idle = 0;
    for (await this.#quiet(); !outcome.settled; await this.#quiet()) {
      const next = this.#next();
      idle = next === undefined ? idle + 1 : 0;
      if (next !== undefined) await this.#fire(next);
      if (this.nowMs > endMs || idle > patienceTurns) throw new Error(`it does not come until ${this.nowMs} ms`);
    }
    return await promise;
  }

  /** Until what could happen now has happened. */
  async #quiet(): Promise<void> {
    for (let turns = 0; turns < this.#turns; ) {
      await Promise.all(this.#underWay);
      await nextTurn();
      turns = this.#underWay.size > 0 ? 0 : turns + 1;
    }
  }

  async #fire(timer: Timer): Promise<void> {
    this.#timers.delete(timer);
    this.nowMs = Math.max(this.nowMs, timer.atMs);
    timer.run();
    await this.#quiet();
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.atMs < next.atMs) next = timer;
    return next;
  }
}
