/** A lock that is held: what may be done with it, and how it is given back. */
import type { Batch, BatchResult, Recover } from './batch.ts';
import { LockLostError, ReleasedError } from './errors.ts';
import { LeaseKeeper, type LeaseState } from './lease.ts';
import type { LeaseClock, Mark } from './lease-clock.ts';

export interface LockOptions {
  /** Milliseconds after which it ends if nobody renews it; while it is held, it is renewed. Default 30,000. */
  readonly ttl?: number | undefined;
  /** Milliseconds to stand in line for it, at most 300,000; 0: try once. Default 30,000. */
  readonly wait?: number | undefined;
  /** Gives the place in line up; nothing more once it is held. */
  readonly signal?: AbortSignal | undefined;
  /** Shown to whoever finds it busy. JSON, at most 1 KiB. */
  readonly meta?: unknown;
}

/** Milliseconds. A lease must outlive a few round trips; less is surely a mistake in the unit. */
export const ttlMin = 100;

export interface Acquisition {
  readonly id: string;
  readonly fence: number;
  readonly recover: Recover | undefined;
  readonly ttlMs: number;
  readonly sentAt: Mark;
  readonly clock: LeaseClock;
  renew(ttlMs: number, timeoutMs: number | undefined): Promise<Mark>;
  /** @throws LockLostError */
  giveBack(): Promise<void>;
  /** Of the client that it belongs to. */
  readonly heldLocks: Set<HeldLock>;
}

/** What a lock and a mutex have in common. */
export abstract class HeldLock implements AsyncDisposable {
  readonly id: string;
  /** Grows with every holder of this lock, for ever. Let whatever is protected refuse a lower one. */
  readonly fence: number;
  /** Set if the holder before did not give it back: what it guards may be half done. */
  readonly recover: Recover | undefined;
  /**
   * Fires before the lease can have ended, with a `LockLostError` (the server said so) or a `LeaseUnknownError` (it could
   * not be renewed in time) for its reason.
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
      renew: (timeoutMs) => acquisition.renew(acquisition.ttlMs, timeoutMs),
    });
    this.signal = this.lease.signal;
    acquisition.heldLocks.add(this);
  }

  get state(): LeaseState {
    return this.lease.state;
  }

  /** Milliseconds for which it is certainly still held, if nothing renews it. */
  get remaining(): number {
    return Math.max(0, this.lease.remaining);
  }

  /** @throws LockLostError, LeaseUnknownError, or ReleasedError */
  assertHeld(): void {
    this.lease.assertHeld();
  }

  /**
   * Gives it back; again: the same promise.
   * @throws LockLostError when it was lost before, so that somebody else may have had it meanwhile
   */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  /** `release` for `await using`: says nothing of what fails, so that it hides no error of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch(() => undefined);
  }

  /** It was given back by something else than `release`. */
  protected wasReleased(): void {
    this.lease.release();
    this.#acquisition.heldLocks.delete(this);
    this.#released ??= Promise.resolve();
  }

  protected assertNotReleased(): void {
    if (this.lease.state === 'released') throw new ReleasedError(`The lock ${JSON.stringify(this.id)} was released.`);
  }

  async #release(): Promise<void> {
    const state = this.lease.release();
    this.#acquisition.heldLocks.delete(this);
    if (state === 'lost') throw this.signal.reason;
    await this.#acquisition.giveBack();
  }
}

export type RunBatch = (batch: Batch) => Promise<BatchResult>;

/** A durable lock: it survives restarts of the server, and can guard batches. */
export class Lock extends HeldLock {
  readonly #run: RunBatch;

  constructor(acquisition: Acquisition, run: RunBatch) {
    super('lock', acquisition);
    this.#run = run;
  }

  /**
   * A batch that happens only while this lock is held: the server decides, in the same commit.
   * @param options `release`: the lock is given back in that commit too
   * @throws LockLostError, and whatever a batch throws
   */
  async batch(batch: Batch, options: { readonly release?: boolean } = {}): Promise<BatchResult> {
    this.assertNotReleased();
    const { id, fence } = this;
    const guard = [...(batch.guard ?? []), { id, fence }];
    try {
      const result = await this.#run({ ...batch, guard, ...(options.release === true && { unlock: { id, fence } }) });
      if (options.release === true) this.wasReleased();
      return result;
    } catch (error) {
      if (error instanceof LockLostError && error.lockId === id) this.lease.lost(error);
      throw error;
    }
  }
}

/** A lock in the server's memory: no disk in the path, gone at a restart. */
export class Mutex extends HeldLock {
  constructor(acquisition: Acquisition) {
    super('mutex', acquisition);
  }
}
