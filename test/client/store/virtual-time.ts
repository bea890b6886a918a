/**
 * Time that passes only when nothing is left to run. Requests take real time and no virtual time. When no request is in
 * flight and all its callbacks have run, the clock jumps to the next timer. So leases of seconds end within
 * milliseconds, and a slow machine changes nothing.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LeaseClock } from '../../../src/client/lease-clock.ts';

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** The settings of one machine. */
export interface Machine {
  /** The error of its wall clock. */
  readonly wallSkewMs?: number;
}

/** Maximum virtual time that `until` waits. */
const untilMsMax = 3_600_000;
/** Maximum turns of the event loop that `until` waits without any timer. */
const untilTurnsMax = 100_000;

export class VirtualTime {
  nowMs = 0;
  readonly epochMs = 1_795_000_000_000;
  readonly #timers = new Set<Timer>();
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #turns: number;
  #clocks = 0;

  /** @param turns of the event loop without a request before time passes: some work is invisible here */
  constructor({ turns = 1 }: { readonly turns?: number } = {}) {
    this.#turns = turns;
  }

  /** Makes the clock of another machine; each has its own origin of monotonic time. */
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

  /** Runs `call`, and stops time until its promise settles. */
  async during<Result>(call: () => Promise<Result>): Promise<Result> {
    const result = call();
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#inFlight.add(settled);
    void settled.then(() => this.#inFlight.delete(settled));
    return await result;
  }

  /** Lets `ms` pass and fires the timers in them. */
  async sleep(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await this.#idle();
    for (let next = this.#next(); next !== undefined && next.atMs <= endMs; next = this.#next()) {
      await this.#fire(next);
    }
    this.nowMs = endMs;
  }

  /** Lets time pass until the promise settles. */
  async until<Result>(promise: Promise<Result>): Promise<Result> {
    const outcome = { settled: false };
    const settle = (): void => void (outcome.settled = true);
    promise.then(settle, settle);
    const endMs = this.nowMs + untilMsMax;
    let idle = 0;
    for (await this.#idle(); !outcome.settled; await this.#idle()) {
      const next = this.#next();
      idle = next === undefined ? idle + 1 : 0;
      if (next !== undefined) await this.#fire(next);
      if (this.nowMs > endMs || idle > untilTurnsMax)
        throw new Error(`the promise has not settled by ${this.nowMs} ms`);
    }
    return await promise;
  }

  /** Waits until everything that can run now has run. */
  async #idle(): Promise<void> {
    for (let turns = 0; turns < this.#turns; ) {
      await Promise.all(this.#inFlight);
      await nextTurn();
      turns = this.#inFlight.size > 0 ? 0 : turns + 1;
    }
  }

  async #fire(timer: Timer): Promise<void> {
    this.#timers.delete(timer);
    this.nowMs = Math.max(this.nowMs, timer.atMs);
    timer.run();
    await this.#idle();
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.atMs < next.atMs) next = timer;
    return next;
  }
}
