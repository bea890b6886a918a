/** One moment in the model, as a command finds it, and what may come of the command. */
import type { Body } from './history.ts';
import type { Json, Span } from './expected.ts';
import { freeLock, lockNow, type LockNow } from './model-leases.ts';
import { nameOf, type Change, type Entry, type KvEntry, type LockEntry, type ModelState } from './model-state.ts';

export interface Moment {
  readonly state: ModelState;
  readonly now: Span;
  /** Of the commit; of a read, what it was read at. */
  readonly rev: number;
  /** The reply that is to be explained, if there is one: only for what no model can know. */
  readonly said: Body | undefined;
  /** Whether an entry that ends at `till` has ended. */
  readonly over: (name: string, entry: Entry, till: Span, maybe: boolean) => boolean;
}

export interface Outcome {
  readonly status: number;
  /** As in `expected.ts`. */
  readonly body: object;
  /** Empty: nothing was committed. */
  readonly changes: readonly Change[];
  readonly replayed?: true;
}

export function shown(
  Key: string,
  item: KvEntry | undefined,
): { Key: string; Version: number; Value?: Json; TillMs?: Span } {
  if (item === undefined) return { Key, Version: 0 };
  return { Key, Version: item.version, Value: item.value, ...(item.till === undefined ? {} : { TillMs: item.till }) };
}

export function kvAt(at: Moment, account: string, key: string): KvEntry | undefined {
  const name = nameOf('kv', account, key);
  const entry = at.state.entries.get(name) as KvEntry | undefined;
  if (entry?.till === undefined) return entry;
  return at.over(name, entry, entry.till, false) ? undefined : entry;
}

export function lockAt(at: Moment, kind: 'lock' | 'mutex', account: string, id: string): LockNow {
  const name = nameOf(kind, account, id);
  const entry = at.state.entries.get(name) as LockEntry | undefined;
  if (entry === undefined) return freeLock;
  const till = entry.lease?.till ?? entry.forget;
  if (till === undefined) return entry;
  return lockNow(entry, at.over(name, entry, till, entry.lease?.maybeOver !== undefined));
}

export function refuse(status: number, body: object): Outcome {
  return { status, body, changes: [] };
}

export function done(at: Moment, body: object, changes: readonly Change[] = []): Outcome {
  return { status: 200, body: { ...body, Rev: at.rev }, changes };
}
