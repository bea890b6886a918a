/**
 * Whether a watch over everything tells what the answers tell: each acknowledged write is in it at its revision, whole;
 * each commit that is in it was acknowledged, or was never answered, or is the end of keys that had a TTL.
 */
import { isDeepStrictEqual } from 'node:util';
import { show } from '../contract/expected.ts';
import { describe, surelyCommitted, type History, type Operation, type Violation } from './history.ts';
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
  for (const operation of operations) {
    const { call, answer } = operation;
    if (call.kind !== 'batch' || call.set === undefined) continue;
    if (answer === undefined)
      for (const { key, value } of call.set) unknown.add(nameOf(key, value && JSON.parse(value)));
    if (answer?.status !== 200 || answer.replayed) continue;
    const rev = answer.body.Rev!;
    if (rev <= told.after) continue;
    if (!surelyCommitted(call, answer)) {
      // Deletions of what was not there: no commit, or one that puts away what had lapsed.
      const gone = new Set(call.set.map(({ key }) => key));
      if (commits.get(rev)?.events.every(({ Key, Deleted }) => Deleted && gone.has(Key))) known.add(rev);
      continue;
    }
    const fault = differs(operation, commits.get(rev));
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
    else if (events.every(({ Key, Value }) => unknown.has(nameOf(Key, Value)))) recovered += 1;
    else {
      const message = `The watch tells of revision ${rev}, ${show(events)}, and nobody asked for that.`;
      violations.push({ verdict: 'violation', message, operations: [] });
    }
  }
  return { violations, recovered, expired };
}

function differs({ call, answer }: Operation, commit: Commit | undefined): string | undefined {
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
    const expected = { Key: key, Version: rev, Value: JSON.parse(ask.value) as unknown, Rev: rev };
    if (!isDeepStrictEqual(event, expected)) return `${show(event)} instead of ${show(expected)}`;
  }
  return events.size === 0 ? undefined : `${show([...events.values()])} besides`;
}

function nameOf(key: string, value: unknown): string {
  return `${key} ${JSON.stringify(value)}`;
}
