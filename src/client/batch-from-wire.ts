/** Reads the reply to a batch, which the HTTP API writes in names of its own. */
import type { BatchResult, Entry, Grant } from './batch-result.ts';
import { deliveryOf, type WireMessage } from './queue-batch.ts';

/** The reply to a batch, as documented for `POST /db/:acc`. */
interface WireResult {
  readonly Rev: number;
  readonly Limit?: readonly { Key: string; Left: number; ResetMs: number; WaitMs?: number }[];
  readonly Atomic?: readonly { Key: string; Value: number; Old: number; TillMs?: number }[];
  readonly KV?: readonly (WireEntry | WireRange)[];
  readonly KVSet?: readonly { Key: string; Version: number; Deleted?: boolean; Old?: Omit<WireEntry, 'Key'> }[];
  readonly Lock?: number;
  readonly TillMs?: number;
  readonly Free?: number;
  readonly Recover?: { Lock: number; Meta?: unknown; Why: 'expired' | 'forced' };
  readonly Enqueue?: readonly { ID: string; Duplicate?: boolean }[];
  readonly Dequeue?: { Queue: string; Messages: readonly WireMessage[] };
  readonly Tasks?: readonly { ID: string; Version: number; NextMs: number }[];
  readonly TaskCancel?: readonly { ID: string; Version: number }[];
}

interface WireRange {
  readonly Prefix: string;
  readonly KV: readonly WireEntry[];
  readonly After?: string;
}

export interface WireEntry {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly TillMs?: number;
}

export function fromWire(body: object): BatchResult {
  const {
    Rev,
    Limit = [],
    Atomic = [],
    KV = [],
    KVSet = [],
    Lock,
    TillMs,
    Free,
    Recover,
    Enqueue,
    Dequeue,
    Tasks,
    TaskCancel,
  } = body as WireResult;
  return {
    rev: Rev,
    limit: Limit.map(({ Key, Left, ResetMs }) => ({ key: Key, left: Left, resetMs: ResetMs })),
    atomic: Atomic.map(({ Key, Value, Old, TillMs: till }) => ({
      key: Key,
      value: Value,
      old: Old,
      ...(till !== undefined && { till }),
    })),
    get: KV.flatMap((item) => ('Prefix' in item ? [] : [entryOf(item)])),
    ...rangeIn(KV),
    set: KVSet.map(({ Key, Version, Deleted, Old }) => ({
      key: Key,
      version: Version,
      ...(Deleted !== undefined && { deleted: Deleted }),
      ...(Old !== undefined && { old: entryOf({ Key, ...Old }) }),
    })),
    ...(Lock !== undefined && {
      lock: { ...grantOf(Lock, TillMs!, Recover), ...(Free !== undefined && { free: Free }) },
    }),
    ...(Enqueue !== undefined && {
      enqueue: Enqueue.map(({ ID, Duplicate = false }) => ({ id: ID, duplicate: Duplicate })),
    }),
    ...(Tasks !== undefined && {
      tasks: Tasks.map(({ ID, Version, NextMs }) => ({ id: ID, version: Version, next: NextMs })),
    }),
    ...(TaskCancel !== undefined && {
      cancelled: TaskCancel.map(({ ID, Version }) => ({ id: ID, version: Version })),
    }),
    ...(Dequeue !== undefined && { messages: Dequeue.Messages.map((message) => deliveryOf(Dequeue.Queue, message)) }),
  };
}

function rangeIn(rows: readonly (WireEntry | WireRange)[]): Pick<BatchResult, 'range'> {
  const found = rows.find((item) => 'Prefix' in item);
  if (found === undefined) return {};
  const { KV, After } = found;
  const entries = KV.map((row) => entryOf(row)!);
  return { range: After === undefined ? { entries } : { entries, after: After } };
}

function grantOf(fence: number, till: number, recover: WireResult['Recover']): Grant {
  if (recover === undefined) return { fence, till };
  const { Lock, Meta, Why } = recover;
  return { fence, till, recover: { fence: Lock, why: Why, ...(Meta !== undefined && { meta: Meta }) } };
}

/** For how many milliseconds the server was to hold the reply for its rate limits. */
export function heldMsIn(body: object): number {
  const { Limit = [] } = body as WireResult;
  return Math.max(0, ...Limit.map(({ WaitMs = 0 }) => WaitMs));
}

export function entryOf({ Key, Version, Value, TillMs }: WireEntry): Entry | undefined {
  if (Version === 0) return undefined;
  const entry = { key: Key, version: Version, value: Value };
  return TillMs === undefined ? entry : { ...entry, till: TillMs };
}
