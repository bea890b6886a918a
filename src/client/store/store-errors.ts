/**
 * What a store refuses, with the names that dynalock gives to its errors. What dynalock has no name for is told with the
 * client's, whatever the backend: LockLostError, LeaseUnknownError, OutcomeUnknownError.
 */

export abstract class StoreError extends Error {}

/** The key is not there: never was, was deleted, or its time is over. */
export class KeyNotFound extends StoreError {
  override name = 'KeyNotFound';
}

/** The key was to be created, and is there. */
export class KeyExists extends StoreError {
  override name = 'KeyExists';
}

/** Somebody has written the key since the pair was read. */
export class KeyModified extends StoreError {
  override name = 'KeyModified';
}

/** The signal aborted before the lock was ours. It is not held. */
export class LockAcquireCancelled extends StoreError {
  override name = 'LockAcquireCancelled';
}

/** Another holds the lock, and this locker was told not to wait. */
export class LockAcquireFailed extends StoreError {
  override name = 'LockAcquireFailed';
}
