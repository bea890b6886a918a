/** `dragonlock task`: at, after, cron, every, list, show, run, pause, resume, cancel. */
import type { DragonLock } from '../client/dragon-lock.ts';
import type { MakeTaskOptions, TaskInfo, TaskState } from '../client/task.ts';
import type { TaskMade, TaskTarget } from '../client/task-batch.ts';
import { isoTime } from '../shared/clock.ts';
import type { Run } from './command-spec.ts';
import { NegativeResult, UsageError } from './exit-codes.ts';
import { readInput } from './files.ts';
import { formatKey } from './format.ts';
import type { Invocation, Options } from './invocation.ts';
import { parseDuration, parseJson } from './parse.ts';

type Make = (
  client: DragonLock,
  given: { readonly id: string; readonly when: string; readonly target: TaskTarget; readonly options: MakeTaskOptions },
) => Promise<TaskMade>;

function making(make: Make): Run {
  return async (invocation, { args, options }) => {
    const [id = '', when = '', queue = '', given = ''] = args;
    const text = given === '-' ? readInput('-') : given;
    const data = options['json-value'] ? parseJson(text, 'the message') : text;
    const { group } = options;
    const target = { queue, data, ...(typeof group === 'string' && { group }) };
    const made = await make(await invocation.client(), { id, when, target, options: optionsOf(options) });
    if (invocation.json) invocation.terminal.json({ ID: made.id, Version: made.version, NextMs: made.next });
    else invocation.terminal.line(isoTime(made.next));
  };
}

function optionsOf(options: Options): MakeTaskOptions {
  const { misfire } = options;
  const late = options['max-late'];
  if (typeof misfire === 'string' && !['latest', 'skip', 'all'].includes(misfire))
    throw new UsageError(`--misfire: expected latest, skip or all, got ${JSON.stringify(misfire)}`);
  return {
    ...(options['replace'] === true && { replace: true }),
    ...(typeof misfire === 'string' && { misfire: misfire as 'latest' }),
    ...(typeof late === 'string' && { maxLate: parseDuration(late, '--max-late') }),
  };
}

export const taskAt = making((client, { id, when, target, options }) =>
  client.tasks.at(id, momentOf(when), target, options),
);
export const taskAfter = making((client, { id, when, target, options }) =>
  client.tasks.after(id, parseDuration(when, 'delay'), target, options),
);
export const taskEvery = making((client, { id, when, target, options }) =>
  client.tasks.every(id, parseDuration(when, 'interval'), target, options),
);
export const taskCron: Run = (invocation, given) => {
  const { tz } = given.options;
  const make: Make = (client, { id, when, target, options }) =>
    client.tasks.cron(id, when, target, { ...options, ...(typeof tz === 'string' && { tz }) });
  return making(make)(invocation, given);
};

/** @returns milliseconds */
function momentOf(text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (Number.isNaN(ms))
    throw new UsageError(
      `time: expected one such as 2027-03-28T02:30:00+01:00, or seconds since 1970, got ${JSON.stringify(text)}`,
    );
  return ms;
}

export const listTasks: Run = async (invocation, { args, options }) => {
  const { state } = options;
  if (typeof state === 'string' && !['scheduled', 'paused', 'dead', 'done'].includes(state))
    throw new UsageError(`--state: expected scheduled, paused, dead or done, got ${JSON.stringify(state)}`);
  const client = await invocation.client();
  const only = typeof state === 'string' ? { state: state as TaskState } : {};
  for await (const task of client.tasks.list(args[0] ?? '', only)) {
    if (invocation.json) invocation.terminal.json(wireTask(task));
    else
      invocation.terminal.line(
        `${formatKey(task.id)}\t${task.state}\t${task.next === undefined ? '-' : isoTime(task.next)}`,
      );
  }
};

export const showTask: Run = async (invocation, { args }) => {
  const task = await (await invocation.client()).tasks.get(args[0]!);
  if (task === undefined) throw noTask(args[0]!);
  invocation.terminal.json(wireTask(task));
};

function changing(change: 'run' | 'pause' | 'resume'): Run {
  return async (invocation: Invocation, { args }) => {
    const { state, next } = await (await invocation.client()).tasks[change](args[0]!);
    if (invocation.json) invocation.terminal.json({ ID: args[0], State: state, NextMs: next });
  };
}

export const runTask = changing('run');
export const pauseTask = changing('pause');
export const resumeTask = changing('resume');

export const cancelTask: Run = async (invocation, { args }) => {
  if (!(await (await invocation.client()).tasks.cancel(args[0]!))) throw noTask(args[0]!);
};

function noTask(id: string): NegativeResult {
  return new NegativeResult(`There is no task ${JSON.stringify(id)}.`);
}

function wireTask(task: TaskInfo): object {
  const { id, version, state, next, attempts, runs, skipped, failed, lastError, queue, group, cron, tz, every } = task;
  return {
    ID: id,
    Version: version,
    State: state,
    NextMs: next,
    Attempts: attempts,
    Runs: runs,
    Skipped: skipped,
    Failed: failed,
    LastError: lastError,
    LastStartMs: task.lastStart,
    LastEndMs: task.lastEnd,
    Queue: queue,
    Group: group,
    Cron: cron,
    TZ: tz,
    Every: every === undefined ? undefined : every / 1000,
    ...('data' in task && { Data: task.data }),
  };
}
