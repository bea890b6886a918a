import { DragonLockError } from './errors.ts';

/** The lock is held in another way: with other permits, alone, or by readers. A wait would not help. */
export class LimitMismatchError extends DragonLockError {
  /** The permits that the lock is held with; undefined: it is held without any. */
  get limit(): number | undefined {
    const { LockLimit } = (this.details['Holder'] ?? {}) as { LockLimit?: number };
    return LockLimit;
  }
}
