/**
 * The errors of a store, named as in dynalock. Where dynalock has no name, both backends throw the client's errors:
 * LockLostError, LeaseUnknownError, OutcomeUnknownError.
 */
import { TracedError } from '../caller.ts';

/** What all errors of a store have in common. */
export abstract class StoreError extends TracedError {}

/** The key does not exist: it never did, was deleted, or has expired. */
export class KeyNotFound extends StoreError {
  override name = 'KeyNotFound';
}

/** The key to create exists already. */
export class KeyExists extends StoreError {
  override name = 'KeyExists';
}

/** The key was written after the pair was read. */
export class KeyModified extends StoreError {
  override name = 'KeyModified';
}

/** The signal aborted before the lock was granted. The locker does not hold it. */
export class LockAcquireCancelled extends StoreError {
  override name = 'LockAcquireCancelled';
}

/** Another holds the lock, and this locker does not wait. */
export class LockAcquireFailed extends StoreError {
  override name = 'LockAcquireFailed';
}
