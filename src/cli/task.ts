/** `dragonlock task`: at, after, cron, every, list, show, run, pause, resume, cancel. */
import type { DragonLock } from '../client/dragon-lock.ts';
import type { MakeTaskOptions } from '../client/task.ts';
import type { TaskInfo, TaskState } from '../client/task-info.ts';
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
    const [id = '', when = '', ...rest] = args;
    const target = targetOf(rest, options);
    const made = await make(await invocation.client(), { id, when, target, options: optionsOf(options) });
    if (invocation.json) invocation.terminal.json({ ID: made.id, Version: made.version, NextMs: made.next });
    else invocation.terminal.line(isoTime(made.next));
  };
}

/** With --url, what is left is the body of the request; with --script, its arguments. */
function targetOf(rest: readonly string[], options: Options): TaskTarget {
  const { url, method, deadline, group, script } = options;
  const result = options['result-queue'];
  const read = (given: string): unknown => {
    const text = given === '-' ? readInput('-') : given;
    return options['json-value'] === true ? parseJson(text, 'the message') : text;
  };
  if (typeof url === 'string') {
    if (rest.length > 1) throw new UsageError('--url: expected the body of the request behind the time, and no queue');
    return {
      url,
      ...(typeof method === 'string' && { method: method as 'POST' }),
      ...(typeof deadline === 'string' && { deadline: parseDuration(deadline, '--deadline') }),
      ...(typeof result === 'string' && { resultQueue: result }),
      ...(rest[0] !== undefined && { body: read(rest[0]) }),
    };
  }
  if (typeof script === 'string') {
    if (rest.length > 1)
      throw new UsageError('--script: expected the arguments of the script behind the time, and no queue');
    return { script, ...(rest[0] !== undefined && { args: read(rest[0]) }) };
  }
  const [queue, data] = rest;
  if (queue === undefined || data === undefined)
    throw new UsageError('expected the name of a queue and a message, --url or --script');
  return { queue, data: read(data), ...(typeof group === 'string' && { group }) };
}

function optionsOf(options: Options): MakeTaskOptions {
  const { misfire, flow } = options;
  const late = options['max-late'];
  if (typeof misfire === 'string' && !['latest', 'skip', 'all'].includes(misfire))
    throw new UsageError(`--misfire: expected latest, skip or all, got ${JSON.stringify(misfire)}`);
  return {
    ...(options['replace'] === true && { replace: true }),
    ...(typeof flow === 'string' && { flowKey: flow }),
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
  if (typeof state === 'string' && !['scheduled', 'running', 'paused', 'dead', 'done'].includes(state))
    throw new UsageError(`--state: expected scheduled, running, paused, dead or done, got ${JSON.stringify(state)}`);
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

export const taskFlow: Run = async (invocation, { args, options }) => {
  const [key = ''] = args;
  const { flows } = await invocation.client();
  const { rate, per, parallel } = options;
  if (options['delete'] === true) {
    if (!(await flows.delete(key))) throw new NegativeResult(`There is no flow ${JSON.stringify(key)}.`);
    return;
  }
  const limits = {
    ...(typeof rate === 'string' && { rate: numberOf(rate, '--rate') }),
    ...(typeof per === 'string' && { per: parseDuration(per, '--per') }),
    ...(typeof parallel === 'string' && { parallel: numberOf(parallel, '--parallel') }),
    ...(options['paused'] === true && { paused: true }),
  };
  const isSet = Object.keys(limits).length > 0 || options['unlimited'] === true;
  const flow = isSet ? await flows.set(key, limits) : await flows.get(key);
  if (flow === undefined) throw new NegativeResult(`There is no flow ${JSON.stringify(key)}.`);
  const { per: perMs, ...rest } = flow;
  invocation.terminal.json({
    Key: rest.key,
    Rate: rest.rate,
    Per: perMs === undefined ? undefined : perMs / 1000,
    Parallel: rest.parallel,
    Paused: rest.paused,
  });
};

function numberOf(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new UsageError(`${option}: expected a number, got ${JSON.stringify(text)}`);
  return value;
}

export const taskSecret: Run = async (invocation, { options }) => {
  const { tasks } = await invocation.client();
  const { secret, old, oldTill } = options['rotate'] === true ? await tasks.rotateSecret() : await tasks.secret();
  if (invocation.json) invocation.terminal.json({ Secret: secret, Old: old, OldTillMs: oldTill });
  else invocation.terminal.line(secret);
};

function noTask(id: string): NegativeResult {
  return new NegativeResult(`There is no task ${JSON.stringify(id)}.`);
}

function wireTask(task: TaskInfo): object {
  const { id, version, state, next, attempts, runs, skipped, failed, lastError, cron, tz, every, deadline } = task;
  return {
    ID: id,
    Version: version,
    State: state,
    NextMs: next,
    Attempts: attempts,
    Runs: runs,
    Skipped: skipped,
    Failed: failed,
    LastStatus: task.lastStatus,
    LastError: lastError,
    LastStartMs: task.lastStart,
    LastEndMs: task.lastEnd,
    Queue: task.queue,
    Group: task.group,
    Script: task.script,
    URL: task.url,
    Method: task.method,
    HeaderNames: task.headerNames,
    Deadline: deadline === undefined ? undefined : deadline / 1000,
    FlowKey: task.flowKey,
    ResultQueue: task.resultQueue,
    Cron: cron,
    TZ: tz,
    Every: every === undefined ? undefined : every / 1000,
    ...('data' in task && { Data: task.data }),
    ...('args' in task && { Args: task.args }),
    ...('body' in task && { Body: task.body }),
  };
}
