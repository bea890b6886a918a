/**
 * How long a lock may be believed in, seen from here.
 *
 * The server counts a lease from the moment at which it handles the request, which is no earlier than the moment at which
 * the request was sent. So measured from the sending, by a clock that does not fall behind, the lease cannot have ended
 * before its ttl is over. `unknown` comes a little before that, and nothing that happens here can make it late: whoever
 * looks at the signal makes it look at the clock first, so that an event loop that was blocked, or a process that was
 * stopped, finds it fired when it runs again, before any timer has.
 *
 *     held ──renewed──► held                       every third of the ttl, by a new sending
 *     held ──the server says so──► lost            expired, forced, given back
 *     held ──no renewal in time──► unknown         the lease may have ended
 *     held ──release──► released                   the signal stays silent
 *
 * The three on the right are final: a signal cannot be taken back, and what was begun in doubt should not go on.
 */
import { LeaseUnknownError, LockLostError, ReleasedError } from './errors.ts';
import type { DragonLockError } from './errors.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';

export type LeaseState = 'held' | 'lost' | 'unknown' | 'released';

export interface LeaseKeeperOptions {
  /** For messages: `lock "order:7"`. */
  readonly name: string;
  readonly ttlMs: number;
  readonly clock: LeaseClock;
  /** When the request was sent that got or extended it last. */
  readonly sentAt: Mark;
  /**
   * Extends it at the server; gives up after `timeoutMs`. @returns when that request was sent
   * @throws LockLostError when it is not held any more; anything else: not known, to be tried again
   */
  renew(timeoutMs: number): Promise<Mark>;
}

/** What clocks may differ by over one ttl, and by how much a deadline may be early at the server. */
function marginMs(ttlMs: number): number {
  return 10 + ttlMs / 100;
}

export class LeaseKeeper {
  readonly signal: AbortSignal;
  readonly #options: LeaseKeeperOptions;
  readonly #controller = new AbortController();
  #state: LeaseState = 'held';
  /** From here on the ttl is counted. */
  #sentAt: Mark;
  #ttlMs: number;
  #renewing: Promise<void> | undefined;
  /** Why the last renewal failed. */
  #failure: unknown;
  /** Counted from `#sentAt`, milliseconds. */
  #nextRenewal: number;
  #clearTimer: () => void = () => {};

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#sentAt = options.sentAt;
    this.#ttlMs = options.ttlMs;
    this.#nextRenewal = options.ttlMs / 3;
    this.signal = clockedSignal(this.#controller.signal, () => this.#look());
    this.#schedule();
  }

  get state(): LeaseState {
    this.#look();
    return this.#state;
  }

  /** Milliseconds until `unknown`, unless it is renewed; 0 if it is not held. */
  get remaining(): number {
    return this.state === 'held' ? this.#endMs - this.#options.clock.since(this.#sentAt) : 0;
  }

  /** @throws why it is not held */
  assertHeld(): void {
    const { name } = this.#options;
    if (this.state === 'released') throw new ReleasedError(`The ${name} was released.`);
    if (this.#state !== 'held') throw this.#controller.signal.reason;
  }

  /** The server has extended it. */
  extended(sentAt: Mark, ttlMs: number = this.#ttlMs): void {
    if (this.state !== 'held') return;
    this.#sentAt = sentAt;
    this.#ttlMs = ttlMs;
    this.#nextRenewal = ttlMs / 3;
    this.#schedule();
  }

  /** The server has said that it is not held. */
  lost(error: LockLostError): void {
    this.#end('lost', error);
  }

  /** Nobody relies on it any more. @returns how it stood until now */
  release(): LeaseState {
    const state = this.state;
    if (state === 'held') this.#end('released');
    return state;
  }

  get #endMs(): number {
    return this.#ttlMs - marginMs(this.#ttlMs);
  }

  #look(): void {
    if (this.#state !== 'held' || this.#options.clock.since(this.#sentAt) < this.#endMs) return;
    const { name } = this.#options;
    const message = `The ${name} may have expired: it was not renewed within its ttl of ${this.#ttlMs} ms.`;
    this.#end('unknown', new LeaseUnknownError(message, { cause: this.#failure }));
  }

  #end(state: Exclude<LeaseState, 'held'>, reason?: DragonLockError): void {
    if (this.#state !== 'held') return;
    this.#state = state;
    this.#clearTimer();
    if (reason !== undefined) this.#controller.abort(reason);
  }

  #schedule(): void {
    this.#clearTimer();
    const age = this.#options.clock.since(this.#sentAt);
    const due = this.#renewing === undefined ? Math.min(this.#nextRenewal, this.#endMs) : this.#endMs;
    this.#clearTimer = this.#options.clock.after(Math.max(0, due - age), () => this.#wake());
  }

  #wake(): void {
    this.#look();
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
      if (error instanceof LockLostError) return this.lost(error);
      this.#failure = error;
      this.#nextRenewal = this.#options.clock.since(this.#sentAt) + this.#ttlMs / 20;
      if (this.#state === 'held') this.#schedule();
    }
  }
}

/** The same signal, that looks at the clock before it says anything. */
function clockedSignal(signal: AbortSignal, look: () => void): AbortSignal {
  const ask = (name: 'aborted' | 'reason'): unknown => {
    look();
    return Reflect.get(AbortSignal.prototype, name, signal);
  };
  return Object.defineProperties(signal, {
    aborted: { get: () => ask('aborted') },
    reason: { get: () => ask('reason') },
    throwIfAborted: {
      value(): void {
        look();
        AbortSignal.prototype.throwIfAborted.call(signal);
      },
    },
  });
}
