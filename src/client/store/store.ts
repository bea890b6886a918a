/**
 * Store and Locker: keys with versions and locks with leases, one interface with two backends. One is a Dragon Lock
 * server (`dragon-lock-store.ts`), the other a table in DynamoDB, for applications without a server
 * (`dynamodb-store.ts`).
 *
 * Go programmers know the interface from dynalock and valkeyrie. Here it has promises instead of blocking calls,
 * AbortSignals instead of channels, and rejections instead of returned errors (`store-errors.ts`). This file says what
 * a backend guarantees, and `test/client/store/` checks both backends against it.
 *
 * Keys have 1 to 512 bytes of UTF-8 without NUL. Values are anything that JSON can express; `undefined` stands for
 * null. All durations are milliseconds, as in the client.
 */

export interface Store extends AsyncDisposable {
  /** Writes a key, whether it exists or not. */
  put(key: string, options?: PutOptions): Promise<void>;

  /** @throws KeyNotFound */
  get(key: string, options?: ReadOptions): Promise<KVPair>;

  /**
   * Returns every pair whose key begins with `prefix`, in the byte order of the keys. The empty prefix matches all.
   *
   * @throws KeyNotFound when there is none
   */
  list(prefix: string, options?: ReadOptions): Promise<KVPair[]>;

  /** Deletes a key. A missing key is no error. */
  delete(key: string): Promise<void>;

  exists(key: string, options?: ReadOptions): Promise<boolean>;

  /**
   * Creates a key (without `previous`), or replaces exactly the pair `previous`.
   *
   * @throws KeyExists without `previous`, when the key exists
   * @throws KeyModified with `previous`, when the key has another pair now, or none
   */
  atomicPut(key: string, options?: AtomicPutOptions): Promise<KVPair>;

  /**
   * Deletes exactly the pair `previous`.
   *
   * @throws KeyModified when the key has another pair now
   * @throws KeyNotFound when the key does not exist
   */
  atomicDelete(key: string, previous: KVPair): Promise<void>;

  /** Makes a locker for the lock of this name, not locked yet. Each competing caller needs its own. */
  newLock(key: string, options?: LockOptions): Locker;

  /**
   * Releases the locks that lockers of this store hold, and cancels those that wait, within 3 seconds. The client that
   * the store was made with stays open.
   */
  close(): Promise<void>;
}

/** A store that reports changes. */
export interface WatchableStore extends Store {
  /**
   * Yields the key's pair now and after each change until the signal aborts; `undefined` while there is none. A slow
   * consumer misses states in between, never the last one.
   */
  watch(key: string, options?: WatchOptions): AsyncIterable<KVPair | undefined>;

  /** Yields every pair whose key begins with `prefix`, now and after each change. */
  watchTree(prefix: string, options?: WatchOptions): AsyncIterable<KVPair[]>;
}

export interface KVPair {
  readonly key: string;
  readonly value: unknown;
  /** Grows with each write of the key. In DynamoDB it may start again some time after a deletion. */
  readonly version: number;
  /** Distinguishes this write from every other, before and after a deletion. Opaque outside the backend. */
  readonly tag: string;
  /** When the pair expires, in milliseconds since the epoch. Absent: never. */
  readonly expires?: number;
}

export interface PutOptions {
  readonly value?: unknown;
  /** Lifetime of the pair. Default 20 s, as in dynalock. */
  readonly ttl?: number;
  /** The pair never expires. */
  readonly noExpiry?: boolean;
}

export interface AtomicPutOptions extends PutOptions {
  /** The pair to replace. Its deadline is kept, unless `ttl` or `noExpiry` is given. */
  readonly previous?: KVPair | undefined;
}

export interface ReadOptions {
  /** `false` allows a slightly stale read where that is cheaper: in DynamoDB it costs half. */
  readonly consistent?: boolean;
}

export interface WatchOptions {
  readonly signal?: AbortSignal;
}

export interface LockOptions {
  /** How long the lock outlives a holder that does not release it. Default 20 s. */
  readonly ttl?: number;
  /** Written as a pair under the lock's key while the lock is held. Absent: no pair is written. */
  readonly value?: unknown;
  /** Stops the renewal: the lock is then held until its lease expires. */
  readonly renewalStop?: AbortSignal;
  /** Never renews the lock: it is held for `ttl` in total. */
  readonly noRenewal?: boolean;
  /** Makes `lock` reject with LockAcquireFailed instead of waiting when another holds the lock. */
  readonly noPolling?: boolean;
}

export interface Locker {
  /**
   * Waits for the lock. The signal ends the waiting; it does nothing once the lock is held.
   *
   * @throws LockAcquireCancelled when the signal aborts first
   * @throws LockAcquireFailed with `noPolling`, when another holds it; and when this locker already holds it or waits
   */
  lock(options?: { readonly signal?: AbortSignal }): Promise<Lease>;

  /** @throws LockLostError when this locker did not hold the lock any more, or never did */
  unlock(): Promise<void>;
}

export interface Lease {
  /**
   * The fencing token: larger than that of every earlier lease of this lock, for ever. Send it with each write under
   * the lock, so that the receiver can refuse a holder that has been overtaken.
   */
  readonly fence: number;
  /**
   * Aborts before another client can get the lock: stop then. Its reason is a LockLostError (the backend reported the
   * loss) or a LeaseUnknownError (the lease was not renewed in time). An unlock does not abort it.
   */
  readonly lost: AbortSignal;
}

export const defaultTtlMs = 20_000;

/** @throws RangeError */
export function checkTtl(ttl: number = defaultTtlMs): number {
  if (Number.isFinite(ttl) && ttl > 0) return ttl;
  throw new RangeError(`ttl: expected a number of milliseconds above 0, got ${ttl}`);
}

/** The lifetime of the pair in milliseconds; `undefined`: it never expires. */
export function ttlOf({ ttl, noExpiry = false }: PutOptions): number | undefined {
  if (noExpiry && ttl !== undefined) throw new RangeError('expected ttl or noExpiry, got both');
  return noExpiry ? undefined : checkTtl(ttl);
}
