/**
 * A batch as callers write it, and its result. Names follow the HTTP API, in JavaScript's case; the fencing token, `Lock`
 * on the wire, is `fence` here. Durations are milliseconds, or have their unit.
 */
import type { Duration } from './checks.ts';
import {
  deliveryOf,
  type Delivery,
  type DequeueOperation,
  type EnqueueOperation,
  type ExtendOperation,
  type MessageReceipt,
  type NackOperation,
  type SendResult,
  type WireMessage,
} from './queue-batch.ts';

/** What a batch does: everything or nothing, in one commit. */
export interface Batch {
  /** Only while these locks are held under these fences. Otherwise: `LockLostError`. */
  readonly guard?: readonly Guard[] | undefined;
  /** Only if the keys have these versions (0: the key does not exist), or exist or not, as each item says. */
  readonly check?: readonly CheckOperation[] | undefined;
  /** Changes of counters. */
  readonly atomic?: readonly AtomicOperation[] | undefined;
  /** Keys to read. The values are those from before this batch's `set`. */
  readonly get?: readonly string[] | undefined;
  /** Keys to write, and to delete. */
  readonly set?: readonly SetOperation[] | undefined;
  /** Take this lock first. Nothing renews it, unlike a lock of `client.lock`. */
  readonly lock?: BatchLock | undefined;
  /** Release this lock in the same commit. With the id of `lock`: extend it. Without a fence: release by force. */
  readonly unlock?:
    | {
        /** Name of the lock. */
        readonly id: string;
        /** The fencing token under which it is held. */
        readonly fence?: number | undefined;
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
  /** Ids of the caller that make a repeated batch happen once. */
  readonly idempotency?: BatchIdempotency | undefined;
}

/** A lock that must be held. A `Lock` of this client is one, too. */
export interface Guard {
  /** Name of the lock. */
  readonly id: string;
  /** The fencing token under which it must be held. */
  readonly fence: number;
}

/** A condition on a key. Otherwise: `VersionMismatchError`, or `PreconditionFailedError` for `exists`. */
export type CheckOperation =
  | {
      /** The key. */
      readonly key: string;
      /** The version that it must have; 0: it must not exist. */
      readonly version: number;
      /** Not together with `version`. */
      readonly exists?: undefined;
    }
  | {
      /** The key. */
      readonly key: string;
      /** Whether it must exist. */
      readonly exists: boolean;
      /** Not together with `exists`. */
      readonly version?: undefined;
    };

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
    }
  | {
      /** Name of the counter. */
      readonly key: string;
      /** Raises the counter to this if it is lower. */
      readonly max: number;
    }
  | {
      /** Name of the counter. */
      readonly key: string;
      /** Lowers the counter to this if it is higher. */
      readonly min: number;
    }
  | {
      /** Name of the counter. */
      readonly key: string;
      /** Sets the counter to this. */
      readonly set: number;
      /** Only if the counter has this value. Otherwise: `PreconditionFailedError`. */
      readonly ifEq?: number | undefined;
    };

/** Writes a key, or deletes it. */
export type SetOperation =
  | {
      /** The key. */
      readonly key: string;
      /** Any JSON value. */
      readonly value: unknown;
      /** Only if the key has this version; 0: only if it does not exist. */
      readonly version?: number | undefined;
      /** Milliseconds, or `'60s'`, until it expires; undefined: never. */
      readonly ttl?: Duration | undefined;
    }
  | {
      /** The key. */
      readonly key: string;
      /** Deletes it. A missing key is no error. */
      readonly delete: true;
      /** Only if the key has this version. */
      readonly version?: number | undefined;
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

/** What a batch has done. */
export interface BatchResult {
  /** The revision of the commit, or of the read. */
  readonly rev: number;
  /** In the order of `atomic`. */
  readonly atomic: readonly CounterResult[];
  /** In the order of `get`; undefined: there is no such key. */
  readonly get: readonly (Entry | undefined)[];
  /** In the order of `set`. */
  readonly set: readonly SetResult[];
  /** The lock that the batch has taken or extended. */
  readonly lock?: Grant;
  /** In the order of `enqueue`. */
  readonly enqueue?: readonly SendResult[];
  /** What `dequeue` has taken. */
  readonly messages?: readonly Delivery[];
}

/** A counter after its change. */
export interface CounterResult {
  /** Name of the counter. */
  readonly key: string;
  /** The new value. */
  readonly value: number;
  /** The value before. */
  readonly old: number;
}

/** A key with its value. */
export interface Entry<Value = unknown> {
  /** The key. */
  readonly key: string;
  /** The revision of the commit that has written it. Grows with each write. */
  readonly version: number;
  /** Any JSON. */
  readonly value: Value;
  /** When it expires, if it does: milliseconds since the epoch, by the server's clock. */
  readonly till?: number;
}

/** A key after it was written or deleted. */
export interface SetResult {
  /** The key. */
  readonly key: string;
  /** The new version; 0 after a delete. */
  readonly version: number;
  /** After a delete: whether the key existed. */
  readonly deleted?: boolean;
}

/** A lock that a batch has taken. */
export interface Grant {
  /** The fencing token. Grows with every holder of the lock. */
  readonly fence: number;
  /** When the lock ends: milliseconds since the epoch, by the server's clock. */
  readonly till: number;
  /** Set if the previous holder did not release the lock. */
  readonly recover?: Recover;
}

/** How the lease of the previous holder ended, if that holder did not release the lock. */
export interface Recover {
  /** The fencing token of that holder. */
  readonly fence: number;
  /** What that holder has passed as `meta`. */
  readonly meta?: unknown;
  /** Its lease ran out, or was ended by force. */
  readonly why: 'expired' | 'forced';
}

/** The reply to a batch, as documented for `POST /db/:acc`. */
interface WireResult {
  readonly Rev: number;
  readonly Atomic?: readonly { Key: string; Value: number; Old: number }[];
  readonly KV?: readonly WireEntry[];
  readonly KVSet?: readonly { Key: string; Version: number; Deleted?: boolean }[];
  readonly Lock?: number;
  readonly TillMs?: number;
  readonly Recover?: { Lock: number; Meta?: unknown; Why: 'expired' | 'forced' };
  readonly Enqueue?: readonly { ID: string; Duplicate?: boolean }[];
  readonly Dequeue?: { Queue: string; Messages: readonly WireMessage[] };
}

export interface WireEntry {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly TillMs?: number;
}

export function fromWire(body: object): BatchResult {
  const { Rev, Atomic = [], KV = [], KVSet = [], Lock, TillMs, Recover, Enqueue, Dequeue } = body as WireResult;
  return {
    rev: Rev,
    atomic: Atomic.map(({ Key, Value, Old }) => ({ key: Key, value: Value, old: Old })),
    get: KV.map(entryOf),
    set: KVSet.map(({ Key, Version, Deleted }) => ({
      key: Key,
      version: Version,
      ...(Deleted !== undefined && { deleted: Deleted }),
    })),
    ...(Lock !== undefined && { lock: grantOf(Lock, TillMs!, Recover) }),
    ...(Enqueue !== undefined && {
      enqueue: Enqueue.map(({ ID, Duplicate = false }) => ({ id: ID, duplicate: Duplicate })),
    }),
    ...(Dequeue !== undefined && { messages: Dequeue.Messages.map((message) => deliveryOf(Dequeue.Queue, message)) }),
  };
}

function grantOf(fence: number, till: number, recover: WireResult['Recover']): Grant {
  if (recover === undefined) return { fence, till };
  const { Lock, Meta, Why } = recover;
  return { fence, till, recover: { fence: Lock, why: Why, ...(Meta !== undefined && { meta: Meta }) } };
}

export function entryOf({ Key, Version, Value, TillMs }: WireEntry): Entry | undefined {
  if (Version === 0) return undefined;
  const entry = { key: Key, version: Version, value: Value };
  return TillMs === undefined ? entry : { ...entry, till: TillMs };
}
