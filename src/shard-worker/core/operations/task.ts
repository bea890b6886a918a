/**
 * Tasks: Tasks and TaskCancel, what is changed of a task, and how its runs end. A task is two entries: its definition
 * (kind t), and its state (kind u), whose till is the time at which it falls due. When that comes, nothing is written.
 * The dispatcher is told (task-due.ts), does what is to be done, and commits the next state, if the one that it began
 * with still stands. So a run that nobody has recorded is due again after a crash.
 *
 *   scheduled ⇄ paused         the state has a till, or none
 *   scheduled ──► done, dead   the state is gone; the definition says how it ended, and has a till
 */
import { failure } from '../../../protocol/errors.ts';
import type {
  TaskDefinition,
  TaskOperation,
  TaskResult,
  TaskState,
  TaskStateName,
} from '../../../protocol/operations/task-definition.ts';
import { kinds } from '../../../protocol/record.ts';
import { taskDeadMs, taskDoneMs } from '../../../shared/task-limits.ts';
import { quoted } from '../../../shared/text.ts';
import { runName } from '../state/task-watch.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';

export interface StoredTask {
  readonly definition: TaskDefinition;
  /** How it ended; absent: it has not. */
  readonly ended?: { readonly how: 'done' | 'dead'; readonly state: TaskState };
}

export function readStoredTask(text: string): StoredTask {
  return JSON.parse(text) as StoredTask;
}

export function readTaskState(text: string): TaskState {
  return JSON.parse(text) as TaskState;
}

interface Found {
  /** 0: this batch has written it, and nobody knows the version yet. */
  readonly version: number;
  readonly value: string;
}

/** What there is, as the batch has left it so far. A state does not end by its till. */
function find({ writeSet, state, account, now }: BatchEvaluation, kind: 't' | 'u', key: string): Found | undefined {
  const of = kind === 't' ? kinds.task : kinds.taskState;
  const pending = writeSet.find(of, key);
  if (pending !== undefined) return pending.value === undefined ? undefined : { version: 0, value: pending.value };
  const entry = state.entries.get(of, account, key);
  if (entry === undefined || (kind === 't' && entry.till !== 0 && entry.till <= now)) return undefined;
  return { version: entry.rev, value: entry.value };
}

export const tasksBehaviour: SectionBehaviour<'tasks'> = {
  evaluate(evaluation, operation) {
    const { key, definition, replace, version } = operation;
    const before = find(evaluation, 't', key);
    if (version !== undefined && !hasVersion(evaluation, key, version, before)) return nothing;
    if (before === undefined) return create(evaluation, operation, undefined);
    const { definition: old, ended } = readStoredTask(before.value);
    const current = ended === undefined ? readTaskState(find(evaluation, 'u', key)!.value) : ended.state;
    if (!replace) {
      evaluation.fail(duplicate(key, stateName(ended?.how, current), current.next));
      return nothing;
    }
    if (ended !== undefined) return create(evaluation, operation, undefined);
    // Whoever saves a schedule again must not move its next run: twenty hosts do that at once.
    const sameTimes = definition.schedule !== undefined && isSame(definition.schedule, old.schedule);
    if (sameTimes && isSame(definition, old)) return { version: before.version, next: current.next };
    return create(evaluation, operation, sameTimes ? current : { ...current, ...anew(evaluation, operation) });
  },
  members: (answered) => `"Tasks":[${answered.asked.tasks!.map((_, i) => `{${taskMembers(answered, i)}}`).join(',')}],`,
};

const nothing: TaskResult = { version: 0, next: 0 };

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** @param kept the state that goes on; undefined: a new one begins */
function create(evaluation: BatchEvaluation, operation: TaskOperation, kept: TaskState | undefined): TaskResult {
  const { key, definition } = operation;
  const { writeSet } = evaluation;
  const state: TaskState = kept ?? { ...anew(evaluation, operation), attempts: 0, runs: 0, skipped: 0, failed: 0 };
  if (definition.untilMs !== undefined && state.next > definition.untilMs) {
    const message = 'expected a time after the first instant';
    evaluation.fail(failure('invalid', message), `Tasks[${evaluation.index}].Until`);
  }
  writeSet.put({ kind: kinds.task, key, till: 0, value: JSON.stringify({ definition } satisfies StoredTask) });
  putState(evaluation, key, state, state.paused === true ? 0 : state.next);
  return { version: 0, next: state.next };
}

/** When a new task runs first. */
function anew({ now }: BatchEvaluation, { definition, delayMs = 0, atMs }: TaskOperation) {
  const { schedule } = definition;
  if (schedule !== undefined && 'everyMs' in schedule)
    return { next: now + schedule.everyMs, fromMs: now, attempts: 0 };
  return { next: Math.max(now, atMs ?? now + delayMs), fromMs: now, attempts: 0 };
}

/** @param due when it falls due, now at the earliest; 0: not at all */
export function putState({ writeSet, now }: BatchEvaluation, key: string, state: TaskState, due: number): void {
  const till = due === 0 ? 0 : Math.max(due, now);
  writeSet.put({ kind: kinds.taskState, key, till, value: JSON.stringify(state) });
}

function hasVersion(evaluation: BatchEvaluation, key: string, version: number, before: Found | undefined): boolean {
  const is = before?.version ?? 0;
  // What this batch has written has no version that anybody could expect.
  const isOwn = before?.version === 0;
  if (is === version && !isOwn) return true;
  const has = isOwn ? 'was made by the same batch' : is === 0 ? 'does not exist' : `has version ${is}`;
  const message = `The task ${JSON.stringify(key)} ${has}; version ${version} was expected.`;
  evaluation.fail(failure('version_mismatch', message, { ID: key, Version: is }));
  return false;
}

function duplicate(ID: string, State: TaskStateName, nextMs: number) {
  const message = `There is a task ${JSON.stringify(ID)} already, ${State}; to put this one in its place, add "Replace":true.`;
  return failure('duplicate_task', message, { ID, State, ...(nextMs > 0 && { Next: Math.ceil(nextMs / 1000) }) });
}

export function stateName(ended: 'done' | 'dead' | undefined, { paused }: TaskState): TaskStateName {
  return ended ?? (paused === true ? 'paused' : 'scheduled');
}

export const taskCancelBehaviour: SectionBehaviour<'taskCancel'> = {
  evaluate(evaluation, { key, version }) {
    const before = find(evaluation, 't', key);
    if (version !== undefined && !hasVersion(evaluation, key, version, before)) return { version: 0 };
    if (before === undefined) return { version: 0 };
    evaluation.writeSet.put({ kind: kinds.task, key, till: 0 });
    if (find(evaluation, 'u', key) !== undefined) evaluation.writeSet.put({ kind: kinds.taskState, key, till: 0 });
    // Whoever cancels must see that it came too late. One that is dead has not run, and never will.
    return { version: readStoredTask(before.value).ended?.how === 'done' ? 0 : before.version };
  },
  members: (answered) =>
    `"TaskCancel":[${answered.asked.taskCancel!.map((_, i) => `{${cancelMembers(answered, i)}}`).join(',')}],`,
};

export const taskChangeBehaviour: SectionBehaviour<'taskChange'> = {
  evaluate(evaluation, { key, change }) {
    const { now } = evaluation;
    const stored = find(evaluation, 't', key);
    const task = stored === undefined ? undefined : readStoredTask(stored.value);
    if (task === undefined || (task.ended !== undefined && (change !== 'run' || task.ended.how === 'done'))) {
      const why = task === undefined ? 'does not exist' : `has ended: it is ${task.ended!.how}`;
      evaluation.fail(failure('not_found', `The task ${JSON.stringify(key)} ${why}.`, { ID: key }));
      return { state: 'done', next: 0 };
    }
    if (task.ended !== undefined) {
      // A dead task is tried again, with all its tries.
      const { definition } = task;
      const { state: dead } = task.ended;
      evaluation.writeSet.put({ kind: kinds.task, key, till: 0, value: JSON.stringify({ definition }) });
      const revived = { ...dead, next: now, attempts: 0 };
      putState(evaluation, key, revived, now);
      return { state: stateName(undefined, revived), next: now };
    }
    const before = readTaskState(find(evaluation, 'u', key)!.value);
    const { paused: _, ...running } = before;
    if (change === 'pause') putState(evaluation, key, { ...running, paused: true }, 0);
    else if (change === 'resume') {
      if (before.paused !== true) return { state: 'scheduled', next: before.next };
      putState(evaluation, key, running, before.next);
    } else putState(evaluation, key, { ...before, asked: true }, now);
    const next = change === 'run' ? now : before.next;
    return { state: change === 'pause' ? 'paused' : stateName(undefined, change === 'run' ? before : running), next };
  },
};

export const taskEndBehaviour: SectionBehaviour<'taskEnd'> = {
  evaluate(evaluation, { key, version, state: next, till: due = 0, ended, began }) {
    const { now, writeSet, state: shard, account } = evaluation;
    shard.tasks.running.delete(runName(account, key));
    // Whoever has changed or cancelled the task meanwhile goes first.
    const entry = shard.entries.get(kinds.taskState, account, key);
    const isSame = entry?.rev === version;
    const isPaused = entry !== undefined && readTaskState(entry.value).paused === true;
    const state = isSame ? next : withPause(next, isPaused);
    const till = isSame || !isPaused ? due : 0;
    if (!isSame && (began === undefined || entry === undefined || !isSameRun(entry.value, began))) {
      const message = `The task ${JSON.stringify(key)} has changed since its run began.`;
      evaluation.fail(failure('version_mismatch', message, { ID: key, Version: entry?.rev ?? 0 }));
      return undefined;
    }
    if (ended === undefined) {
      putState(evaluation, key, state, till);
      return undefined;
    }
    const { definition } = readStoredTask(find(evaluation, 't', key)!.value);
    const value = JSON.stringify({ definition, ended: { how: ended, state } } satisfies StoredTask);
    writeSet.put({ kind: kinds.task, key, till: now + (ended === 'dead' ? taskDeadMs : taskDoneMs), value });
    writeSet.put({ kind: kinds.taskState, key, till: 0 });
    return undefined;
  },
};

/** Whether two states differ at most in being paused, and in what was asked for. */
function isSameRun(now: string, began: string): boolean {
  return isSame(plain(readTaskState(now)), plain(readTaskState(began)));
}

function plain(state: TaskState): TaskState {
  const { paused: _, asked: _asked, ...rest } = state;
  return rest;
}

function withPause(state: TaskState, isPaused: boolean): TaskState {
  const { paused: _, ...rest } = state;
  return isPaused ? { ...rest, paused: true } : rest;
}

function taskMembers({ asked, results, rev }: Answered, i: number): string {
  const { version, next } = results.tasks![i]!;
  return `"ID":${quoted(asked.tasks![i]!.key)},"Version":${version || rev},${nextMembers(next)}`;
}

export function nextMembers(next: number): string {
  return `"Next":${Math.ceil(next / 1000)},"NextMs":${next}`;
}

function cancelMembers({ asked, results }: Answered, i: number): string {
  return `"ID":${quoted(asked.taskCancel![i]!.key)},"Version":${results.taskCancel![i]!.version}`;
}

const changed: FormatBehaviour = {
  members: ({ asked, results }) => {
    const { state, next } = results.taskChange!;
    return `"ID":${quoted(asked.taskChange!.key)},"State":"${state}",${nextMembers(next)},`;
  },
};

const made: FormatBehaviour = { members: (answered) => `${taskMembers(answered, 0)},` };

export const taskFormats = {
  'task.create': made,
  'task.make': made,
  'task.cancel': { members: (answered) => `${cancelMembers(answered, 0)},` },
  'task.run': changed,
  'task.pause': changed,
  'task.resume': changed,
} satisfies Record<string, FormatBehaviour>;
