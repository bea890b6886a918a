/**
 * Whether a watch over everything tells what the answers tell: each acknowledged write is in it at its revision, whole;
 * each commit that is in it was acknowledged, or was never answered, or is the end of keys that had a TTL.
 */
import { isDeepStrictEqual } from 'node:util';
import { show } from '../contract/expected.ts';
import { describe, surelyCommitted, type History, type Operation, type Violation } from './history.ts';
import { isOfWholeAccount } from '../generators/whole-account.ts';
import type { SetOperation } from '../../../src/protocol/operations/kv.ts';
import type { Commit, WatchStream } from './watch-validators.ts';

export function commitsIn({ responses }: WatchStream): Commit[] {
  const all = responses.flatMap(({ events }) => events);
  return Array.from(
    Map.groupBy(all, ({ Rev }) => Rev),
    ([rev, events]) => ({ rev, events }),
  );
}

/** `recovered`: commits that nobody had an answer to. */
export function checkToldChanges(
  { operations }: History,
  told: WatchStream,
): { readonly violations: readonly Violation[]; readonly recovered: number; readonly expired: number } {
  const violations: Violation[] = [];
  const commits = new Map(commitsIn(told).map((commit) => [commit.rev, commit]));
  const known = new Set<number>();
  const unknown = new Set<string>();
  /** Keys that someone without an answer merges into: the value depends on what was there. */
  const merged = new Set<string>();
  const before = valuesBefore(told);
  for (const operation of operations) {
    const { call, answer } = operation;
    if (call.kind !== 'batch' || call.set === undefined || isOfWholeAccount(call)) continue;
    if (answer === undefined) {
      for (const { key, value, merge } of call.set) {
        if (merge) merged.add(key);
        else unknown.add(nameOf(key, value && JSON.parse(value)));
      }
    }
    if (answer?.status !== 200 || answer.replayed) continue;
    const rev = answer.body.Rev!;
    if (rev <= told.after) continue;
    if (!surelyCommitted(call, answer)) {
      // Deletions of what was not there: no commit, or one that puts away what had lapsed.
      const gone = new Set(call.set.map(({ key }) => key));
      if (commits.get(rev)?.events.every(({ Key, Deleted }) => Deleted && gone.has(Key))) known.add(rev);
      continue;
    }
    const fault = differs(operation, commits.get(rev), (key) => before(key, rev));
    known.add(rev);
    if (fault !== undefined) {
      const message = `${describe(operation)} was acknowledged at revision ${rev}, and the watch tells of ${fault}.`;
      violations.push({ verdict: 'violation', message, operations: [operation.id] });
    }
  }
  let recovered = 0;
  let expired = 0;
  for (const { rev, events } of commits.values()) {
    if (known.has(rev) || events.every(({ Key }) => Key === 'end')) continue;
    if (events.every(({ Expired }) => Expired)) expired += 1;
    else if (events.every(({ Key, Value }) => merged.has(Key) || unknown.has(nameOf(Key, Value)))) recovered += 1;
    else {
      const message = `The watch tells of revision ${rev}, ${show(events)}, and nobody asked for that.`;
      violations.push({ verdict: 'violation', message, operations: [] });
    }
  }
  return { violations, recovered, expired };
}

/** Returns the value that a key had before a revision; undefined: none, or it is not known, and `known` is false. */
function valuesBefore(told: WatchStream): (key: string, rev: number) => Before {
  const ofKey = Map.groupBy(
    commitsIn(told).flatMap(({ events }) => events),
    ({ Key }) => Key,
  );
  return (key, rev) => {
    const last = ofKey.get(key)?.findLast((event) => event.Rev < rev);
    return { known: last !== undefined || told.after === 0, value: last?.Value };
  };
}

interface Before {
  readonly known: boolean;
  readonly value: unknown;
}

/** Merges as RFC 7396 says. */
function patched(value: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(value) ? { ...value } : {};
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) delete result[name];
    else result[name] = patched(result[name], change);
  }
  return result;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What the sets of a batch leave in a key; undefined: it is not known. */
function valueAfter(sets: readonly SetOperation[], key: string, before: Before): Before {
  let { known, value } = before;
  for (const ask of sets) {
    if (ask.key !== key) continue;
    const given = ask.value === undefined ? undefined : (JSON.parse(ask.value) as unknown);
    if (ask.merge) value = patched(value, given);
    else [known, value] = [true, given];
  }
  return { known, value };
}

function differs(
  { call, answer }: Operation,
  commit: Commit | undefined,
  before: (key: string) => Before,
): string | undefined {
  if (call.kind !== 'batch') return undefined;
  const events = new Map(commit?.events.map((event) => [event.Key, event]));
  const rev = answer!.body.Rev!;
  const last = new Map(call.set!.map((ask, i) => [ask.key, { ask, i }]));
  for (const [key, { ask, i }] of last) {
    const event = events.get(key);
    events.delete(key);
    if (ask.value === undefined) {
      const deleted = (answer!.body.KVSet?.[i] ?? answer!.body).Deleted === true;
      if (deleted && event?.Deleted !== true) return `${show(event)} instead of the deletion of ${key}`;
      continue;
    }
    const { known, value } = valueAfter(call.set!, key, before(key));
    const expected = { Key: key, Version: rev, Value: known ? value : event?.Value, Rev: rev };
    if (!isDeepStrictEqual(event, expected)) return `${show(event)} instead of ${show(expected)}`;
  }
  return events.size === 0 ? undefined : `${show([...events.values()])} besides`;
}

function nameOf(key: string, value: unknown): string {
  return `${key} ${JSON.stringify(value)}`;
}
