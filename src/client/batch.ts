/**
 * A batch as callers write it; `batch-result.ts` has its result. Names follow the HTTP API, in JavaScript's case; the
 * fencing token, `Lock` on the wire, is `fence` here. Durations are milliseconds, or have their unit.
 */
import type { Duration } from './checks.ts';
import {
  type DequeueOperation,
  type EnqueueOperation,
  type ExtendOperation,
  type MessageReceipt,
  type NackOperation,
} from './queue-batch.ts';
import type { TaskCancelOperation, TaskOperation } from './task-batch.ts';

/** What a batch does: everything or nothing, in one commit. */
export interface Batch {
  /** Only while these locks are held under these fences. Otherwise: `LockLostError`. */
  readonly guard?: readonly Guard[] | undefined;
  /** Only if the keys have these versions (0: the key does not exist), or exist or not, as each item says. */
  readonly check?: readonly CheckOperation[] | undefined;
  /** Only if these rate limits have so much left, which is taken then. Otherwise: `LimitedError`. */
  readonly limit?: readonly LimitOperation[] | undefined;
  /** Changes of counters. */
  readonly atomic?: readonly AtomicOperation[] | undefined;
  /** Keys to read. The values are those from before this batch's `set`. */
  readonly get?: readonly string[] | undefined;
  /** A page of the keys under a prefix to read, at the same moment as `get`. */
  readonly range?: BatchRange | undefined;
  /** Keys to write, and to delete. */
  readonly set?: readonly SetOperation[] | undefined;
  /** Take this lock first. Nothing renews it, unlike a lock of `client.lock`. */
  readonly lock?: BatchLock | undefined;
  /** Take all of these locks first, under one fence. Nothing renews them, unlike those of `client.locks.all`. */
  readonly locks?: BatchLocks | undefined;
  /** Release these locks in the same commit. With the ids of `locks`: extend them. Without a fence: by force. */
  readonly unlocks?: { readonly ids: readonly string[]; readonly fence?: number | undefined } | undefined;
  /** Release this lock in the same commit. With the id of `lock`: extend it. Without a fence: release by force. */
  readonly unlock?:
    | {
        /** Name of the lock. */
        readonly id: string;
        /** The fencing token under which it is held. */
        readonly fence?: number | undefined;
        /** Of a force: the holder is told, and the audit log keeps it. 1 to 200 characters. */
        readonly reason?: string | undefined;
      }
    | undefined;
  /** Messages that are done: they are deleted in the same commit. Otherwise: `ReceiptExpiredError`. */
  readonly ack?: readonly MessageReceipt[] | undefined;
  /** Messages that are given back, to be tried again. */
  readonly nack?: readonly NackOperation[] | undefined;
  /** Messages to be kept for longer. */
  readonly extend?: readonly ExtendOperation[] | undefined;
  /** Take messages of a queue. One that waits stands alone in its batch. */
  readonly dequeue?: DequeueOperation | undefined;
  /** Messages to be put into queues. */
  readonly enqueue?: readonly EnqueueOperation[] | undefined;
  /** Tasks to be made. Otherwise: `DuplicateTaskError`. */
  readonly tasks?: readonly TaskOperation[] | undefined;
  /** Tasks to be cancelled. That there is none is no error. */
  readonly cancelTasks?: readonly TaskCancelOperation[] | undefined;
  /** Ids of the caller that make a repeated batch happen once. */
  readonly idempotency?: BatchIdempotency | undefined;
}

/** A page of keys that a batch reads. */
export interface BatchRange {
  /** What the keys begin with; empty: every key. */
  readonly prefix: string;
  /** Only keys after this one: `after` of the previous page. */
  readonly after?: string | undefined;
  /** Entries of the page. Default 100, at most 1000. */
  readonly limit?: number | undefined;
}

/** A lock that must be held. A `Lock` of this client is one, too. */
export interface Guard {
  /** Name of the lock. */
  readonly id: string;
  /** The fencing token under which it must be held. */
  readonly fence: number;
}

/** A condition on a key or counter. Otherwise: `PreconditionFailedError`, or `VersionMismatchError` for `version`. */
export type CheckOperation =
  | {
      /** The key. */
      readonly key: string;
      /** The version that it must have; 0: it must not exist. Not together with another condition. */
      readonly version: number;
    }
  | {
      /** The key. */
      readonly key: string;
      /** Whether it must exist. */
      readonly exists: boolean;
    }
  | {
      /** The key. */
      readonly key: string;
      /** The value that it must have; the order of members makes no difference. */
      readonly equals: unknown;
    }
  | {
      /** Name of a counter. */
      readonly counter: string;
      /** What the counter must be; 0 also if there is none. */
      readonly equals: number;
    };

/** Takes from a rate limit. Its parameters come with each call, and hold from then on. */
export interface LimitOperation {
  /** Name of the limit. */
  readonly key: string;
  /** How much comes back in each `per`; with at most three decimals. */
  readonly rate: number;
  /** Milliseconds, or `'1m'`. Default: 1 second. At most 31 days. */
  readonly per?: Duration | undefined;
  /** The most that can be there at once. Default: `rate`, rounded up. */
  readonly burst?: number | undefined;
  /** How much to take. Default 1. 0: only look. */
  readonly cost?: number | undefined;
  /**
   * Milliseconds, or `'10s'`, at most 5 minutes. If there is enough within this time, it is taken at once, and the call
   * ends when that time has come. Default 0. Not together with `lock`.
   */
  readonly wait?: Duration | undefined;
}

/** A change of a counter. */
export type AtomicOperation =
  | {
      /** Name of the counter. */
      readonly key: string;
      /** Is added; may be negative. */
      readonly add: number;
      /** Refused with `OutOfBoundsError` if it would lower the counter below this, or raise it above `ceil`. */
      readonly floor?: number | undefined;
      /** Refused with `OutOfBoundsError` if it would raise the counter above this. */
      readonly ceil?: number | undefined;
      /** Milliseconds, or `'1m'`, after which the counter ends if this makes it: a window. */
      readonly ttl?: Duration | undefined;
    }
  | {
      /** Name of the counter. */
      readonly key: string;
      /** Raises the counter to this if it is lower. */
      readonly max: number;
      /** Milliseconds, or `'1m'`, after which the counter ends if this makes it: a window. */
      readonly ttl?: Duration | undefined;
    }
  | {
      /** Name of the counter. */
      readonly key: string;
      /** Lowers the counter to this if it is higher. */
      readonly min: number;
      /** Milliseconds, or `'1m'`, after which the counter ends if this makes it: a window. */
      readonly ttl?: Duration | undefined;
    }
  | {
      /** Name of the counter. */
      readonly key: string;
      /** Sets the counter to this. */
      readonly set: number;
      /** Only if the counter has this value. Otherwise: `PreconditionFailedError`. */
      readonly ifEq?: number | undefined;
      /** Milliseconds, or `'1m'`, after which the counter ends if this makes it: a window. */
      readonly ttl?: Duration | undefined;
    };

/** Writes a key, or deletes it. */
export type SetOperation =
  | {
      /** The key. */
      readonly key: string;
      /** A merge patch (RFC 7396): members that are null go, objects are merged, anything else replaces. */
      readonly merge: unknown;
      /** Only if the key has this version; 0: only if it does not exist. */
      readonly version?: number | undefined;
      /** Milliseconds, or `'60s'`, until it expires; undefined: as before. */
      readonly ttl?: Duration | undefined;
      /** The result has what was there before the batch. */
      readonly old?: boolean | undefined;
    }
  | {
      /** The key. */
      readonly key: string;
      /** Any JSON value. */
      readonly value: unknown;
      /** Only if the key has this version; 0: only if it does not exist. */
      readonly version?: number | undefined;
      /** Milliseconds, or `'60s'`, until it expires; undefined: never. */
      readonly ttl?: Duration | undefined;
      /** The result has what was there before the batch. */
      readonly old?: boolean | undefined;
    }
  | {
      /** The key. */
      readonly key: string;
      /** Deletes it. A missing key is no error. */
      readonly delete: true;
      /** Only if the key has this version. */
      readonly version?: number | undefined;
      /** The result has what was there before the batch. */
      readonly old?: boolean | undefined;
    };

/** A lock that a batch takes. */
export interface BatchLock {
  /** Name of the lock. */
  readonly id: string;
  /** Milliseconds, or `'60s'`, after which the lock ends. At most 24 hours. */
  readonly ttl: Duration;
  /** Milliseconds, or `'60s'`, to wait for the lock, at most 5 minutes. Default 0: try once. */
  readonly wait?: Duration | undefined;
  /** Whoever asks again with the same owner gets the same grant. Absent: each request is another owner. */
  readonly owner?: string | undefined;
  /** JSON, shown to clients that find the lock busy. At most 1 KiB. */
  readonly meta?: unknown;
  /** `true`: together with other readers, and nobody else. Needs `owner`. */
  readonly read?: boolean | undefined;
  /** Take one of so many permits, 2 to 10,000. Needs `owner`. Not together with `read`. */
  readonly limit?: number | undefined;
}

/** Locks that a batch takes together. */
export interface BatchLocks extends Omit<BatchLock, 'id' | 'read' | 'limit'> {
  /** Names of the locks, 1 to 32. */
  readonly ids: readonly string[];
}

/** Ids that make a repeated batch happen once. */
export interface BatchIdempotency {
  /** If one of these ids was used before, within its ttl, the batch is a duplicate. */
  readonly ids: readonly string[];
  /** Milliseconds, or `'1d'`, for which the server remembers the ids. Default 24 hours. */
  readonly ttl?: Duration | undefined;
  /** A duplicate is refused with an error that holds the first reply, or answered with that reply. Default: refuse. */
  readonly mode?: 'refuse' | 'replay' | undefined;
}
