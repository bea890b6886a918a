/**
 * Whether one answer can be true, asked of the contract model when the answer arrives, with the timeline as the model's
 * state (I1, I2, I7, I8, I13, I15).
 *
 *   a commit    finds the entries as of the revision before it; the log holds what the model makes of it
 *   the rest    finds the entries as of the revision that it names, and changes nothing
 *
 * An entry may end at any moment between the request and its answer.
 *
 * The witness check at the end of a run replays the whole history in order and looks at more. It goes by one clock,
 * though, and passes over the runs in which the clock is set back between two lives: nearly half of all.
 */
import type { Command } from '../../src/protocol/operations/operations.ts';
import type { TaskState } from '../../src/protocol/operations/task-definition.ts';
import { kinds, type Kind as RecordKind } from '../../src/protocol/record.ts';
import { changesDiffer, entryOf } from '../support/checkers/commit-log.ts';
import { mayCommit, surelyCommitted, type Answer, type Operation } from '../support/checkers/history.ts';
import { step, type ReplayState, type StepResult } from '../support/checkers/step.ts';
import { faultOf, isCompared } from '../support/checkers/witness-checker.ts';
import { limitAfterStart } from '../support/contract/limit.ts';
import { Span } from '../support/contract/expected.ts';
import type { Outcome } from '../support/contract/moment.ts';
import {
  compareUtf8,
  nameOf,
  type Entry,
  type Kind,
  type LimitEntry,
  type LockEntry,
} from '../support/contract/state.ts';
import { isSharedName } from '../support/generators/shared-lock.ts';
import { isOfQueues, isOnlyOfQueues, recordWithoutQueues, withoutQueues } from '../support/checkers/without-queues.ts';
import { leaseEnd, type Timeline } from './timeline.ts';
import { Violation } from './trace.ts';

/** `now`: from the request to its answer, on the server's clock. */
export function checkReply(timeline: Timeline, asked: Operation, said: Answer, now: Span): void {
  const operation = withoutQueues({ ...asked, answer: said });
  const { call } = operation;
  const answer = operation.answer!;
  const { rev = 0, status, replayed } = answer;
  const fail = (what: string): never => {
    const question = JSON.stringify(asked.call);
    throw new Violation(`${what}\n  asked:    ${question}\n  answered: ${status} ${JSON.stringify(said.body)}`);
  };
  const fault = faultOf(operation, answer);
  if (fault !== undefined) fail(fault);
  const surely = surelyCommitted(asked.call, said);
  if (surely && timeline.record(rev)?.account !== call.account) fail(`there is no such commit at revision ${rev}`);
  const taskFault = faultOfTasks(timeline, asked.call, said);
  if (taskFault !== undefined) fail(taskFault);
  if (isOnlyOfQueues(asked.call) || !isCompared(call, answer)) return;
  const attempt = (before: number, allows: (outcome: Outcome) => string | undefined): StepResult =>
    step(new StateAt(timeline, before), call, rev, now, answer, allows);

  let commit: StepResult | undefined;
  if (status === 200 && !replayed && mayCommit(asked.call)) {
    const record = timeline.record(rev);
    commit = attempt(rev - 1, ({ changes }) => {
      const isCommit = changes.length > 0 || (surely && isOfQueues(asked.call));
      if (record?.account !== call.account || !isCommit) return `there is no such commit at revision ${rev}`;
      // Other effects of the commit are ends, and the timeline checks that their time had come.
      return changesDiffer(changes, { ...recordWithoutQueues(record), by: now.hi }, () => true);
    });
    if (commit.ok) return;
  }
  // A deletion of nothing commits nothing: what may commit or not is right if it is right as either.
  if (commit?.ok === false && surely) return fail(`at revision ${rev}: ${commit.explanation}`);
  const read = attempt(rev, ({ changes }) => (changes.length === 0 ? undefined : 'it changes something'));
  if (!read.ok) fail(`reading at revision ${rev}: ${(commit?.ok === false ? commit : read).explanation}`);
}

/** What was told of tasks is what the log has, as of the revision of the answer. */
function faultOfTasks(
  timeline: Timeline,
  call: Command,
  { status, rev = 0, body, replayed }: Answer,
): string | undefined {
  const at = (account: string, id: string): number => timeline.at(kinds.task, account, id, rev)?.rev ?? 0;
  if (call.kind === 'task.get') {
    const version = status === 200 ? Number(body['Version']) : 0;
    const is = at(call.account, call.id);
    return version === is ? undefined : `the task ${call.id} has version ${is} at revision ${rev}`;
  }
  if (call.kind !== 'batch' || status !== 200 || replayed) return undefined;
  const { account, tasks = [], taskCancel = [] } = call;
  const told = (body['Tasks'] ?? [body]) as readonly { readonly Version: number; readonly NextMs: number }[];
  for (const [i, { key }] of tasks.entries()) {
    const { Version, NextMs } = told[i]!;
    const state = timeline.at(kinds.taskState, account, key, rev);
    if (at(account, key) !== Version) return `the task ${key} has version ${at(account, key)} at revision ${rev}`;
    const fault = faultOfTime(state, NextMs);
    if (fault !== undefined) return `the task ${key} ${fault}, and ${NextMs} was told`;
  }
  const isMade = (id: string): boolean => tasks.some(({ key }) => key === id);
  const left = taskCancel.find(({ key }) => !isMade(key) && at(account, key) > 0);
  return left && `the task ${left.key} is there at revision ${rev}, although it was cancelled`;
}

/** One that is overdue keeps its instant when it is replaced, and falls due at once. */
function faultOfTime(stored: { readonly till: number; readonly value?: string } | undefined, told: number) {
  if (stored === undefined) return 'has no state';
  const { next, paused } = JSON.parse(stored.value!) as TaskState;
  if (next !== told) return `has its instant at ${next}`;
  return paused === true || stored.till >= told ? undefined : `is due at ${stored.till}`;
}

/** The entries as of a revision, as the model knows them. */
class StateAt implements ReplayState {
  readonly mutexHandle = 0;
  readonly #timeline: Timeline;
  readonly #rev: number;

  constructor(timeline: Timeline, rev: number) {
    this.#timeline = timeline;
    this.#rev = rev;
  }

  get(name: string): Entry | undefined {
    const end = name.indexOf('\0');
    const kind = name.charCodeAt(0) as RecordKind;
    const stored = this.#timeline.at(kind, name.slice(1, end), name.slice(end + 1), this.#rev);
    if (stored === undefined) return undefined;
    const entry = entryOf(name, stored.value!, stored.till, stored.rev);
    const { boot } = this.#timeline;
    if (name.startsWith('g') && stored.rev <= boot.rev)
      return limitAfterStart(entry as LimitEntry, new Span(boot.at, boot.at));
    const { lease } = entry as LockEntry;
    if (lease === undefined) return entry;
    // Leases get their grace at a start.
    const till = leaseEnd(stored, lease.durMs, this.#timeline.boot);
    return { ...(entry as LockEntry), lease: { ...lease, till: new Span(till, till) } };
  }

  keys(kind: Kind, account: string, prefix: string, after: string | undefined): string[] {
    const entries = this.#timeline.entries(nameOf(kind, '', '').charCodeAt(0) as RecordKind, account, this.#rev);
    return Array.from(entries, ([key]) => key)
      .filter((key) => !(kind === 'lock' && isSharedName(key)))
      .filter((key) => key.startsWith(prefix) && (after === undefined || compareUtf8(key, after) > 0))
      .toSorted(compareUtf8);
  }

  /** Each answer is judged by itself. */
  wasGone(): boolean {
    return false;
  }
}
