/** Keys: values with versions, which may expire. */
import { isDeepStrictEqual } from 'node:util';
import { numberAt } from './counter.ts';
import { Json, type Span } from './expected.ts';
import type { Moment, Outcome, Performed, Turn } from './moment.ts';
import { page } from './page.ts';
import { expectSame } from './script.ts';
import { compareUtf8, nameOf, type KvEntry } from './state.ts';
import type { AccountId } from '../../../src/protocol/ids.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { ClearOperation, KvList, RangeOperation } from '../../../src/protocol/operations/kv-pages.ts';
import type { SetOperation } from '../../../src/protocol/operations/kv.ts';

export const kv = {
  /** Reads and conditions see what was there before the batch. */
  perform(turn: Turn, { format, check, same, get, set, clear, range }: Batch): Performed {
    if (clear !== undefined) return { reply: deletePage(turn, clear) };
    check?.forEach(({ key, version, exists, equals, counter }, i) => {
      if (equals !== undefined) expectValue(turn, `Check[${i}]`, key, equals);
      if (counter !== undefined) {
        const Value = numberAt(turn.at, turn.account, key)?.n ?? 0;
        if (Value !== counter) turn.fail(`Check[${i}]`, 'precondition_failed', { Key: key, Value });
      }
      if (version !== undefined) expectVersion(turn, `Check[${i}]`, key, version);
      if (exists !== undefined) expectExistence(turn, `Check[${i}]`, key, exists);
    });
    if (same !== undefined) expectSame(turn, same);
    set?.forEach(({ key, version }, i) => {
      if (version !== undefined) expectVersion(turn, `KVSet[${i}]`, key, version);
    });
    const rows: object[] | undefined = get?.map((key) => row(key, keyAt(turn.at, turn.account, key)));
    const KV = range === undefined ? rows : (rows ?? []).toSpliced(range.place, 0, pageOfKeys(turn, range));
    const KVSet = set?.map((operation) => {
      const before = keyAt(turn.at, turn.account, operation.key);
      const written = put(turn, operation);
      return operation.old ? { ...written, Old: { ...row('', before), Key: undefined } } : written;
    });
    switch (format) {
      case 'kv.get':
        return { reply: (KV![0] as Row).Version === 0 ? undefined : KV![0]! };
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

/** A list within a batch. */
function pageOfKeys({ at, account }: Turn, { prefix, after, limit, place }: RangeOperation): object {
  const { KV: told } = at.said ?? {};
  const moment = { ...at, said: told?.[place] };
  const { body } = page(
    moment,
    { kind: 'kv.list', account: account as AccountId, prefix, limit, ...(after !== undefined && { after }) },
    (key) => {
      const item = keyAt(at, account, key);
      return item && row(key, item);
    },
  );
  return { Prefix: prefix, ...body, Rev: undefined };
}

/** A page of the keys below a prefix, as a list shows it; all that are on it go. */
function deletePage(turn: Turn, { prefix, after, limit }: ClearOperation): object {
  const { at, account, changes } = turn;
  const end = at.said?.More === true ? at.said.After : undefined;
  let Deleted = 0;
  let last = '';
  for (const key of at.state.keys('kv', account, prefix, after)) {
    if (end !== undefined && compareUtf8(key, end) > 0) return { Deleted, More: true, After: end };
    if (keyAt(at, account, key) === undefined) continue;
    if (Deleted === limit) return { Deleted, More: true, After: last };
    changes.set(nameOf('kv', account, key), undefined);
    Deleted += 1;
    last = key;
  }
  return end === undefined ? { Deleted } : { Deleted, More: true, After: end };
}

function expectValue(turn: Turn, field: string, key: string, expected: string): void {
  const item = keyAt(turn.at, turn.account, key);
  if (item === undefined || !isDeepStrictEqual(item.value.value, JSON.parse(expected)))
    turn.fail(field, 'precondition_failed', { Key: key, Version: item?.version ?? 0 });
}

/** RFC 7396, in its words: a member that is null goes, one that is an object is merged, any other replaces. */
function patched(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const members = new Map(
    typeof target === 'object' && target !== null && !Array.isArray(target) ? Object.entries(target) : [],
  );
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) members.delete(name);
    else members.set(name, patched(members.get(name), value));
  }
  return Object.fromEntries(members);
}

/** Of several changes of one key the last counts, but a merge is one into the change before it. */
function put(turn: Turn, { key, value, ttlMs, merge }: SetOperation): Written {
  const { at, account, changes } = turn;
  const name = nameOf('kv', account, key);
  if (merge && value !== undefined) {
    const before = changes.has(name) ? (changes.get(name) as KvEntry | undefined) : keyAt(at, account, key);
    const text = JSON.stringify(patched(before?.value.value, JSON.parse(value)));
    const till = ttlMs === undefined ? before?.till : at.now.plus(ttlMs);
    changes.set(name, { version: at.rev, value: new Json(text), ...(till && { till }) });
    return { Key: key, Version: at.rev };
  }
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
