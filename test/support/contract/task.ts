/**
 * Tasks as clients make, look at and cancel them. That they run is another model's (test/dispatcher/): here nobody runs
 * them, as if there were no dispatcher, and none ever ends.
 */
import { isDeepStrictEqual } from 'node:util';
import { Span } from './expected.ts';
import { done, refuse, type Moment, type Outcome, type Performed, type Turn } from './moment.ts';
import { page } from './page.ts';
import { nameOf, type FlowEntry, type TaskEntry } from './state.ts';
import {
  flowEntryKey,
  type Flow,
  type FlowGet,
  type TaskSetting,
} from '../../../src/protocol/operations/task-setting.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { TaskGet, TaskList } from '../../../src/protocol/operations/task-calls.ts';
import type {
  TaskCancelOperation,
  TaskChange,
  TaskOperation,
  TaskTarget,
} from '../../../src/protocol/operations/task-definition.ts';

export const task = {
  perform(turn: Turn, { format, tasks, taskCancel, taskChange, taskSetting }: Batch): Performed {
    // The server's own `taskEnd` is in no command of a client.
    const TaskCancel = taskCancel?.map((operation, i) => cancel(turn, i, operation));
    const Tasks = tasks?.map((operation, i) => make(turn, i, operation));
    if (format === 'task.create' || format === 'task.make') return { reply: Tasks![0]! };
    if (format === 'task.cancel') return { reply: TaskCancel![0]! };
    if (taskSetting !== undefined) return { reply: set(turn, taskSetting) };
    if (taskChange !== undefined) return { reply: change(turn, taskChange) };
    return { members: { TaskCancel, Tasks } };
  },
  commands: {
    'flow.get': (at: Moment, { account, id }: FlowGet): Outcome => {
      const entry = at.state.get(nameOf('flow', account, id)) as FlowEntry | undefined;
      return entry === undefined ? refuse('not_found', { Key: id }) : done(at, flowOf(id, entry.flow));
    },
    'task.get': (at: Moment, { account, id }: TaskGet): Outcome => {
      const entry = at.state.get(nameOf('task', account, id)) as TaskEntry | undefined;
      if (entry === undefined) return refuse('not_found', { ID: id });
      const { target } = entry.definition;
      const content =
        target.kind === 'queue'
          ? { Data: JSON.parse(target.data) as unknown }
          : target.kind === 'script'
            ? { Args: JSON.parse(target.args) as unknown }
            : target.body !== undefined && { Body: JSON.parse(target.body) as unknown };
      return done(at, { ...view(id, entry), ...content });
    },
    'task.list': (at: Moment, call: TaskList): Outcome =>
      page(at, call, (key) => {
        const entry = at.state.get(nameOf('task', call.account, key)) as TaskEntry;
        return call.state === undefined || call.state === stateOf(entry) ? view(key, entry) : null;
      }),
  },
};

function make(turn: Turn, i: number, operation: TaskOperation): object {
  const { key, definition, replace, version } = operation;
  const name = nameOf('task', turn.account, key);
  const before = turn.latest(name) as TaskEntry | undefined;
  const none = { ID: key };
  if (version !== undefined && version !== (before?.version ?? 0)) {
    turn.fail(`Tasks[${i}]`, 'version_mismatch', { ID: key, Version: before?.version ?? 0 });
    return none;
  }
  if (before !== undefined && !replace) {
    const Next = before.next.seconds();
    turn.fail(`Tasks[${i}]`, 'duplicate_task', { ID: key, State: stateOf(before), Next });
    return none;
  }
  const { schedule } = definition;
  const sameTimes =
    before !== undefined && schedule !== undefined && isDeepStrictEqual(schedule, before.definition.schedule);
  if (sameTimes && isDeepStrictEqual(definition, before.definition)) return shown(key, before);
  const entry: TaskEntry = {
    version: turn.at.rev,
    definition,
    next: sameTimes ? before.next : first(turn.at.now, operation),
    paused: before?.paused === true,
  };
  if (definition.untilMs !== undefined && entry.next.lo > definition.untilMs)
    turn.fail(`Tasks[${i}].Until`, 'invalid', {});
  turn.changes.set(name, entry);
  return shown(key, entry);
}

function first(now: Span, { definition: { schedule }, delayMs = 0, atMs }: TaskOperation): Span {
  if (schedule !== undefined && 'everyMs' in schedule) return now.plus(schedule.everyMs);
  if (atMs === undefined) return now.plus(delayMs);
  return new Span(Math.max(now.lo, atMs), Math.max(now.hi, atMs));
}

function cancel(turn: Turn, i: number, { key, version }: TaskCancelOperation): object {
  const name = nameOf('task', turn.account, key);
  const before = turn.latest(name) as TaskEntry | undefined;
  const is = before?.version ?? 0;
  if (version !== undefined && version !== is)
    turn.fail(`TaskCancel[${i}]`, 'version_mismatch', { ID: key, Version: is });
  else if (before !== undefined) turn.changes.set(name, undefined);
  return { ID: key, Version: is };
}

function change(turn: Turn, { key, change: how }: TaskChange): object {
  const name = nameOf('task', turn.account, key);
  const before = turn.latest(name) as TaskEntry | undefined;
  if (before === undefined) {
    turn.fail('task', 'not_found', { ID: key });
    return {};
  }
  if (how === 'run') {
    // Nobody runs it: what is left of the change is that its state was written.
    turn.changes.set(name, before);
    return { ID: key, State: stateOf(before), ...times(turn.at.now) };
  }
  const after = { ...before, paused: how === 'pause' };
  if (how === 'pause' || before.paused) turn.changes.set(name, after);
  return { ID: key, State: stateOf(after), ...times(after.next) };
}

function stateOf({ paused }: TaskEntry): string {
  return paused ? 'paused' : 'scheduled';
}

function shown(ID: string, { version, next }: TaskEntry): object {
  return { ID, Version: version, ...times(next) };
}

function times(next: Span): object {
  return { Next: next.seconds(), NextMs: next };
}

function view(ID: string, entry: TaskEntry): object {
  const { target, schedule, retry, misfire, maxLateMs, untilMs } = entry.definition;
  return {
    ...shown(ID, entry),
    State: stateOf(entry),
    Attempts: 0,
    Runs: 0,
    Skipped: 0,
    Failed: 0,
    ...targetOf(target),
    ...(schedule !== undefined && { Misfire: misfire }),
    ...(schedule !== undefined && 'everyMs' in schedule && { Every: schedule.everyMs / 1000 }),
    ...(schedule !== undefined && 'cron' in schedule && { Cron: schedule.cron, TZ: schedule.tz }),
    Retry: { Max: retry.max, Min: retry.minMs / 1000, MaxDelay: retry.maxMs / 1000, Factor: retry.factor },
    ...(maxLateMs !== undefined && { MaxLate: maxLateMs / 1000 }),
    ...(untilMs !== undefined && { Until: untilMs / 1000 }),
  };
}

function targetOf(target: TaskTarget): object {
  if (target.kind === 'queue')
    return { Queue: target.queue, ...(target.group !== undefined && { Group: target.group }) };
  if (target.kind === 'script') return { Script: target.script };
  const { url, method, headers, deadlineMs } = target;
  return { URL: url, Method: method, HeaderNames: Object.keys(headers), Deadline: deadlineMs / 1000 };
}

/** Secrets are not modelled: nobody can say what they are. */
function set(turn: Turn, setting: TaskSetting): object {
  const Key = setting.key.slice(flowEntryKey('').length);
  const name = nameOf('flow', turn.account, Key);
  if (setting.change === 'flow.set') {
    turn.changes.set(name, { flow: setting.flow });
    return flowOf(Key, setting.flow);
  }
  const Deleted = turn.latest(name) !== undefined;
  if (Deleted) turn.changes.set(name, undefined);
  return { Key, Deleted };
}

function flowOf(Key: string, { rate, perMs, parallel, paused }: Flow): object {
  return {
    Key,
    ...(rate !== undefined && { Rate: rate, Per: perMs / 1000 }),
    ...(parallel !== undefined && { Parallel: parallel }),
    Paused: paused,
  };
}
