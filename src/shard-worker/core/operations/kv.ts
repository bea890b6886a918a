/** Keys: conditions on versions and existence, reads, writes, pages, and the watch of one key. */
import { hasLapsed, type Entry, type LocatedEntry } from '../../../protocol/entries.ts';
import { failure } from '../../../protocol/errors.ts';
import { nameOf } from '../../../protocol/footprint.ts';
import { keyEventBody } from '../../../protocol/key-event-body.ts';
import type { KvList } from '../../../protocol/operations/kv-pages.ts';
import type { GetResult, SetOperation } from '../../../protocol/operations/kv.ts';
import type { WatchKey } from '../../../protocol/operations/watch.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import { effectBytesMax, kinds } from '../../../protocol/record.ts';
import { expiryCommitBytesMax, mergedBytesMax } from '../../../shared/limits.ts';
import { quoted } from '../../../shared/text.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';
import { isEqualJson, mergedJson } from '../../../shared/stored-json.ts';
import { listFolders } from './kv-folders.ts';
import { pageOfEntries } from './list.ts';

function expectVersion(evaluation: BatchEvaluation, key: string, expected: number): void {
  const version = evaluation.entry(kinds.kv, key)?.rev ?? 0;
  if (version === expected) return;
  const is = version === 0 ? 'does not exist' : `has version ${version}`;
  const was = expected === 0 ? 'it must not exist' : `version ${expected} was expected`;
  const message = `The key ${JSON.stringify(key)} ${is}; ${was}.`;
  evaluation.fail(failure('version_mismatch', message, { Key: key, Version: version }));
}

function expectExistence(evaluation: BatchEvaluation, key: string, expected: boolean): void {
  const version = evaluation.entry(kinds.kv, key)?.rev ?? 0;
  if (expected === version > 0) return;
  const why = expected ? 'does not exist; it must exist' : `has version ${version}; it must not exist`;
  const message = `The key ${JSON.stringify(key)} ${why}.`;
  evaluation.fail(failure('precondition_failed', message, { Key: key, Version: version }));
}

/** Says that the value is another one, and not which: it may be large. */
function expectValue(evaluation: BatchEvaluation, key: string, expected: string): void {
  const entry = evaluation.entry(kinds.kv, key);
  if (entry !== undefined && isEqualJson(entry.value, expected)) return;
  const why = entry === undefined ? 'does not exist' : `has another value at version ${entry.rev}`;
  const message = `The key ${JSON.stringify(key)} ${why}; it must equal the value of the check.`;
  evaluation.fail(failure('precondition_failed', message, { Key: key, Version: entry?.rev ?? 0 }));
}

function expectNumber(evaluation: BatchEvaluation, key: string, expected: number): void {
  const value = Number(evaluation.entry(kinds.counter, key)?.value ?? 0);
  if (value === expected) return;
  const message = `The counter ${JSON.stringify(key)} is ${value}; ${expected} was expected.`;
  evaluation.fail(failure('precondition_failed', message, { Key: key, Value: value }));
}

export const checkBehaviour: SectionBehaviour<'check'> = {
  check(evaluation, { key, version, exists, equals, counter }) {
    if (version !== undefined) expectVersion(evaluation, key, version);
    if (exists !== undefined) expectExistence(evaluation, key, exists);
    if (equals !== undefined) expectValue(evaluation, key, equals);
    if (counter !== undefined) expectNumber(evaluation, key, counter);
  },
};

export const getBehaviour: SectionBehaviour<'get'> = {
  evaluate(evaluation, key) {
    const entry = evaluation.entry(kinds.kv, key);
    return gotOf(entry);
  },
  // Together with a range, the range has both.
  members: (answered) => (answered.asked.range === undefined ? gotMembers(answered) : ''),
};

/** Without `join`, which would copy all the values once more. */
function gotMembers(answered: Answered): string {
  let text = '"KV":[';
  let between = '';
  for (const row of gotRows(answered)) {
    text += between + row;
    between = ',';
  }
  return `${text}],`;
}

function gotRows({ asked, results }: Answered): string[] {
  return (asked.get ?? []).map((key, i) => `{${getMembers(key, results.get![i]!)}}`);
}

export const rangeBehaviour: SectionBehaviour<'range'> = {
  evaluate({ state, batch: { account }, now }, page) {
    return pageOfEntries(state, kinds.kv, { account, ...page }, (located) => keyRow(located, now));
  },
  members(answered) {
    const { prefix, place } = answered.asked.range!;
    const { rows, after } = answered.results.range!;
    const more = after === undefined ? '' : `,"More":true,"After":${JSON.stringify(after)}`;
    const page = `{"Prefix":${quoted(prefix)},"KV":[${rows.map(({ body }) => body).join(',')}]${more}}`;
    return `"KV":[${gotRows(answered).toSpliced(place, 0, page).join(',')}],`;
  },
};

function gotOf(entry: Entry | undefined): GetResult {
  if (entry === undefined) return { version: 0 };
  return { version: entry.rev, value: entry.value, ...(entry.till === 0 ? {} : { till: entry.till }) };
}

export const setBehaviour: SectionBehaviour<'set'> = {
  check(evaluation, { key, version }) {
    if (version !== undefined) expectVersion(evaluation, key, version);
  },
  evaluate(evaluation, operation) {
    if (operation.old !== true) return put(evaluation, operation);
    const old = gotOf(evaluation.entry(kinds.kv, operation.key));
    return { is: put(evaluation, operation), old };
  },
  members({ asked, results, rev }) {
    const operations = asked.set!;
    let text = '';
    for (let i = 0; i < operations.length; i += 1) {
      const head = `${i === 0 ? '' : ','}{"Key":${quoted(operations[i]!.key)},"Version":`;
      const result = results.set![i]!;
      const is = typeof result === 'string' ? result : result.is;
      text += is === 'set' ? `${head}${rev}` : `${head}0,"Deleted":${is === 'deleted'}`;
      text += typeof result === 'string' ? '}' : `,"Old":{${oldMembers(result.old)}}}`;
    }
    return `"KVSet":[${text}],`;
  },
};

function put(evaluation: BatchEvaluation, operation: SetOperation): 'set' | 'deleted' | 'missing' {
  const { key, value, ttlMs } = operation;
  const { writeSet, now, state, batch } = evaluation;
  if (operation.merge === true) return merge(evaluation, operation);
  if (value !== undefined) {
    writeSet.put({ kind: kinds.kv, key, till: ttlMs === undefined ? 0 : now + ttlMs, value });
    return 'set';
  }
  // A delete undoes an earlier set of this batch. It is a commit only if there is something to delete.
  const stored = state.entries.get(kinds.kv, batch.account, key);
  writeSet.remove(kinds.kv, key);
  if (stored === undefined) return 'missing';
  // The entry has lapsed, but its end is not committed yet: commit it as an expiry, so that watchers are told so.
  const lapsed = hasLapsed(stored, now);
  writeSet.put({ kind: kinds.kv, key, till: 0, ...(lapsed ? { expired: true } : {}) });
  return lapsed ? 'missing' : 'deleted';
}

/** Merges into what is there, including what the batch itself has put so far. The key keeps its end without a new one. */
function merge(evaluation: BatchEvaluation, { key, value: patch, ttlMs }: SetOperation): 'set' {
  const { writeSet, now, state } = evaluation;
  const before = writeSet.find(kinds.kv, key) ?? evaluation.entry(kinds.kv, key);
  evaluation.mergedBytes += before?.value?.length ?? 0;
  const { value_bytes_max } = state.limits;
  const most = Math.max(mergedBytesMax, value_bytes_max);
  if (evaluation.mergedBytes > most) {
    const size = `The batch merges into values of ${evaluation.mergedBytes} bytes together, or more`;
    evaluation.fail(failure('too_large', `${size}; expected at most ${most}. Merge fewer in one batch.`));
    return 'set';
  }
  const value = mergedJson(before?.value, patch!);
  const bytes = Buffer.byteLength(value);
  if (bytes > value_bytes_max) {
    const size = `The key ${JSON.stringify(key)} would have ${bytes} bytes of JSON`;
    evaluation.fail(failure('too_large', `${size}; expected at most ${value_bytes_max} (limits.value_bytes_max).`));
  }
  const till = ttlMs === undefined ? (before?.value === undefined ? 0 : before.till) : now + ttlMs;
  writeSet.put({ kind: kinds.kv, key, till, value });
  return 'set';
}

function oldMembers({ version, value, till }: GetResult): string {
  if (value === undefined) return `"Version":${version}`;
  return `"Version":${version},"Value":${value}${till === undefined ? '' : `,"TillMs":${till}`}`;
}

export const clearBehaviour: SectionBehaviour<'clear'> = {
  evaluate({ state, batch, writeSet, now }, { prefix, after, limit }) {
    let deleted = 0;
    let bytes = 0;
    let looked = 0;
    let last: string | undefined;
    for (const { key, entry } of state.entries.range(kinds.kv, batch.account, prefix, after)) {
      // Only this further entry shows that there is more. The record of a page fits into any segment.
      if (last !== undefined && (looked >= limit || bytes >= expiryCommitBytesMax)) return { deleted, after: last };
      looked += 1;
      last = key;
      const lapsed = hasLapsed(entry, now);
      const effect = { kind: kinds.kv, key, till: 0, ...(lapsed && { expired: true as const }) };
      if (!lapsed) deleted += 1;
      bytes += effectBytesMax(effect);
      writeSet.put(effect);
    }
    return { deleted };
  },
};

export const kvFormats = {
  'kv.clear': {
    members: ({ results }) => {
      const { deleted, after } = results.clear!;
      return `"Deleted":${deleted},${after === undefined ? '' : `"More":true,"After":${JSON.stringify(after)},`}`;
    },
  },
  'kv.get': {
    members: ({ asked, results }) => `${getMembers(asked.get![0]!, results.get![0]!)},`,
    missing: ({ asked, results }) =>
      results.get![0]!.value === undefined ? `There is no key ${quoted(asked.get![0]!)}.` : undefined,
  },
  'kv.set': { members: ({ asked, rev }) => `"Key":${quoted(asked.set![0]!.key)},"Version":${rev},` },
  'kv.delete': {
    members: ({ asked, results }) => `"Key":${quoted(asked.set![0]!.key)},"Deleted":${results.set![0] === 'deleted'},`,
  },
} satisfies Record<string, FormatBehaviour>;

function getMembers(key: string, { version, value, till }: GetResult): string {
  const name = `"Key":${quoted(key)},"Version":${version}`;
  if (value === undefined) return name;
  return `${name},"Value":${value}${till === undefined ? '' : `,"TillMs":${till}`}`;
}

export function listKeys(turn: Turn, command: KvList): Page {
  const { state, now } = turn;
  const { delimiter, sizes } = command;
  const row = sizes === true ? sizeRow : valueRow;
  if (delimiter !== undefined) return listFolders(turn, { ...command, delimiter }, row);
  return pageOfEntries(state, kinds.kv, command, ({ key, entry }) =>
    hasLapsed(entry, now) ? undefined : row(key, entry),
  );
}

function keyRow({ key, entry }: LocatedEntry, now: number): string | undefined {
  return hasLapsed(entry, now) ? undefined : valueRow(key, entry);
}

function valueRow(key: string, entry: Entry): string {
  return `{"Key":${JSON.stringify(key)},"Version":${entry.rev},"Value":${entry.value}${tillMember(entry)}}`;
}

function sizeRow(key: string, entry: Entry): string {
  const bytes = Buffer.byteLength(entry.value);
  return `{"Key":${JSON.stringify(key)},"Version":${entry.rev},"Bytes":${bytes}${tillMember(entry)}}`;
}

function tillMember({ till }: Entry): string {
  return till === 0 ? '' : `,"TillMs":${till}`;
}

/** Answers the current value of the first key whose version differs; otherwise registers the front end for all. */
export function watchKey({ state, now, out }: Turn, ref: RequestRef, command: WatchKey): void {
  const { account, also = [] } = command;
  const rev = readRevision(state);
  const keys = [command, ...also];
  for (const { key, version } of keys) {
    const stored = state.entries.get(kinds.kv, account, key);
    const entry = stored !== undefined && hasLapsed(stored, now) ? undefined : stored;
    const current = entry?.rev ?? 0;
    if (current === version) continue;
    const body = keyEventBody(rev, { key, version: current, value: entry?.value });
    return out.reply(ref, { rev, outcome: 'ok', body });
  }
  for (const { key } of keys) state.watched.add(nameOf(account, key), ref.router);
  out.reply(ref, { rev, outcome: 'registered', body: '' });
}
