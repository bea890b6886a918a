/** Tasks: `Tasks` and `TaskCancel` in a batch. A task is something that happens at a time, once or again and again. */
import { Type } from 'typebox';
import {
  cronCharsMax,
  cronTasksMax,
  everyMsMin,
  taskBodyBytesMax,
  taskRetryMax,
  taskRetryMsMax,
  ttlMsMax,
} from '../../shared/limits.ts';
import { readClock } from '../../shared/clock.ts';
import { nearestName } from '../../shared/closest-name.ts';
import { refuse, refuseField } from '../refusal.ts';
import { flawOfCron, isTimeZone, nextInstant, noInstant, timeZones, type TaskSchedule } from '../task-times.ts';
import {
  anyJson,
  closed,
  jsonText,
  keyField,
  listField,
  readKey,
  secondsField,
  secondsToMs,
  versionField,
  yesOrNo,
} from './fields.ts';
import { listSection, singleSection, type BodyContext } from './section.ts';

/** Puts a message into a queue, in the commit that moves the task on: exactly once. */
export interface QueueTarget {
  readonly kind: 'queue';
  readonly queue: string;
  /** JSON text. */
  readonly data: string;
  readonly group?: string;
}
export type TaskTarget = QueueTarget;

export interface TaskRetry {
  /** Tries after the first one. */
  readonly max: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/** What a task is to do. It does not change but by being replaced. */
export interface TaskDefinition {
  readonly target: TaskTarget;
  /** Absent: it runs once. */
  readonly schedule?: TaskSchedule;
  readonly retry: TaskRetry;
  readonly misfire: Misfire;
  readonly maxLateMs?: number;
  readonly untilMs?: number;
}

const misfires = ['latest', 'skip', 'all'] as const;
export type Misfire = (typeof misfires)[number];

/** In all operations `key` is the ID of the task. */
export interface TaskOperation {
  readonly key: string;
  readonly definition: TaskDefinition;
  /** The first run: this long from now, or at a time; of Cron, the first instant. Absent with Every. */
  readonly delayMs?: number;
  readonly atMs?: number;
  readonly replace: boolean;
  readonly version?: number;
}

export interface TaskResult {
  /** 0: the revision of this commit. */
  readonly version: number;
  readonly next: number;
}

export interface TaskCancelOperation {
  readonly key: string;
  readonly version?: number;
}

export interface TaskCancelResult {
  /** Of the task that was cancelled; 0: there was none. */
  readonly version: number;
}

/** What of a task changes. It is there as long as the task has not ended. */
export interface TaskState {
  /** The instant of the next run, or of the one that is tried again. */
  readonly next: number;
  /** Of Every: where it counts from. */
  readonly fromMs: number;
  readonly paused?: true;
  /** Tries of this instant that have failed. */
  readonly attempts: number;
  /** Instants that succeeded, that were passed over, and that failed for good. */
  readonly runs: number;
  readonly skipped: number;
  readonly failed: number;
  /** Of Misfire "all": runs so far that make up for missed instants of one gap. */
  readonly madeUp?: number;
  readonly lastStartMs?: number;
  readonly lastEndMs?: number;
  readonly lastError?: string;
}

/** What the dispatcher commits: a run has ended, or was put off. No member of a batch that clients send. */
export interface TaskEndOperation {
  readonly key: string;
  /** Of the state that the run began with. */
  readonly version: number;
  readonly state: TaskState;
  /** When it falls due; 0: it is paused. Absent: the task has ended. */
  readonly till?: number;
  readonly ended?: 'done' | 'dead';
}

export type TaskChange = { readonly key: string; readonly change: 'pause' | 'resume' | 'run' };

export interface TaskChangeResult {
  readonly state: TaskStateName;
  readonly next: number;
}

export const taskStates = ['scheduled', 'paused', 'dead', 'done'] as const;
export type TaskStateName = (typeof taskStates)[number];

export const defaultRetry: TaskRetry = { max: 8, minMs: 5000, maxMs: 3_600_000, factor: 2 };

const retrySchema = Type.Object(
  {
    Max: Type.Optional(
      Type.Integer({ minimum: 0, maximum: taskRetryMax, expected: `an integer from 0 to ${taskRetryMax}` }),
    ),
    Min: Type.Optional(secondsField('or zero', taskRetryMsMax)),
    MaxDelay: Type.Optional(secondsField('or zero', taskRetryMsMax)),
    Factor: Type.Optional(Type.Number({ minimum: 1, maximum: 100, expected: 'a number from 1 to 100' })),
  },
  { ...closed, expected: '{"Max","Min","MaxDelay","Factor"}' },
);

const unixTime = Type.Number({
  minimum: 0,
  maximum: 253_402_300_799,
  expected: 'a time in seconds since 1970, with or without a fraction',
});

const taskMembers = {
  At: Type.Optional(unixTime),
  Delay: Type.Optional(secondsField('or zero', ttlMsMax)),
  Cron: Type.Optional(Type.String({ minLength: 1, expected: `a cron pattern of at most ${cronCharsMax} characters` })),
  TZ: Type.Optional(Type.String({ minLength: 1, expected: 'the name of a time zone, such as "Europe/Rome"' })),
  Every: Type.Optional(
    Type.Number({
      minimum: everyMsMin / 1000,
      maximum: ttlMsMax / 1000,
      expected: `a number of seconds, ${everyMsMin / 1000} to ${ttlMsMax / 1000}`,
    }),
  ),
  Queue: Type.Optional(keyField),
  Data: Type.Optional(anyJson),
  Group: Type.Optional(keyField),
  Retry: Type.Optional(retrySchema),
  Misfire: Type.Optional(Type.Enum([...misfires], { expected: misfires.join(', ') })),
  MaxLate: Type.Optional(secondsField('zero', ttlMsMax)),
  Until: Type.Optional(unixTime),
  Replace: Type.Optional(yesOrNo),
  Version: Type.Optional(versionField),
};
const taskItem = Type.Object({ ID: keyField, ...taskMembers }, { ...closed, expected: '{"ID","Queue"}' });
/** The body of `POST /db/:acc/task/:id`. */
export const taskSchema = Type.Object(taskMembers, { ...closed, expected: 'a task: {"Queue","Data"} and a time' });
type GivenTask = Type.Static<typeof taskSchema>;

const cancelItem = Type.Object(
  { ID: keyField, Version: Type.Optional(versionField) },
  { ...closed, expected: '{"ID"}' },
);

export const tasksSection = listSection<TaskOperation, TaskResult>({
  body: 'Tasks',
  schema: { Tasks: Type.Optional(listField(taskItem, 'a list of {"ID","Queue"}')) },
  key: ({ key }) => key,
  effect: () => 'write',
  scope: () => 'write',
  read: ({ Tasks }: { Tasks?: Type.Static<typeof taskItem>[] }, context) => {
    const patterns = Tasks?.filter(({ Cron }) => Cron !== undefined).length ?? 0;
    if (patterns > cronTasksMax)
      refuse('too_large', `${context.root}Tasks: ${patterns} with Cron; expected at most ${cronTasksMax} in one batch`);
    const ids = new Set<string>();
    return Tasks?.map(({ ID, ...task }, i) => {
      const path = `${context.root}Tasks[${i}]`;
      if (ids.has(ID)) refuseField(`${path}.ID`, `${JSON.stringify(ID.slice(0, 64))} is there twice; expected it once`);
      ids.add(ID);
      return { key: readKey(ID, `${path}.ID`), ...readTask(task, `${path}.`, context) };
    });
  },
});

export const taskCancelSection = listSection<TaskCancelOperation, TaskCancelResult>({
  body: 'TaskCancel',
  schema: { TaskCancel: Type.Optional(listField(cancelItem, 'a list of {"ID"}')) },
  key: ({ key }) => key,
  effect: () => 'free',
  scope: () => 'write',
  read: ({ TaskCancel }: { TaskCancel?: Type.Static<typeof cancelItem>[] }, { root }) =>
    TaskCancel?.map(({ ID, Version }, i) => ({
      key: readKey(ID, `${root}TaskCancel[${i}].ID`),
      ...(Version !== undefined && { version: Version }),
    })),
});

export const taskChangeSection = singleSection<TaskChange, TaskChangeResult>({
  // Names what fails of a change.
  body: 'task',
  schema: {},
  key: ({ key }) => key,
  effect: () => 'free',
  scope: () => 'write',
  read: () => undefined,
});

export const taskEndSection = listSection<TaskEndOperation, never>({
  body: 'taskEnd',
  schema: {},
  key: ({ key }) => key,
  effect: () => 'free',
  scope: () => 'write',
  read: () => undefined,
});

/** Reads a task but for its ID. @param root the path of its members, for messages @throws Refusal */
export function readTask(task: GivenTask, root: string, context: BodyContext): Omit<TaskOperation, 'key'> {
  const { At, Delay, Cron, Every, Retry = {}, Misfire, MaxLate, Until, Replace = false, Version } = task;
  onlyOne(task, ['At', 'Delay', 'Cron', 'Every'], root);
  const schedule = scheduleOf(task, root);
  if (schedule === undefined) {
    for (const name of ['Misfire', 'Until'] as const)
      if (task[name] !== undefined) refuseField(`${root}${name}`, 'only with Cron or Every; expected it absent');
  }
  if (Version !== undefined && !Replace)
    refuseField(`${root}Version`, 'only with "Replace":true, which it conditions; expected it absent');
  const retry = {
    max: Retry.Max ?? defaultRetry.max,
    minMs: Retry.Min === undefined ? defaultRetry.minMs : secondsToMs(Retry.Min),
    maxMs: Retry.MaxDelay === undefined ? defaultRetry.maxMs : secondsToMs(Retry.MaxDelay),
    factor: Retry.Factor ?? defaultRetry.factor,
  };
  if (retry.minMs > retry.maxMs)
    refuseField(`${root}Retry.Min`, `expected at most MaxDelay, ${retry.maxMs / 1000} s, got ${retry.minMs / 1000} s`);
  const definition: TaskDefinition = {
    target: targetOf(task, root),
    ...(schedule !== undefined && { schedule }),
    retry,
    misfire: Misfire ?? 'latest',
    ...(MaxLate !== undefined && { maxLateMs: secondsToMs(MaxLate) }),
    ...(Until !== undefined && { untilMs: Math.round(Until * 1000) }),
  };
  return {
    definition,
    ...(At !== undefined && { atMs: atOf(At, `${root}At`, context) }),
    ...(At === undefined && Every === undefined && Cron === undefined && { delayMs: secondsToMs(Delay ?? 0) }),
    ...(Cron !== undefined && { atMs: firstOf(definition, root, context) }),
    replace: Replace,
    ...(Version !== undefined && { version: Version }),
  };
}

function onlyOne(task: GivenTask, names: readonly (keyof GivenTask)[], root: string): void {
  const given = names.filter((name) => task[name] !== undefined);
  if (given.length > 1) refuseField(`${root}${given[1]}`, `given together with ${given[0]}; expected only one of them`);
}

function atOf(seconds: number, path: string, { clock }: BodyContext): number {
  const ms = Math.round(seconds * 1000);
  if (ms - readClock(clock) > ttlMsMax) refuseField(path, `expected at most ten years ahead, got ${seconds}`);
  return ms;
}

function scheduleOf({ Cron, TZ, Every }: GivenTask, root: string): TaskSchedule | undefined {
  if (TZ !== undefined && Cron === undefined) refuseField(`${root}TZ`, 'only with Cron; expected it absent');
  if (Every !== undefined) return { everyMs: secondsToMs(Every) };
  if (Cron === undefined) return undefined;
  const flaw = flawOfCron(Cron);
  if (flaw !== undefined) refuseField(`${root}Cron`, flaw);
  if (TZ !== undefined && !isTimeZone(TZ)) {
    const near = TZ.length > 64 ? undefined : nearestName(TZ, timeZones());
    const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
    refuseField(
      `${root}TZ`,
      `expected the name of a time zone, such as "Europe/Rome", got ${JSON.stringify(TZ.slice(0, 64))}${hint}`,
    );
  }
  return { cron: Cron, tz: TZ ?? 'UTC' };
}

/** Returns the first instant of a pattern. */
function firstOf({ schedule, untilMs = Infinity }: TaskDefinition, root: string, { clock }: BodyContext): number {
  const now = readClock(clock);
  const first = nextInstant(schedule!, now, { fromMs: now });
  const { cron } = schedule as { cron: string };
  if (first === undefined) return refuseField(`${root}Cron`, noInstant(cron));
  if (first > untilMs) return refuseField(`${root}Until`, 'expected a time after the first instant of Cron');
  return first;
}

function targetOf({ Queue, Data, Group }: GivenTask, root: string): TaskTarget {
  if (Queue === undefined) return refuseField(`${root}Queue`, 'missing; expected the queue that gets Data as a message');
  if (Data === undefined) return refuseField(`${root}Data`, 'missing; expected any JSON, which the message will have');
  const most = { bytes: taskBodyBytesMax, name: 'the limit of a task' };
  return {
    kind: 'queue',
    queue: readKey(Queue, `${root}Queue`),
    data: jsonText(Data, `${root}Data`, most),
    ...(Group !== undefined && { group: readKey(Group, `${root}Group`) }),
  };
}
