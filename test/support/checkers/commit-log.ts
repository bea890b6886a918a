/**
 * The log of a server, where a test can read it. It tells what every revision holds, asked for or not, so that nothing
 * has to be guessed; and what it holds is compared with what the model makes of the same command, member by member.
 */
import { kinds } from '../../../src/protocol/record.ts';
import type { StoredScript } from '../../../src/protocol/operations/script.ts';
import { pointedIdOf } from '../../../src/protocol/stored-reply-pointer.ts';
import { readStoredReply } from '../../../src/shard-worker/core/batch/stored-reply.ts';
import { decodeLockRecord } from '../../../src/shard-worker/core/state/lock-record.ts';
import { bodyWithoutQueues } from './without-queues.ts';
import { difference, Json, Span, type Body } from '../contract/expected.ts';
import {
  describeName,
  type Change,
  type Ended,
  type Entry,
  type Lease,
  type LockEntry,
  type KvEntry,
  type LimitEntry,
  type NumberEntry,
  type ScriptEntry,
  type StoredEntry,
} from '../contract/state.ts';

export interface LogRecord {
  readonly rev: number;
  readonly account: string;
  readonly effects: readonly LogEffect[];
  /** By when it had been decided, on the clock of the history. */
  readonly by: number;
}

export interface LogEffect {
  /** The letter of its kind of entry, as a character code. */
  readonly kind: number;
  readonly key: string;
  /** JSON text; absent: it is deleted. */
  readonly value?: string;
  /** 0: never. */
  readonly till: number;
  readonly expired?: true;
}

export function isStart({ effects: [first] }: LogRecord): boolean {
  return first?.kind === 'b'.charCodeAt(0);
}

/** As the model names it. */
export function nameIn({ account }: LogRecord, { kind, key }: LogEffect): string {
  return `${String.fromCharCode(kind)}${account}\0${key}`;
}

/** The record with the reply under each of its idempotency ids. The log has it once, and points to it. */
export function withReplies<Logged extends { readonly effects: readonly LogEffect[] }>(record: Logged): Logged {
  const effects = record.effects.map((effect) => {
    const pointed = effect.kind === kinds.idempotency ? pointedIdOf(effect.value ?? '') : undefined;
    if (pointed === undefined) return effect;
    const value = record.effects.find(({ kind, key }) => kind === kinds.idempotency && key === pointed)?.value;
    return value === undefined ? effect : { ...effect, value };
  });
  return { ...record, effects };
}

/** What is in the log, as the model would remember it, with exact times. */
export function changesIn(record: LogRecord): Change[] {
  return record.effects.map((effect) => {
    const name = nameIn(record, effect);
    const { value, till } = effect;
    return value === undefined ? { name } : { name, entry: entryOf(name, value, till, record.rev) };
  });
}

/** Undefined: the log holds exactly these changes, and beside them at most such as `mayEnd` accepts. */
export function changesDiffer(
  changes: readonly Change[],
  record: LogRecord,
  mayEnd: (effect: LogEffect) => boolean,
): string | undefined {
  // Of mutexes there is nothing in the log.
  const left = new Map(changes.flatMap(({ name, entry }) => (name.startsWith('m') ? [] : [[name, entry]])));
  for (const effect of record.effects) {
    const name = nameIn(record, effect);
    if (!left.has(name) && mayEnd(effect)) continue;
    if (!left.has(name)) return `revision ${record.rev} changes ${describeName(name)}, which nobody asked it to`;
    const found = effectDiffers(left.get(name), effect, record.rev);
    if (found !== undefined) return `revision ${record.rev} leaves ${describeName(name)} otherwise: ${found}`;
    left.delete(name);
  }
  const [missing] = left.keys();
  return missing === undefined ? undefined : `revision ${record.rev} does not change ${describeName(missing)}`;
}

/** Undefined: the effect leaves exactly this entry, or none if it is undefined. */
export function effectDiffers(entry: Entry | undefined, effect: LogEffect, rev: number): string | undefined {
  const { value, till, expired } = effect;
  if (entry === undefined || value === undefined) {
    if (expired) return 'it ends by itself';
    if ((entry === undefined) === (value === undefined)) return undefined;
    return value === undefined ? 'it is deleted' : `it becomes ${value}`;
  }
  switch (effect.kind) {
    case 'k'.charCodeAt(0): {
      const expected = entry as KvEntry;
      if (expected.value.text === value && expected.till === undefined && till === 0) return undefined;
      return difference({ value: expected.value, till: expected.till ?? 0 }, { value: JSON.parse(value), till });
    }
    case 'l'.charCodeAt(0):
      return difference(lockShape(entry as LockEntry), { ...lockIn(value), till });
    case 'i'.charCodeAt(0): {
      const { fingerprint, body, till: expected } = entry as StoredEntry;
      const stored = storedIn(value);
      return difference({ fingerprint, body, till: expected, rev }, { ...stored, till });
    }
    case 'g'.charCodeAt(0): {
      const { full, at, till: expected } = entry as LimitEntry;
      const [atMs, taken] = JSON.parse(value) as [number, number];
      return difference({ full, at, till: expected }, { full: atMs * 1000 + taken, at: atMs, till });
    }
    case 'j'.charCodeAt(0):
      return difference({ versions: (entry as ScriptEntry).versions, till: 0 }, { ...scriptIn(value, rev), till });
    default: {
      const { n, till: ends } = entry as NumberEntry;
      return difference({ n, till: ends ?? 0 }, { n: Number(value), till });
    }
  }
}

function lockShape({ lease, ended, forget }: LockEntry): object {
  const { till, maybeOver: _, ...rest } = lease ?? ({} as Partial<Lease>);
  return { ...(lease === undefined ? {} : { lease: rest }), ended, till: till ?? forget };
}

/** The stored reply of an id: what was answered, or should have been. */
export function storedIn(value: string): { readonly fingerprint: string; readonly body: Body; readonly rev: number } {
  const { fingerprint = '', rev, body } = readStoredReply(value);
  return { fingerprint, body: bodyWithoutQueues(JSON.parse(body()) as Body), rev };
}

interface LoggedScript {
  readonly versions: readonly { readonly version: number; readonly at: number; readonly source: string }[];
}

function scriptIn(value: string, rev: number): LoggedScript {
  const { AtMs, Source, Older } = JSON.parse(value) as StoredScript;
  const newest = { Version: rev, AtMs, Source };
  return {
    versions: [newest, ...Older].map((one) => ({ version: one.Version, at: one.AtMs, source: one.Source })),
  };
}

interface LoggedLock {
  readonly lease?: { readonly fence: number; readonly owner?: string; readonly meta?: unknown } & {
    readonly since: number;
    readonly durMs: number;
  };
  readonly ended: readonly {
    readonly fence: number;
    readonly why: Ended['why'];
    readonly owner?: string;
    readonly meta?: unknown;
    readonly at: number;
  }[];
}

export function lockIn(value: string): LoggedLock {
  const record = decodeLockRecord(value);
  const { ended } = record;
  const lease = record.mode === 'exclusive' ? record.holders[0] : undefined;
  return { ...(lease === undefined ? {} : { lease: withMeta(lease) }), ended: ended.map(withMeta) };
}

/** Metadata stands there as JSON text. */
function withMeta<Item extends { readonly meta?: unknown }>(item: Item): Item {
  return item.meta === undefined ? item : { ...item, meta: JSON.parse(item.meta as string) as unknown };
}

/** What the log holds, as the model would remember it. */
export function entryOf(name: string, value: string, till: number, rev: number): Entry {
  switch (name[0]) {
    case 'k':
      return { version: rev, value: new Json(value), ...(till === 0 ? {} : { till: exactly(till) }) };
    case 'l': {
      const { lease, ended } = lockIn(value);
      const ends = ended.map(({ at, meta, ...rest }) => ({ ...rest, at: exactly(at), meta: jsonOf(meta) }));
      if (lease === undefined) return { ended: ends, forget: exactly(till) };
      const { meta, since, ...rest } = lease;
      const held = { ...rest, since: exactly(since), till: exactly(till) };
      return { lease: meta === undefined ? held : { ...held, meta: new Json(JSON.stringify(meta)) }, ended: ends };
    }
    case 'i':
      return { ...storedIn(value), till: exactly(till) };
    case 'g': {
      const [at, taken] = JSON.parse(value) as [number, number];
      return { full: exactly(at * 1000 + taken), at: exactly(at), till: exactly(till) };
    }
    case 'j':
      return { versions: scriptIn(value, rev).versions.map((one) => ({ ...one, at: exactly(one.at) })) };
    default:
      return { n: Number(value), ...(till === 0 ? {} : { till: exactly(till) }) };
  }
}

function exactly(time: number): Span {
  return new Span(time, time);
}

function jsonOf(meta: unknown): Json | undefined {
  return meta === undefined ? undefined : new Json(JSON.stringify(meta));
}
