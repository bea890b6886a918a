/** What a batch does with tasks, as callers write it. */
import { ttlMsMax } from '../shared/limits.ts';
import { anId, durationMs, gotText, integerIf, invalid, secondsIf, type Duration } from './checks.ts';
import { checkJson } from './json-values.ts';
import { checkOptions, type NamesOf } from './option-names.ts';

/** A moment: a Date, or milliseconds since the epoch. */
export type Moment = Date | number;

/** What a task does: it puts a message into a queue, exactly once for each instant. */
export interface TaskTarget {
  /** Name of the queue. */
  readonly queue: string;
  /** Any JSON. */
  readonly data: unknown;
  /** Messages of one group are delivered strictly one after the other. */
  readonly group?: string | undefined;
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
export interface TaskOperation extends TaskTarget, TaskOptions {
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
  maxLate: true,
  until: true,
  replace: true,
  version: true,
};
export const targetNames: NamesOf<TaskTarget> = { queue: true, data: true, group: true };
const operationNames: NamesOf<TaskOperation> = {
  ...taskOptionNames,
  ...targetNames,
  id: true,
  at: true,
  delay: true,
  cron: true,
  tz: true,
  every: true,
};
const retryNames = { max: true, min: true, maxDelay: true, factor: true } as const;
const cancelNames: NamesOf<TaskCancelOperation> = { id: true, version: true };
const anyTime = { min: 0, max: ttlMsMax };

export function taskToWire(task: TaskOperation, place: string): object {
  checkOptions(task, operationNames, place.replace(/\.$/, ''));
  const { id, at, delay, cron, tz, every, queue, data, group } = task;
  const { retry, misfire, maxLate, until, replace, version } = task;
  checkJson(data, `${place}data`);
  if (retry !== undefined) checkOptions(retry, retryNames, `${place}retry`);
  return {
    ID: anId(id, `${place}id`),
    At: secondsOfMoment(at, `${place}at`),
    Delay: secondsIf(delay, `${place}delay`, anyTime),
    Cron: cron,
    TZ: tz,
    Every: every === undefined ? undefined : durationMs(every, `${place}every`, { min: 1000, max: ttlMsMax }) / 1000,
    Queue: anId(queue, `${place}queue`),
    Data: data,
    Group: group === undefined ? undefined : anId(group, `${place}group`),
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
