/**
 * Keeps a lease renewed, and knows how long the client may rely on it.
 *
 * The server counts a lease from the moment it handles the request, which is never before the client sent it. So if the
 * client counts from the send time, with a clock that does not fall behind, the lease cannot end before its ttl is
 * over. The state becomes `unknown` slightly earlier. Nothing in this process can delay that: every read of the signal
 * checks the clock first. After a blocked event loop or a stopped process, the signal has fired before any timer runs.
 * Timers stand still while a computer sleeps. So a short one looks at the clock again and again, for those who listen.
 *
 *     held ──renewed──► held                       every third of the ttl, by a new request
 *     held ──the server says so──► lost            expired, forced, released
 *     held ──no renewal in time──► unknown         the lease may have ended
 *     held ──release──► released                   the signal stays silent
 *     held ──interrupt──► released                 the process is about to end; the signal fires
 *
 * The last three states are final: a signal cannot be reset, and work that began in doubt should not go on.
 */
import { withCaller, type Caller } from './caller.ts';
import {
  LeaseUnknownError,
  LockLostError,
  ReceiptExpiredError,
  ReleasedError,
  type DragonLockError,
} from './errors.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';

/** `lost`: the server reported that the lease ended. `unknown`: it was not renewed in time, and may have ended. */
export type LeaseState = 'held' | 'lost' | 'unknown' | 'released';

export interface LeaseKeeperOptions {
  /** For messages: `lock "order:7"`. */
  readonly name: string;
  readonly ttlMs: number;
  readonly clock: LeaseClock;
  /** When the client sent the last request that granted or renewed the lease. */
  readonly sentAt: Mark;
  /** Of the call that took the lock: where the reason of the signal comes from. */
  readonly caller?: Caller | undefined;
  /**
   * Renews the lease at the server; gives up after `timeoutMs`. @returns when the request was sent
   * @throws LockLostError or ReceiptExpiredError if it is no longer held; any other error: unknown, to be tried again
   */
  renew(timeoutMs: number): Promise<Mark>;
}

/** Milliseconds after which the clock is looked at, at the latest. */
const lookMsMax = 500;

/** Covers clock drift over one ttl, and a deadline that fires early at the server. */
function marginMs(ttlMs: number): number {
  return 10 + ttlMs / 100;
}

export class LeaseKeeper {
  readonly signal: AbortSignal;
  readonly #options: LeaseKeeperOptions;
  readonly #controller = new AbortController();
  #state: LeaseState = 'held';
  /** The ttl counts from here. */
  #sentAt: Mark;
  #ttlMs: number;
  #renewing: Promise<void> | undefined;
  /** Why the last renewal failed. */
  #failure: unknown;
  /** Milliseconds after `#sentAt`. */
  #nextRenewal: number;
  #clearTimer: () => void = () => {};

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#sentAt = options.sentAt;
    this.#ttlMs = options.ttlMs;
    this.#nextRenewal = options.ttlMs / 3;
    this.signal = clockedSignal(this.#controller.signal, () => this.#checkClock());
    this.#schedule();
  }

  get state(): LeaseState {
    this.#checkClock();
    return this.#state;
  }

  /** Milliseconds until `unknown` without a renewal; 0 if the lease is not held. */
  get remaining(): number {
    return this.state === 'held' ? this.#endMs - this.#options.clock.since(this.#sentAt) : 0;
  }

  /** @throws the reason if the lease is not held */
  assertHeld(): void {
    const { name } = this.#options;
    if (this.state === 'released') throw new ReleasedError(`The ${name} was released.`);
    if (this.#state !== 'held') throw this.#controller.signal.reason;
  }

  /** Notes that the server has renewed the lease. */
  extended(sentAt: Mark, ttlMs: number = this.#ttlMs): void {
    if (this.state !== 'held') return;
    this.#sentAt = sentAt;
    this.#ttlMs = ttlMs;
    this.#nextRenewal = ttlMs / 3;
    this.#schedule();
  }

  /** Notes that the server reported the lock as not held. */
  lost(error: LockLostError | ReceiptExpiredError): void {
    this.#end('lost', error);
  }

  /** Notes that the lock is being released while its user is still at work: the signal fires. */
  interrupt(reason: ReleasedError): void {
    this.#end('released', reason);
  }

  /** Stops the renewals; the signal stays silent. @returns the state before */
  release(): LeaseState {
    const state = this.state;
    if (state === 'held') this.#end('released');
    return state;
  }

  get #endMs(): number {
    return this.#ttlMs - marginMs(this.#ttlMs);
  }

  #checkClock(): void {
    if (this.#state !== 'held' || this.#options.clock.since(this.#sentAt) < this.#endMs) return;
    const { name } = this.#options;
    const message = `The ${name} may have expired: it was not renewed within its ttl of ${this.#ttlMs} ms.`;
    this.#end('unknown', new LeaseUnknownError(message, { cause: this.#failure }));
  }

  #end(state: Exclude<LeaseState, 'held'>, reason?: DragonLockError): void {
    if (this.#state !== 'held') return;
    this.#state = state;
    this.#clearTimer();
    if (reason !== undefined) this.#controller.abort(withCaller(reason, this.#options.caller));
  }

  #schedule(): void {
    this.#clearTimer();
    const age = this.#options.clock.since(this.#sentAt);
    const due = this.#renewing === undefined ? Math.min(this.#nextRenewal, this.#endMs) : this.#endMs;
    // A held lock keeps the process alive: its user may wait for nothing but the signal.
    const delayMs = Math.min(Math.max(0, due - age), lookMsMax);
    this.#clearTimer = this.#options.clock.pause(delayMs, () => this.#onTimer());
  }

  #onTimer(): void {
    this.#checkClock();
    if (this.#state !== 'held') return;
    const age = this.#options.clock.since(this.#sentAt);
    if (this.#renewing === undefined && age >= this.#nextRenewal) this.#renewing = this.#renew(this.#endMs - age);
    this.#schedule();
  }

  async #renew(leftMs: number): Promise<void> {
    try {
      const sentAt = await this.#options.renew(Math.min(leftMs, this.#ttlMs / 3));
      this.#failure = undefined;
      this.#renewing = undefined;
      this.extended(sentAt);
    } catch (error) {
      this.#renewing = undefined;
      if (error instanceof LockLostError || error instanceof ReceiptExpiredError) return this.lost(error);
      this.#failure = error;
      this.#nextRenewal = this.#options.clock.since(this.#sentAt) + this.#ttlMs / 20;
      if (this.#state === 'held') this.#schedule();
    }
  }
}

/** Makes the signal check the clock at every read. */
function clockedSignal(signal: AbortSignal, checkClock: () => void): AbortSignal {
  const read = (name: 'aborted' | 'reason'): unknown => {
    checkClock();
    return Reflect.get(AbortSignal.prototype, name, signal);
  };
  return Object.defineProperties(signal, {
    aborted: { get: () => read('aborted') },
    reason: { get: () => read('reason') },
    throwIfAborted: {
      value(): void {
        checkClock();
        AbortSignal.prototype.throwIfAborted.call(signal);
      },
    },
  });
}
