/** Keys: values with versions, which may expire. */
import { Json, type Span } from './expected.ts';
import type { Moment, Outcome, Performed, Turn } from './moment.ts';
import { page } from './page.ts';
import { nameOf, type KvEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { KvList, SetOperation } from '../../../src/protocol/operations/kv.ts';

export const kv = {
  /** Reads and conditions see what was there before the batch. */
  perform(turn: Turn, { format, check, get, set }: Batch): Performed {
    check?.forEach(({ key, version, exists }, i) => {
      if (version !== undefined) expectVersion(turn, `Check[${i}]`, key, version);
      if (exists !== undefined) expectExistence(turn, `Check[${i}]`, key, exists);
    });
    set?.forEach(({ key, version }, i) => {
      if (version !== undefined) expectVersion(turn, `KVSet[${i}]`, key, version);
    });
    const KV = get?.map((key) => row(key, keyAt(turn.at, turn.account, key)));
    const KVSet = set?.map((operation) => put(turn, operation));
    switch (format) {
      case 'kv.get':
        return { reply: KV![0]!.Version === 0 ? undefined : KV![0]! };
      case 'kv.set':
        return { reply: KVSet![0]! };
      case 'kv.delete':
        return { reply: { ...KVSet![0]!, Version: undefined } };
      default:
        return { members: { KV, KVSet } };
    }
  },

  commands: {
    'kv.list': (at: Moment, call: KvList): Outcome =>
      page(at, call, (key) => {
        const item = keyAt(at, call.account, key);
        return item && row(key, item);
      }),
  },
};

export function keyAt(at: Moment, account: string, key: string): KvEntry | undefined {
  const name = nameOf('kv', account, key);
  const entry = at.state.get(name) as KvEntry | undefined;
  if (entry?.till === undefined) return entry;
  return at.over(name, entry, entry.till, false) ? undefined : entry;
}

function expectVersion(turn: Turn, field: string, key: string, expected: number): void {
  const Version = keyAt(turn.at, turn.account, key)?.version ?? 0;
  if (Version !== expected) turn.fail(field, 'version_mismatch', { Key: key, Version });
}

function expectExistence(turn: Turn, field: string, key: string, expected: boolean): void {
  const item = keyAt(turn.at, turn.account, key);
  if ((item !== undefined) !== expected)
    turn.fail(field, 'precondition_failed', { Key: key, Version: item?.version ?? 0 });
}

/** Of several changes of one key the last counts. */
function put({ at, account, changes }: Turn, { key, value, ttlMs }: SetOperation): Written {
  const name = nameOf('kv', account, key);
  if (value !== undefined) {
    const till = ttlMs === undefined ? {} : { till: at.now.plus(ttlMs) };
    changes.set(name, { version: at.rev, value: new Json(value), ...till });
    return { Key: key, Version: at.rev };
  }
  const existed = keyAt(at, account, key) !== undefined;
  if (existed) changes.set(name, undefined);
  else changes.delete(name);
  return { Key: key, Version: 0, Deleted: existed };
}

interface Written {
  readonly Key: string;
  readonly Version: number;
  readonly Deleted?: boolean;
}

interface Row {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: Json;
  readonly TillMs?: Span | undefined;
}

function row(Key: string, item: KvEntry | undefined): Row {
  return item === undefined
    ? { Key, Version: 0 }
    : { Key, Version: item.version, Value: item.value, TillMs: item.till };
}
