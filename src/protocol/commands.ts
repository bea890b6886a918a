/**
 * What a front end asks of a shard. Commands are validated when they are made: inside they are trusted and asserted.
 * They are plain JSON data, because they cross to the shard's thread as text (see `shard-wire.ts`).
 * Times are milliseconds, absent means "not asked for".
 */
import type { AccountId } from './ids.ts';

/** Every write, and most reads, are one batch: REST calls are batches of one operation with another `shape` of reply. */
export interface Batch {
  readonly kind: 'batch';
  readonly account: AccountId;
  readonly format: ReplyFormat;
  /** Of the values in the reply. Absent: `replyBytesMax`; less for each batch of an array body. */
  readonly replyBytesMax?: number;
  readonly lock?: LockOperation;
  readonly unlock?: UnlockOperation;
  readonly guard?: readonly GuardOperation[];
  readonly check?: readonly { readonly key: string; readonly version: number }[];
  readonly idempotency?: IdempotencyRequest;
  readonly counter?: readonly CounterOperation[];
  readonly sequence?: SequenceOperation;
  readonly get?: readonly string[];
  readonly set?: readonly SetOperation[];
}

/** How the reply is written. `batch` is that of `POST /db/:acc`; the others belong to one REST call each. */
export type ReplyFormat =
  | 'batch'
  | 'kv.get'
  | 'kv.set'
  | 'kv.delete'
  | 'counter.get'
  | 'counter.add'
  | 'counter.reset'
  | 'sequence.get'
  | 'sequence.next'
  | 'sequence.reset'
  | 'lock.acquire'
  | 'lock.release';

export interface LockOperation {
  readonly id: string;
  readonly durMs: number;
  /** 0: try once. */
  readonly waitMs: number;
  /** Chosen by the client for one lock instance; a secret. */
  readonly owner?: string;
  /** JSON text. */
  readonly meta?: string;
  /** Present: extend the lease held with this handle instead of taking the lock. */
  readonly extend?: number;
}

/** Give a lock back, by handle or by owner. With neither, it is forced (the front end has checked the scope). */
export interface UnlockOperation {
  readonly id: string;
  readonly handle?: number;
  readonly owner?: string;
}

export interface GuardOperation {
  readonly id: string;
  readonly handle: number;
}

export interface IdempotencyRequest {
  readonly ids: readonly string[];
  readonly ttlMs: number;
  /** `refuse` answers 409 duplicate_request; `replay` answers the stored reply. */
  readonly mode: 'refuse' | 'replay';
  /** Digest of what was asked, so that another payload under the same id is told apart. */
  readonly fingerprint: string;
}

export interface CounterOperation {
  readonly key: string;
  /** `get` reads, `reset` deletes; neither takes part in `POST /db/:acc`. */
  readonly op: 'add' | 'set' | 'max' | 'min' | 'get' | 'reset';
  readonly n: number;
  readonly ifEq?: number;
}

export interface SequenceOperation {
  readonly key: string;
  readonly op: 'next' | 'get' | 'reset';
  /** How many numbers `next` reserves, ≥ 1. */
  readonly n: number;
}

export interface SetOperation {
  readonly key: string;
  /** The value as JSON text. Absent: delete. */
  readonly value?: string;
  /** 0: only if there is none. */
  readonly version?: number;
  readonly ttlMs?: number;
}

/** `prefix` may be empty; `after` is exclusive; both are keys, not revisions. */
export interface KvList {
  readonly kind: 'kv.list';
  readonly account: AccountId;
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
}

export interface LockInspect {
  readonly kind: 'lock.inspect';
  readonly account: AccountId;
  readonly id: string;
  /** Succeed only while this handle holds the lock. */
  readonly fence?: number;
}

export interface LockList {
  readonly kind: 'lock.list';
  readonly account: AccountId;
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
}

export interface MutexLock {
  readonly kind: 'mutex.lock';
  readonly account: AccountId;
  readonly lock: LockOperation;
}

export interface MutexUnlock {
  readonly kind: 'mutex.unlock';
  readonly account: AccountId;
  readonly unlock: UnlockOperation;
}

/** Answers at once when the key's version differs; otherwise the reply has status 0 and an event follows later. */
export interface WatchKey {
  readonly kind: 'watch.key';
  readonly account: AccountId;
  readonly key: string;
  readonly version: number;
}

export type Command = Batch | KvList | LockInspect | LockList | MutexLock | MutexUnlock | WatchKey;
