/** Looks at tasks: one, and pages. Nothing changes. */
import { failure } from '../../../protocol/errors.ts';
import { hasLapsed } from '../../../protocol/entries.ts';
import type { TaskDefinition, TaskState, TaskTarget } from '../../../protocol/operations/task-definition.ts';
import type { TaskGet, TaskList } from '../../../protocol/operations/task-calls.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply } from '../../../protocol/replies.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision } from '../state/state.ts';
import { runName } from '../state/task-watch.ts';
import type { Turn } from '../state/turn.ts';
import { pageOfEntries } from './list.ts';
import { readStoredTask, readTaskState, stateName, type StoredTask } from './task.ts';

export function listTasks({ state, now }: Turn, command: TaskList): Page {
  return pageOfEntries(state, kinds.task, command, ({ account, key, entry }) => {
    if (hasLapsed(entry, now)) return undefined;
    const task = readStoredTask(entry.value);
    const current = stateOf(task, state.entries.get(kinds.taskState, account, key)?.value);
    const shown = viewOf(task, current, state.tasks.running.has(runName(account, key)));
    if (command.state !== undefined && shown.State !== command.state) return undefined;
    return JSON.stringify({ ID: key, Version: entry.rev, ...shown });
  });
}

export function getTask({ state, now, out }: Turn, ref: RequestRef, { account, id }: TaskGet): void {
  const rev = readRevision(state);
  const entry = state.entries.get(kinds.task, account, id);
  if (entry === undefined || hasLapsed(entry, now)) {
    const message = `There is no task ${JSON.stringify(id)}.`;
    return out.reply(ref, failureReply(rev, failure('not_found', message, { ID: id })));
  }
  const task = readStoredTask(entry.value);
  const current = stateOf(task, state.entries.get(kinds.taskState, account, id)?.value);
  // JSON that was stored as text goes out as the same text.
  const shown = viewOf(task, current, state.tasks.running.has(runName(account, id)));
  const head = JSON.stringify({ ID: id, Version: entry.rev, ...shown }).slice(0, -1);
  const body = `${head}${contentOf(task.definition)},"Rev":${rev}}`;
  out.reply(ref, { rev, outcome: 'ok', body });
}

function stateOf({ ended }: StoredTask, state: string | undefined): TaskState {
  return ended === undefined ? readTaskState(state!) : ended.state;
}

export function contentOf({ target }: TaskDefinition): string {
  if (target.kind === 'queue') return `,"Data":${target.data}`;
  if (target.kind === 'script') return `,"Args":${target.args}`;
  return target.body === undefined ? '' : `,"Body":${target.body}`;
}

function viewOf({ definition, ended }: StoredTask, state: TaskState, isRunning: boolean) {
  const { next, attempts, runs, skipped, failed, lastError, lastStatus, lastStartMs, lastEndMs } = state;
  return {
    State: ended === undefined && isRunning ? 'running' : stateName(ended?.how, state),
    ...(ended === undefined && { Next: Math.ceil(next / 1000), NextMs: next }),
    Attempts: attempts,
    Runs: runs,
    Skipped: skipped,
    Failed: failed,
    ...(lastStatus !== undefined && { LastStatus: lastStatus }),
    ...(lastError !== undefined && { LastError: lastError }),
    ...(lastStartMs !== undefined && { LastStartMs: lastStartMs }),
    ...(lastEndMs !== undefined && { LastEndMs: lastEndMs }),
    ...shownDefinition(definition),
  };
}

export function shownDefinition({ target, schedule, retry, misfire, overlap, ...others }: TaskDefinition) {
  const { maxLateMs, untilMs, flow, resultQueue } = others;
  const times =
    schedule === undefined
      ? {}
      : 'everyMs' in schedule
        ? { Every: schedule.everyMs / 1000, Misfire: misfire }
        : { Cron: schedule.cron, TZ: schedule.tz, Misfire: misfire };
  return {
    ...targetOf(target),
    ...times,
    ...(overlap !== undefined && { Overlap: overlap }),
    Retry: { Max: retry.max, Min: retry.minMs / 1000, MaxDelay: retry.maxMs / 1000, Factor: retry.factor },
    ...(maxLateMs !== undefined && { MaxLate: maxLateMs / 1000 }),
    ...(untilMs !== undefined && { Until: untilMs / 1000 }),
    ...(flow !== undefined && { FlowKey: flow }),
    ...(resultQueue !== undefined && { ResultQueue: resultQueue }),
  };
}

/** Headers are not shown: they may have tokens, and whoever may read is not who may send. */
function targetOf(target: TaskTarget) {
  if (target.kind === 'queue')
    return { Queue: target.queue, ...(target.group !== undefined && { Group: target.group }) };
  if (target.kind === 'script') return { Script: target.script };
  return {
    URL: target.url,
    Method: target.method,
    HeaderNames: Object.keys(target.headers),
    Deadline: target.deadlineMs / 1000,
  };
}
