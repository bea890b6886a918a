/**
 * One lock of a Dragon Lock server, for a locker. The server keeps the wait queue, the leases and the fences. This file
 * sends the requests in such a way that no lost reply leaves a lock behind.
 *
 * Each acquisition has an owner of its own: a retry with the same owner after a lost reply gets the same lock. A locker
 * that stops waiting asks once more, without waiting, and releases the lock if it got it. Only so can it see a grant
 * that was made while it was leaving.
 *
 * The client does not know when a grant that it waited for began. If that may be long ago, it renews the lease before
 * it returns it, and so has the time of a request to count from.
 */
import type { SetOperation } from '../batch.ts';
import type { DragonLock } from '../dragon-lock.ts';
import { LockLostError, NotLockedError, OutcomeUnknownError, VersionMismatchError } from '../errors.ts';
import type { Mark } from '../lease-clock.ts';
import type { OpenLocks } from '../open-locks.ts';
import type { StoreCalls } from '../store-calls.ts';
import type { LockGrant, LockBackend } from './locker.ts';
import { isAborted, type Environment } from './environment.ts';

export interface LockOnServerOptions {
  readonly key: string;
  readonly ttlMs: number;
  readonly client: DragonLock;
  /** Of the client. */
  readonly calls: StoreCalls;
  readonly environment: Environment;
  /** Of the store: work that outlives an acquire. */
  readonly open: OpenLocks;
  /** The pair under the lock's key while it is held. Absent: no pair is written. */
  readonly value?: unknown;
}

/** How long one request waits: the server's maximum. The next request starts at the end of the wait queue. */
const waitMs = 300_000;
/** How often an acquisition is sent again after the client has given up on its reply. */
const unknownMax = 3;
/** Milliseconds for a request that takes the place of one in the wait queue, and ends at once. */
const shortestWaitMs = 1;

export class LockOnServer implements LockBackend {
  readonly #options: LockOnServerOptions;

  constructor(options: LockOnServerOptions) {
    this.#options = options;
  }

  async acquire(wait: boolean, signal: AbortSignal | undefined): Promise<LockGrant | 'busy'> {
    const { ttlMs, environment } = this.#options;
    const owner = environment.nonce();
    let unknown = 0;
    while (!isAborted(signal)) {
      try {
        const grant = await this.#ask(owner, wait ? waitMs : 0, signal);
        const isFresh = environment.clock.since(grant.sentAt) < ttlMs / 4;
        if (!isFresh) await grant.renew(ttlMs);
        return grant;
      } catch (error) {
        if (isAborted(signal)) break;
        if (error instanceof NotLockedError) {
          if (!wait) return 'busy';
        } else if (error instanceof OutcomeUnknownError && unknown < unknownMax) {
          unknown += 1;
        } else if (!(error instanceof LockLostError)) {
          // The server may have granted the lock. If the release fails too, the lease expires.
          await this.#giveUp(owner, wait).catch(() => undefined);
          throw error;
        }
      }
    }
    await this.#giveUp(owner, wait);
    return 'busy';
  }

  async #ask(owner: string, waitMs: number, signal: AbortSignal | undefined): Promise<HeldLockOnServer> {
    const { key, ttlMs, calls, environment } = this.#options;
    const sentAt = environment.clock.mark();
    // Its owner makes it the same acquisition when it is sent again, and the key of the pair belongs to the lock.
    const { lock, set } = await calls.batch(
      { lock: { id: key, ttl: ttlMs, wait: waitMs, owner }, set: shownBy(this.#options) },
      { signal, retry: 'idempotent' },
    );
    if (lock === undefined) throw new TypeError('The reply to a lock request has no lock.');
    return new HeldLockOnServer(this.#options, { fence: lock.fence, sentAt, version: set[0]?.version });
  }

  /**
   * Releases the lock if it was granted to this owner. A request that waited may reach the server after this, or still
   * wait there, because a proxy can keep up the connection of a client that has gone. So this is done once more, by a
   * request that takes the place in the queue and ends at once.
   */
  async #giveUp(owner: string, waited: boolean): Promise<void> {
    await this.#release(owner, 0);
    if (waited) void this.#options.open.track(this.#release(owner, shortestWaitMs).catch(() => undefined));
  }

  async #release(owner: string, waitMs: number): Promise<void> {
    try {
      const grant = await this.#ask(owner, waitMs, undefined);
      await grant.release();
    } catch (error) {
      if (!(error instanceof NotLockedError || error instanceof LockLostError)) throw error;
    }
  }
}

/** One acquisition of the lock, until it is released or lost. */
class HeldLockOnServer implements LockGrant {
  readonly fence: number;
  readonly #options: LockOnServerOptions;
  #sentAt: Mark;
  /** Version of the pair that shows the holder. */
  #version: number | undefined;

  constructor(options: LockOnServerOptions, granted: { fence: number; sentAt: Mark; version: number | undefined }) {
    this.#options = options;
    this.fence = granted.fence;
    this.#sentAt = granted.sentAt;
    this.#version = granted.version;
  }

  get sentAt(): Mark {
    return this.#sentAt;
  }

  async renew(timeoutMs: number): Promise<Mark> {
    const { key, ttlMs, client, environment } = this.#options;
    const giveUp = new AbortController();
    const cancel = environment.clock.after(timeoutMs, () =>
      giveUp.abort(new Error(`no answer within ${Math.round(timeoutMs)} ms`)),
    );
    const sentAt = environment.clock.mark();
    try {
      const { set } = await client.batch(
        { lock: { id: key, ttl: ttlMs }, unlock: { id: key, fence: this.fence }, set: shownBy(this.#options) },
        { signal: giveUp.signal },
      );
      this.#sentAt = sentAt;
      this.#version = set[0]?.version;
      return sentAt;
    } finally {
      cancel();
    }
  }

  async release(): Promise<void> {
    const { key, client } = this.#options;
    const unlock = { id: key, fence: this.fence };
    if (this.#version === undefined) return void (await client.batch({ unlock }));
    try {
      await client.batch({ unlock, set: [{ key, delete: true, version: this.#version }] });
    } catch (error) {
      if (!(error instanceof VersionMismatchError)) throw error;
      // Another client has written under the lock's key: keep its pair.
      await client.batch({ unlock });
    }
  }
}

function shownBy(options: LockOnServerOptions): SetOperation[] {
  if (!('value' in options)) return [];
  return [{ key: options.key, value: options.value, ttl: options.ttlMs }];
}
