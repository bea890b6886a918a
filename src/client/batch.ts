/**
 * A batch as callers write it, and its conversion to and from the wire. Names follow the HTTP API, in JavaScript's
 * case; the fencing token, `Lock` on the wire, is `fence` here. All durations are milliseconds.
 */
import { InvalidError } from './errors.ts';
import { anId, seconds } from './checks.ts';

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
      /** Milliseconds until it expires. */
      readonly ttl?: number | undefined;
    }
  | { readonly key: string; readonly delete: true; readonly version?: number | undefined };

export interface BatchLock {
  readonly id: string;
  readonly ttl: number;
  readonly wait?: number | undefined;
  readonly owner?: string | undefined;
  readonly meta?: unknown;
}

export interface BatchIdempotency {
  readonly ids: readonly string[];
  readonly ttl?: number | undefined;
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

/** Members of a body in the HTTP API. */
export type WireBatch = Record<string, unknown>;

/** @throws InvalidError, before anything is sent */
export function toWire(batch: Batch): WireBatch {
  const wire: WireBatch = {};
  if (batch.guard?.length)
    wire['Guard'] = batch.guard.map(({ id, fence }) => ({ LockID: anId(id, 'guard.id'), Lock: fence }));
  if (batch.check?.length) wire['Check'] = batch.check.map(checkToWire);
  if (batch.atomic?.length) wire['Atomic'] = batch.atomic.map(atomicToWire);
  if (batch.get?.length) wire['KVGet'] = batch.get.map((key) => anId(key, 'get'));
  if (batch.set?.length) wire['KVSet'] = batch.set.map(setToWire);
  if (batch.lock !== undefined) {
    const { id, ttl, wait, owner, meta } = batch.lock;
    wire['LockID'] = anId(id, 'lock.id');
    wire['LockDur'] = seconds(ttl, 'lock.ttl');
    if (wait) wire['LockWait'] = seconds(wait, 'lock.wait');
    if (owner !== undefined) wire['LockOwner'] = anId(owner, 'lock.owner');
    if (meta !== undefined) wire['LockMeta'] = meta;
  }
  if (batch.unlock !== undefined) {
    wire['UnlockID'] = anId(batch.unlock.id, 'unlock.id');
    if (batch.unlock.fence !== undefined) wire['Unlock'] = batch.unlock.fence;
  }
  if (batch.idempotency !== undefined) {
    const { ids, ttl, mode } = batch.idempotency;
    wire['IdempotencyIDs'] = ids.map((id) => anId(id, 'idempotency.ids'));
    if (ttl !== undefined) wire['IdempotencyTTL'] = seconds(ttl, 'idempotency.ttl');
    if (mode === 'replay') wire['IdempotencyMode'] = mode;
  }
  return wire;
}

function checkToWire({ key, version, exists }: CheckOperation): object {
  return { Key: anId(key, 'check.key'), Version: version, Exists: exists };
}

function atomicToWire(operation: AtomicOperation): object {
  const Key = anId(operation.key, 'atomic.key');
  if ('add' in operation) return { Key, Add: operation.add, Floor: operation.floor, Ceil: operation.ceil };
  if ('max' in operation) return { Key, Max: operation.max };
  if ('min' in operation) return { Key, Min: operation.min };
  return { Key, Set: operation.set, IfEq: operation.ifEq };
}

function setToWire(operation: SetOperation): object {
  const Key = anId(operation.key, 'set.key');
  const Version = operation.version;
  if ('delete' in operation) return { Key, Delete: true, Version };
  const { value, ttl } = operation;
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol') {
    throw new InvalidError(
      'invalid',
      `The value of ${JSON.stringify(operation.key)}: expected JSON (null for nothing), got ${typeof value}`,
    );
  }
  return { Key, Value: value, Version, TTL: ttl === undefined ? undefined : seconds(ttl, 'set.ttl') };
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
