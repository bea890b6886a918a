/**
 * A locker: takes a lock from its backend, keeps it by renewing its lease, and releases it.
 *
 *     free ──lock──► waiting ──granted──► held ──unlock──► free
 *      ▲                │ busy, cancelled   │ a renewal is refused, or none gets through in time
 *      └────────────────┘                   ▼
 *                                         lost ──unlock (reports whether another may have held it), or lock again
 *
 * The client's `lease.ts` decides how long a lease counts as held. It counts on this machine's clock, from the sending
 * of the request that began or renewed the lease; it renews after a third, and gives up a little before the end. So the
 * holder is always the first to know that its lease is over.
 */
import { LockLostError } from '../errors.ts';
import { LeaseKeeper } from '../lease.ts';
import type { Mark } from '../lease-clock.ts';
import type { OpenLocks } from '../open-locks.ts';
import { checkTtl, type Lease, type Locker, type LockOptions } from './store.ts';
import { LockAcquireCancelled, LockAcquireFailed } from './store-errors.ts';
import { isAborted, type Environment } from './environment.ts';

/** What a locker needs of its backend, for one lock. */
export interface LockBackend {
  /**
   * Tries until it gets the lock, or once when `wait` is false. After the signal has aborted it returns soon, with a
   * grant if it has one by then.
   */
  acquire(wait: boolean, signal: AbortSignal | undefined): Promise<LockGrant | 'busy'>;
}

export interface LockGrant {
  readonly fence: number;
  /** A time before the lease began. */
  readonly sentAt: Mark;
  /**
   * Gives up after `timeoutMs`. @returns a time before the renewed lease began
   * @throws LockLostError; after any other error the outcome is unknown, and the caller tries again
   */
  renew(timeoutMs: number): Promise<Mark>;
  /** After a success, another call changes nothing. @throws LockLostError */
  release(): Promise<void>;
}

interface Held {
  readonly grant: LockGrant;
  readonly lease: LeaseKeeper;
}

export interface StoreLockerOptions {
  readonly key: string;
  readonly backend: LockBackend;
  readonly options: LockOptions;
  readonly environment: Environment;
  /** Of the store: what it gives back when it is closed. */
  readonly open: OpenLocks;
}

export class StoreLocker implements Locker {
  readonly #key: string;
  readonly #backend: LockBackend;
  readonly #options: LockOptions;
  readonly #environment: Environment;
  readonly #open: OpenLocks;
  readonly #releasable = { release: () => this.unlock() };
  #waiting = false;
  #held: Held | undefined;

  constructor({ key, backend, options, environment, open }: StoreLockerOptions) {
    this.#key = key;
    this.#backend = backend;
    this.#options = options;
    this.#environment = environment;
    this.#open = open;
  }

  async lock({ signal }: { readonly signal?: AbortSignal } = {}): Promise<Lease> {
    if (this.#waiting || this.#held?.lease.state === 'held') {
      throw new LockAcquireFailed(`Cannot lock "${this.#key}": this locker holds it or waits for it already.`);
    }
    if (isAborted(signal)) throw this.#cancelled(signal?.reason);
    this.#waiting = true;
    try {
      return await this.#open.acquire(signal, async (stop) => {
        const grant = await this.#acquire(stop);
        const lease = this.#keep(grant);
        this.#held = { grant, lease };
        this.#open.hold(this.#releasable);
        return { fence: grant.fence, lost: lease.signal };
      });
    } finally {
      this.#waiting = false;
    }
  }

  async unlock(): Promise<void> {
    const held = this.#held;
    if (held === undefined) {
      throw new LockLostError('lock_lost', `Cannot unlock "${this.#key}": this locker does not hold it.`);
    }
    held.lease.release();
    this.#open.forget(this.#releasable);
    try {
      await held.grant.release();
    } catch (error) {
      // After any other error the outcome is unknown, and the caller may call `unlock` again.
      if (error instanceof LockLostError) this.#held = undefined;
      throw error;
    }
    this.#held = undefined;
  }

  async #acquire(signal: AbortSignal): Promise<LockGrant> {
    const grant = await this.#backend.acquire(this.#options.noPolling !== true, signal);
    if (isAborted(signal)) {
      // The grant came after the cancellation. If the release fails, the lease expires.
      if (grant !== 'busy') await grant.release().catch(() => undefined);
      throw this.#cancelled(signal.reason);
    }
    if (grant === 'busy') throw new LockAcquireFailed(`Cannot lock "${this.#key}": another holds it.`);
    return grant;
  }

  #cancelled(cause: unknown): LockAcquireCancelled {
    return new LockAcquireCancelled(`The wait for the lock "${this.#key}" was cancelled.`, { cause });
  }

  #keep(grant: LockGrant): LeaseKeeper {
    const { ttl, noRenewal = false, renewalStop } = this.#options;
    // A renewal that never settles leaves the lease as it is until it expires.
    const never = new Promise<never>(() => {});
    return new LeaseKeeper({
      name: `lock ${JSON.stringify(this.#key)}`,
      ttlMs: checkTtl(ttl),
      clock: this.#environment.clock,
      sentAt: grant.sentAt,
      renew: (timeoutMs) => (noRenewal || isAborted(renewalStop) ? never : grant.renew(timeoutMs)),
    });
  }
}
