/** Keys: conditions on versions and existence, reads, writes, pages, and the watch of one key. */
import { hasLapsed } from '../../../protocol/entries.ts';
import { failure } from '../../../protocol/errors.ts';
import { nameOf } from '../../../protocol/footprint.ts';
import { keyEventBody } from '../../../protocol/key-event-body.ts';
import type { GetResult, KvList } from '../../../protocol/operations/kv.ts';
import type { WatchKey } from '../../../protocol/operations/watch.ts';
import type { Page } from '../../../protocol/page.ts';
import { kinds } from '../../../protocol/record.ts';
import { quoted } from '../../../shared/text.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { FormatBehaviour, SectionBehaviour } from './behaviour.ts';
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

export const checkBehaviour: SectionBehaviour<'check'> = {
  check(evaluation, { key, version, exists }) {
    if (version !== undefined) expectVersion(evaluation, key, version);
    if (exists !== undefined) expectExistence(evaluation, key, exists);
  },
};

export const getBehaviour: SectionBehaviour<'get'> = {
  evaluate(evaluation, key) {
    const entry = evaluation.entry(kinds.kv, key);
    if (entry === undefined) return { version: 0 };
    return { version: entry.rev, value: entry.value, ...(entry.till === 0 ? {} : { till: entry.till }) };
  },
  members: ({ asked, results }) =>
    `"KV":[${asked.get!.map((key, i) => `{${getMembers(key, results.get![i]!)}}`).join(',')}],`,
};

export const setBehaviour: SectionBehaviour<'set'> = {
  check(evaluation, { key, version }) {
    if (version !== undefined) expectVersion(evaluation, key, version);
  },
  evaluate(evaluation, { key, value, ttlMs }) {
    const { writeSet, now, state, batch } = evaluation;
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
  },
  members({ asked, results, rev }) {
    const operations = asked.set!;
    let text = '';
    for (let i = 0; i < operations.length; i += 1) {
      const head = `${i === 0 ? '' : ','}{"Key":${quoted(operations[i]!.key)},"Version":`;
      const result = results.set![i];
      text += result === 'set' ? `${head}${rev}}` : `${head}0,"Deleted":${result === 'deleted'}}`;
    }
    return `"KVSet":[${text}],`;
  },
};

export const kvFormats = {
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

export function listKeys({ state, now }: Turn, command: KvList): Page {
  return pageOfEntries(state, kinds.kv, command, ({ key, entry }) => {
    if (hasLapsed(entry, now)) return undefined;
    const till = entry.till === 0 ? '' : `,"TillMs":${entry.till}`;
    return `{"Key":${JSON.stringify(key)},"Version":${entry.rev},"Value":${entry.value}${till}}`;
  });
}

/** Answers the current value if the version differs; otherwise registers the front end for the next change. */
export function watchKey({ state, now, out }: Turn, ref: RequestRef, { account, key, version }: WatchKey): void {
  const rev = readRevision(state);
  const stored = state.entries.get(kinds.kv, account, key);
  const entry = stored !== undefined && hasLapsed(stored, now) ? undefined : stored;
  const current = entry?.rev ?? 0;
  if (current !== version) {
    const body = keyEventBody(rev, { key, version: current, value: entry?.value });
    return out.reply(ref, { rev, outcome: 'ok', body });
  }
  state.watched.add(nameOf(account, key), ref.router);
  out.reply(ref, { rev, outcome: 'registered', body: '' });
}
