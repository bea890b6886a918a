/** What a batch does with tasks, as callers write it. */
import { ttlMsMax } from '../shared/limits.ts';
import { taskDeadlineMsMax } from '../shared/task-limits.ts';
import { anId, durationMs, gotText, integerIf, invalid, secondsIf, type Duration } from './checks.ts';
import { checkJson } from './json-values.ts';
import { checkOptions, type NamesOf } from './option-names.ts';

/** A moment: a Date, or milliseconds since the epoch. */
export type Moment = Date | number;

/** What a task does. */
export type TaskTarget = QueueTaskTarget | HttpTaskTarget | ScriptTaskTarget;

/** It sends a request, at least once for each instant. `verifyWebhook` of `dragonlock/webhook` verifies it. */
export interface HttpTaskTarget {
  /** http: or https:. */
  readonly url: string;
  /** Default POST. */
  readonly method?: 'POST' | 'PUT' | 'PATCH' | 'GET' | 'DELETE' | undefined;
  /** Such as an Authorization. They are not shown again. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Any JSON. */
  readonly body?: unknown;
  /** How long a run may take. Default 30 seconds. */
  readonly deadline?: Duration | undefined;
  /** A queue that gets what came of each run: `{ ID, Status, Body, Attempts }`. */
  readonly resultQueue?: string | undefined;
}

/** It puts a message into a queue, exactly once for each instant. */
export interface QueueTaskTarget {
  /** Name of the queue. */
  readonly queue: string;
  /** Any JSON. */
  readonly data: unknown;
  /** Messages of one group are delivered strictly one after the other. */
  readonly group?: string | undefined;
}

/** It calls a script. What that does happens exactly once for each instant. Needs the scope `script`. */
export interface ScriptTaskTarget {
  /** Name of a stored script; its current version is called. */
  readonly script: string;
  /** Any JSON. Default null. */
  readonly args?: unknown;
}

/** How a task is made. */
export interface TaskOptions {
  /** How often it is tried again, and after which delays. */
  readonly retry?:
    | {
        /** Tries after the first one. Default 8. */
        readonly max?: number | undefined;
        /** The first delay. Default 5 seconds. */
        readonly min?: Duration | undefined;
        /** The longest delay. Default 1 hour. */
        readonly maxDelay?: Duration | undefined;
        /** By how much each delay is longer than the one before. Default 2. */
        readonly factor?: number | undefined;
      }
    | undefined;
  /** Of a schedule: what becomes of instants that a downtime or a pause has missed. Default `'latest'`: one run. */
  readonly misfire?: 'latest' | 'skip' | 'all' | undefined;
  /** Of a schedule with a `url`: what becomes of instants that pass while a run goes on. Default `'skip'`. */
  readonly overlap?: 'skip' | 'queue' | undefined;
  /** Tasks of one flow share the limits that `flows.set` has given it. */
  readonly flowKey?: string | undefined;
  /** An instant that would run later than this is passed over. */
  readonly maxLate?: Duration | undefined;
  /** Of a schedule: no instant is later. */
  readonly until?: Moment | undefined;
  /** Puts the task in the place of one with this ID. */
  readonly replace?: boolean | undefined;
  /** Only in the place of this version; 0: only if there is none. Needs `replace`. */
  readonly version?: number | undefined;
}

/** A task of a batch. It has one time at most; without one, it runs now. */
export type TaskOperation = TaskTarget & TaskOptions & TaskTimes;

/** Name and time of a task. */
export interface TaskTimes {
  /** Its name: 1 to 512 bytes. There is one task of a name. */
  readonly id: string;
  /** Once, at this moment; in the past: now. */
  readonly at?: Moment | undefined;
  /** Once, after this: milliseconds, or `'5m'`. */
  readonly delay?: Duration | undefined;
  /** A pattern of five or six fields. */
  readonly cron?: string | undefined;
  /** The zone of `cron`, such as `'Europe/Rome'`. Default UTC. */
  readonly tz?: string | undefined;
  /** Again and again, each time after so long. */
  readonly every?: Duration | undefined;
}

/** A task to be cancelled. */
export interface TaskCancelOperation {
  /** Its name. */
  readonly id: string;
  /** Only this version. */
  readonly version?: number | undefined;
}

/** A task that was made. */
export interface TaskMade {
  /** Its name. */
  readonly id: string;
  /** Changes when the task is replaced. */
  readonly version: number;
  /** Its next instant, in milliseconds since the epoch. */
  readonly next: number;
}

export const taskOptionNames: NamesOf<TaskOptions> = {
  retry: true,
  misfire: true,
  overlap: true,
  flowKey: true,
  maxLate: true,
  until: true,
  replace: true,
  version: true,
};
const queueNames: NamesOf<QueueTaskTarget> = { queue: true, data: true, group: true };
const scriptNames: NamesOf<ScriptTaskTarget> = { script: true, args: true };
const httpNames: NamesOf<HttpTaskTarget> = {
  url: true,
  method: true,
  headers: true,
  body: true,
  deadline: true,
  resultQueue: true,
};
const timeNames: NamesOf<TaskTimes> = {
  id: true,
  at: true,
  delay: true,
  cron: true,
  tz: true,
  every: true,
};

/** The names that a target of this kind has. */
export function targetNames(
  target: TaskTarget,
): NamesOf<HttpTaskTarget> | NamesOf<QueueTaskTarget> | NamesOf<ScriptTaskTarget> {
  if ('script' in target) return scriptNames;
  return 'url' in target ? httpNames : queueNames;
}

const retryNames = { max: true, min: true, maxDelay: true, factor: true } as const;
const cancelNames: NamesOf<TaskCancelOperation> = { id: true, version: true };
const anyTime = { min: 0, max: ttlMsMax };

export function taskToWire(task: TaskOperation, place: string): object {
  const names = { ...targetNames(task), ...taskOptionNames, ...timeNames };
  checkOptions(task, names, place.replace(/\.$/, ''));
  const { id, at, delay, cron, tz, every } = task;
  const { retry, misfire, overlap, flowKey, maxLate, until, replace, version } = task;
  if (retry !== undefined) checkOptions(retry, retryNames, `${place}retry`);
  return {
    ID: anId(id, `${place}id`),
    At: secondsOfMoment(at, `${place}at`),
    Delay: secondsIf(delay, `${place}delay`, anyTime),
    Cron: cron,
    TZ: tz,
    Every: every === undefined ? undefined : durationMs(every, `${place}every`, { min: 1000, max: ttlMsMax }) / 1000,
    ...targetToWire(task, place),
    Overlap: overlap,
    FlowKey: flowKey === undefined ? undefined : anId(flowKey, `${place}flowKey`),
    Retry: retry && {
      Max: integerIf(retry.max, `${place}retry.max`, 0),
      Min: secondsIf(retry.min, `${place}retry.min`, anyTime),
      MaxDelay: secondsIf(retry.maxDelay, `${place}retry.maxDelay`, anyTime),
      Factor: retry.factor,
    },
    Misfire: misfire,
    MaxLate: secondsIf(maxLate, `${place}maxLate`, { min: 1, max: ttlMsMax }),
    Until: secondsOfMoment(until, `${place}until`),
    Replace: replace,
    Version: integerIf(version, `${place}version`, 0),
  };
}

function targetToWire(target: TaskTarget, place: string): object {
  if ('script' in target) {
    const { script, args } = target;
    if (args !== undefined) checkJson(args, `${place}args`);
    return { Script: anId(script, `${place}script`), Args: args };
  }
  if (!('url' in target)) {
    const { queue, data, group } = target;
    checkJson(data, `${place}data`);
    return {
      Queue: anId(queue, `${place}queue`),
      Data: data,
      Group: group === undefined ? undefined : anId(group, `${place}group`),
    };
  }
  const { url, method, headers, body, deadline, resultQueue } = target;
  if (body !== undefined) checkJson(body, `${place}body`);
  return {
    URL: url,
    Method: method,
    Headers: headers,
    Body: body,
    Deadline: secondsIf(deadline, `${place}deadline`, { min: 1000, max: taskDeadlineMsMax }),
    ResultQueue: resultQueue === undefined ? undefined : anId(resultQueue, `${place}resultQueue`),
  };
}

export function cancelToWire(cancel: TaskCancelOperation, i: number): object {
  const place = `cancelTasks[${i}]`;
  checkOptions(cancel, cancelNames, place);
  return { ID: anId(cancel.id, `${place}.id`), Version: integerIf(cancel.version, `${place}.version`, 0) };
}

function secondsOfMoment(moment: Moment | undefined, place: string): number | undefined {
  if (moment === undefined) return undefined;
  const ms = typeof moment === 'number' ? moment : moment.getTime();
  if (!Number.isFinite(ms) || ms < 0)
    throw invalid(`${place}: expected a Date, or milliseconds since the epoch, got ${gotText(moment)}`);
  return ms / 1000;
}
