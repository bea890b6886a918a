/** A held lock: what a client can do with it, and how it is released. */
import { callerOf, showCallers, withCaller, type Caller } from './caller.ts';
import type { Batch } from './batch.ts';
import type { BatchResult, Recover } from './batch-result.ts';
import { batchNames } from './batch-to-wire.ts';
import { invalid, type Duration } from './checks.ts';
import { LockLostError, ReleasedError } from './errors.ts';
import { LeaseKeeper, type LeaseState } from './lease.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';
import type { OpenLocks } from './open-locks.ts';
import { checkList, checkOptions, type NamesOf } from './option-names.ts';

/** Options of `client.lock` and `client.mutex`. */
export interface LockOptions {
  /**
   * Milliseconds, or `'30s'`, `'5m'`, after which the lock ends without a renewal, at most 24 hours. The client renews a
   * held lock. Default 30,000.
   */
  readonly ttl?: Duration | undefined;
  /** Milliseconds, or `'30s'`, to wait for the lock, at most 300,000; 0: try once. Default 30,000. */
  readonly wait?: Duration | undefined;
  /** Stops waiting; has no effect once the lock is held. */
  readonly signal?: AbortSignal | undefined;
  /** Shown to clients that find the lock busy. JSON, at most 1 KiB. */
  readonly meta?: unknown;
  /** `true`: hold it together with other readers, and nobody else beside them. Default false. Not of a mutex. */
  readonly read?: boolean | undefined;
}

/** Milliseconds. A lease must outlive a few round trips; less is almost certainly seconds passed as milliseconds. */
export const ttlMin = 100;

export interface Acquisition {
  readonly id: string;
  readonly fence: number;
  readonly recover: Recover | undefined;
  readonly ttlMs: number;
  readonly sentAt: Mark;
  readonly clock: LeaseClock;
  readonly caller: Caller | undefined;
  renew(ttlMs: number, timeoutMs: number | undefined): Promise<Mark>;
  /** @throws LockLostError */
  release(): Promise<void>;
  /** All open locks of the client. */
  readonly open: OpenLocks;
}

/** Common base of locks and mutexes. */
export abstract class HeldLock implements AsyncDisposable {
  /** Name of the lock. */
  readonly id: string;
  /** The fencing token: grows with every holder of this lock. Let every protected resource refuse a lower one. */
  readonly fence: number;
  /** Set if the previous holder did not release the lock: the guarded work may be half done. */
  readonly recover: Recover | undefined;
  /**
   * Fires before the lease can have ended. Its reason is a `LockLostError` (the server reported it) or a
   * `LeaseUnknownError` (the lease was not renewed in time).
   */
  readonly signal: AbortSignal;
  protected readonly lease: LeaseKeeper;
  readonly #acquisition: Acquisition;
  #released: Promise<void> | undefined;

  constructor(kind: 'lock' | 'mutex', acquisition: Acquisition) {
    this.id = acquisition.id;
    this.fence = acquisition.fence;
    this.recover = acquisition.recover;
    this.#acquisition = acquisition;
    this.lease = new LeaseKeeper({
      name: `${kind} ${JSON.stringify(acquisition.id)}`,
      ttlMs: acquisition.ttlMs,
      clock: acquisition.clock,
      sentAt: acquisition.sentAt,
      caller: acquisition.caller,
      renew: (timeoutMs) => acquisition.renew(acquisition.ttlMs, timeoutMs),
    });
    this.signal = this.lease.signal;
    acquisition.open.hold(this);
  }

  /** Whether it is held, as far as this client knows. Checks the clock at each use. */
  get state(): LeaseState {
    return this.lease.state;
  }

  /** Milliseconds for which the lock is certainly held without a renewal. */
  get remaining(): number {
    return Math.max(0, this.lease.remaining);
  }

  /** Does nothing while the lock is held. @throws LockLostError, LeaseUnknownError, or ReleasedError */
  assertHeld(): void {
    this.lease.assertHeld();
  }

  /**
   * Releases the lock. A second call returns the same promise.
   * @throws LockLostError if the lock was lost before, so another client may have held it meanwhile
   */
  release(): Promise<void> {
    this.#released ??= this.#release(callerOf(Reflect.get(HeldLock.prototype, 'release')));
    return this.#released;
  }

  /** `release` for `await using`. Swallows its errors, so that they do not hide an error of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch(() => undefined);
  }

  /** @internal The process is about to end: fires the signal, before the release. */
  interrupt(reason: ReleasedError): void {
    this.lease.interrupt(reason);
  }

  /** Notes that a batch has released the lock. */
  #wasReleased(): void {
    this.lease.release();
    this.#acquisition.open.forget(this);
    this.#released ??= Promise.resolve();
  }

  /** Runs a batch that the server does only while all of these locks are held, and perhaps ends them with it. */
  protected async runWhileHeld(batch: Batch, options: LockBatchOptions, how: HeldBatch): Promise<BatchResult> {
    checkOptions(options, lockBatchNames);
    checkOptions(batch, batchNames);
    checkList(batch.guard, 'guard');
    this.#assertNotReleased();
    const { run, ids, unlocking } = how;
    const { fence } = this;
    const guard = [...(batch.guard ?? []), ...ids.map((id) => ({ id, fence }))];
    const releases = options.release === true;
    if (releases && (batch.unlock ?? batch.unlocks) !== undefined)
      throw invalid(`release: given together with ${unlocking.twice}`);
    try {
      const result = await run({ ...batch, guard, ...(releases && unlocking.with) });
      if (releases) this.#wasReleased();
      return result;
    } catch (error) {
      if (error instanceof LockLostError && ids.includes(error.lockId ?? '')) this.lease.lost(error);
      throw error;
    }
  }

  #assertNotReleased(): void {
    if (this.lease.state === 'released') throw new ReleasedError(`The lock ${JSON.stringify(this.id)} was released.`);
  }

  async #release(caller: Caller): Promise<void> {
    const state = this.lease.release();
    this.#acquisition.open.forget(this);
    if (state === 'lost') throw this.signal.reason;
    try {
      await this.#acquisition.release();
    } catch (error) {
      throw withCaller(error, caller);
    }
  }
}

export type RunBatch = (batch: Batch) => Promise<BatchResult>;

interface HeldBatch {
  readonly run: RunBatch;
  /** The locks that must be held. */
  readonly ids: readonly string[];
  /** What a release adds to the batch, and how a batch is refused that has such a member already. */
  readonly unlocking: { readonly with: Pick<Batch, 'unlock' | 'unlocks'>; readonly twice: string };
}

/** Options of `lock.batch`. */
export interface LockBatchOptions {
  /** Also releases the lock, in the same commit. Default false. */
  readonly release?: boolean | undefined;
}

const lockBatchNames: NamesOf<LockBatchOptions> = { release: true };

/** A durable lock. It survives restarts of the server and can guard batches. */
export class Lock extends HeldLock {
  static {
    showCallers(this, 'batch');
  }

  readonly #run: RunBatch;

  constructor(acquisition: Acquisition, run: RunBatch) {
    super('lock', acquisition);
    this.#run = run;
  }

  /**
   * Runs a batch only while this lock is held. The server checks it in the same commit.
   * @param options `release`: also releases the lock in that commit
   * @throws LockLostError, and every error of a batch
   */
  async batch(batch: Batch, options: LockBatchOptions = {}): Promise<BatchResult> {
    const { id, fence } = this;
    const unlocking = { with: { unlock: { id, fence } }, twice: 'unlock; expected one of the two' };
    return this.runWhileHeld(batch, options, { run: this.#run, ids: [id], unlocking });
  }
}

/** Several locks under one fence, all taken in one commit. */
export class LockSet extends HeldLock {
  static {
    showCallers(this, 'batch');
  }

  /** Names of the locks. */
  readonly ids: readonly string[];
  readonly #run: RunBatch;

  constructor(ids: readonly string[], acquisition: Acquisition, run: RunBatch) {
    super('lock', acquisition);
    this.ids = ids;
    this.#run = run;
  }

  /**
   * Runs a batch only while all of the locks are held. The server checks it in the same commit.
   * @param options `release`: also releases all of them in that commit
   * @throws LockLostError, and every error of a batch
   */
  async batch(batch: Batch, options: LockBatchOptions = {}): Promise<BatchResult> {
    const { ids, fence } = this;
    const unlocking = { with: { unlocks: { ids, fence } }, twice: 'unlock or unlocks; expected one of them' };
    return this.runWhileHeld(batch, options, { run: this.#run, ids, unlocking });
  }
}

/** A lock in the server's memory: no disk in the path, lost at a restart. */
export class Mutex extends HeldLock {
  constructor(acquisition: Acquisition) {
    super('mutex', acquisition);
  }
}
