/**
 * Store and Locker: keys with versions and locks with leases, behind one interface with two backends. One is a Dragon
 * Lock server (`dragon-lock-store.ts`), the other a table in DynamoDB for those who want no server at all
 * (`dynamodb-store.ts`).
 *
 * The interface is the one that users of Go know from dynalock and valkeyrie, with promises for blocking calls,
 * AbortSignals for channels, and rejections for returned errors (`store-errors.ts`). What a backend promises is written
 * down here, and `test/client/store/` holds both to it.
 *
 * Keys have 1 to 512 bytes of UTF-8 without NUL. Values are whatever JSON can say; `undefined` stands for null. All
 * durations are milliseconds, as in the client.
 */

export interface Store {
  /** Writes a key, whatever was there before. */
  put(key: string, options?: PutOptions): Promise<void>;

  /** @throws KeyNotFound */
  get(key: string, options?: ReadOptions): Promise<KVPair>;

  /**
   * Every pair whose key begins with `prefix`, in the order of the keys' bytes. The empty prefix begins them all.
   *
   * @throws KeyNotFound when there is none
   */
  list(prefix: string, options?: ReadOptions): Promise<KVPair[]>;

  /** Deletes a key. One that is not there is no error. */
  delete(key: string): Promise<void>;

  exists(key: string, options?: ReadOptions): Promise<boolean>;

  /**
   * Creates a key (without `previous`), or replaces exactly the pair that was read before.
   *
   * @throws KeyExists without `previous`, when the key is there
   * @throws KeyModified with `previous`, when the key is another pair by now, or none
   */
  atomicPut(key: string, options?: AtomicPutOptions): Promise<KVPair>;

  /**
   * Deletes exactly the pair that was read before.
   *
   * @throws KeyModified when the key is another pair by now
   * @throws KeyNotFound when it is not there
   */
  atomicDelete(key: string, previous: KVPair): Promise<void>;

  /** A locker for the lock of this name, not locked yet. Each caller that competes needs one of its own. */
  newLock(key: string, options?: LockOptions): Locker;
}

/** A store that tells of changes. */
export interface WatchableStore extends Store {
  /**
   * A key as it is now, and again after each change until the signal aborts: its pair, or `undefined` while there is
   * none. Whoever is slow misses what is in between, never what is last.
   */
  watch(key: string, options?: WatchOptions): AsyncIterable<KVPair | undefined>;

  /** Every pair whose key begins with `prefix`, now and again after each change. */
  watchTree(prefix: string, options?: WatchOptions): AsyncIterable<KVPair[]>;
}

export interface KVPair {
  readonly key: string;
  readonly value: unknown;
  /** Grows with each write of the key. In DynamoDB it may begin again some time after a deletion. */
  readonly version: number;
  /** Tells this write from every other, before a deletion and after it. Only the backend knows what it means. */
  readonly tag: string;
  /** From then on it is not there any more: milliseconds since the epoch. Absent: it stays. */
  readonly expires?: number;
}

export interface PutOptions {
  readonly value?: unknown;
  /** How long the pair is there: 20 s unless said otherwise, as in dynalock. */
  readonly ttl?: number;
  /** The pair stays until it is deleted. */
  readonly noExpiry?: boolean;
}

export interface AtomicPutOptions extends PutOptions {
  /** The pair to replace. Its deadline stays, unless `ttl` or `noExpiry` is given. */
  readonly previous?: KVPair | undefined;
}

export interface ReadOptions {
  /** `false` allows an answer that is a moment old, where that is cheaper: in DynamoDB half the price. */
  readonly consistent?: boolean;
}

export interface WatchOptions {
  readonly signal?: AbortSignal;
}

export interface LockOptions {
  /** How long the lock outlives its holder, if nobody gives it back: 20 s unless said otherwise. */
  readonly ttl?: number;
  /** Shown as the pair under the lock's key while it is held. Absent: no pair is written. */
  readonly value?: unknown;
  /** Ends the renewal: the lock is held until its time is over, and no longer. */
  readonly renewalStop?: AbortSignal;
  /** The lock is not renewed at all: it is held for `ttl` in total. */
  readonly noRenewal?: boolean;
  /** `lock` does not wait: it rejects with LockAcquireFailed when another holds the lock. */
  readonly noPolling?: boolean;
}

export interface Locker {
  /**
   * Waits until the lock is ours. The signal ends the waiting; to a lock that is held it means nothing.
   *
   * @throws LockAcquireCancelled when the signal aborts first
   * @throws LockAcquireFailed with `noPolling`, when another holds it; and when this very locker holds it or waits
   */
  lock(options?: { readonly signal?: AbortSignal }): Promise<Lease>;

  /** @throws LockLostError when it was not ours any more, or never */
  unlock(): Promise<void>;
}

export interface Lease {
  /**
   * The fencing token: larger than that of every lease of this lock before, for ever. Send it along with what is done
   * under the lock, so that whoever stores the result can refuse a holder that has been overtaken.
   */
  readonly fence: number;
  /**
   * Aborts before another can have the lock: time to stop. Its reason is a LockLostError (the backend said so) or a
   * LeaseUnknownError (it was not renewed in time). An unlock does not abort it.
   */
  readonly lost: AbortSignal;
}

export const defaultTtlMs = 20_000;

/** @throws RangeError */
export function checkTtl(ttl: number = defaultTtlMs): number {
  if (Number.isFinite(ttl) && ttl > 0) return ttl;
  throw new RangeError(`ttl: expected a number of milliseconds above 0, got ${ttl}`);
}

/** How long the pair shall be there; `undefined`: for ever. */
export function ttlOf({ ttl, noExpiry = false }: PutOptions): number | undefined {
  if (noExpiry && ttl !== undefined) throw new RangeError('expected ttl or noExpiry, got both');
  return noExpiry ? undefined : checkTtl(ttl);
}
