/**
 * A batch as callers write it, and its result. Names follow the HTTP API, in JavaScript's case; the fencing token, `Lock`
 * on the wire, is `fence` here. Durations are milliseconds, or have their unit.
 */
import type { Duration } from './checks.ts';

export interface Batch {
  /** Only while these locks are held under these fences. */
  readonly guard?: readonly Guard[] | undefined;
  /** Only if the keys have these versions (0: the key does not exist), or exist or not, as each item says. */
  readonly check?: readonly CheckOperation[] | undefined;
  readonly atomic?: readonly AtomicOperation[] | undefined;
  /** Keys to read. The values are those from before this batch's `set`. */
  readonly get?: readonly string[] | undefined;
  readonly set?: readonly SetOperation[] | undefined;
  /** Take this lock first. Nothing renews it, unlike a lock of `client.lock`. */
  readonly lock?: BatchLock | undefined;
  /** Release this lock in the same commit. With the id of `lock`: extend it. Without a fence: release by force. */
  readonly unlock?: { readonly id: string; readonly fence?: number | undefined } | undefined;
  readonly idempotency?: BatchIdempotency | undefined;
}

export interface Guard {
  readonly id: string;
  readonly fence: number;
}

export type CheckOperation =
  | { readonly key: string; readonly version: number; readonly exists?: undefined }
  | { readonly key: string; readonly exists: boolean; readonly version?: undefined };

export type AtomicOperation =
  | {
      readonly key: string;
      readonly add: number;
      /** Refused with `OutOfBoundsError` if it would lower the counter below this, or raise it above `ceil`. */
      readonly floor?: number | undefined;
      readonly ceil?: number | undefined;
    }
  | { readonly key: string; readonly max: number }
  | { readonly key: string; readonly min: number }
  | { readonly key: string; readonly set: number; readonly ifEq?: number | undefined };

export type SetOperation =
  | {
      readonly key: string;
      /** Any JSON value. */
      readonly value: unknown;
      /** Only if the key has this version; 0: only if it does not exist. */
      readonly version?: number | undefined;
      /** Milliseconds, or `'60s'`, until it expires; undefined: never. */
      readonly ttl?: Duration | undefined;
    }
  | { readonly key: string; readonly delete: true; readonly version?: number | undefined };

export interface BatchLock {
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

export interface BatchIdempotency {
  /** If one of these ids was used before, within its ttl, the batch is a duplicate. */
  readonly ids: readonly string[];
  /** Milliseconds, or `'1d'`, for which the server remembers the ids. Default 24 hours. */
  readonly ttl?: Duration | undefined;
  /** A duplicate is refused with an error that holds the first reply, or answered with that reply. Default: refuse. */
  readonly mode?: 'refuse' | 'replay' | undefined;
}

export interface BatchResult {
  /** The revision of the commit, or of the read. */
  readonly rev: number;
  /** In the order of `atomic`. */
  readonly atomic: readonly CounterResult[];
  /** In the order of `get`; undefined: there is no such key. */
  readonly get: readonly (Entry | undefined)[];
  /** In the order of `set`. */
  readonly set: readonly SetResult[];
  readonly lock?: Grant;
}

export interface CounterResult {
  readonly key: string;
  readonly value: number;
  readonly old: number;
}

export interface Entry<Value = unknown> {
  readonly key: string;
  readonly version: number;
  readonly value: Value;
  /** When it expires, if it does: milliseconds since the epoch, by the server's clock. */
  readonly till?: number;
}

export interface SetResult {
  readonly key: string;
  /** 0 after a delete. */
  readonly version: number;
  /** After a delete: whether the key existed. */
  readonly deleted?: boolean;
}

export interface Grant {
  readonly fence: number;
  /** Milliseconds since the epoch, by the server's clock. */
  readonly till: number;
  readonly recover?: Recover;
}

/** How the lease of the previous holder ended, if that holder did not release the lock. */
export interface Recover {
  readonly fence: number;
  readonly meta?: unknown;
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
}

export interface WireEntry {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly TillMs?: number;
}

export function fromWire(body: object): BatchResult {
  const { Rev, Atomic = [], KV = [], KVSet = [], Lock, TillMs, Recover } = body as WireResult;
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

/** Names everything that the batch reads or writes. Calls of one client that share a name keep their order. */
export function namesIn(batch: Batch): string[] {
  const names: string[] = [];
  for (const { id } of batch.guard ?? []) names.push(lockName(id));
  for (const { key } of batch.check ?? []) names.push(keyName(key));
  for (const { key } of batch.atomic ?? []) names.push(counterName(key));
  for (const key of batch.get ?? []) names.push(keyName(key));
  for (const { key } of batch.set ?? []) names.push(keyName(key));
  if (batch.lock !== undefined) names.push(lockName(batch.lock.id));
  if (batch.unlock !== undefined) names.push(lockName(batch.unlock.id));
  return names;
}

export const keyName = (key: string): string => `k${key}`;
export const counterName = (key: string): string => `c${key}`;
export const sequenceName = (key: string): string => `s${key}`;
export const lockName = (id: string): string => `l${id}`;
export const mutexName = (id: string): string => `m${id}`;
