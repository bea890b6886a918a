/** Reads a task as a client writes it: its times, its target, and how it is tried again. */
import { Type } from 'typebox';
import { readClock } from '../../shared/clock.ts';
import { nearestName } from '../../shared/closest-name.ts';
import { ttlMsMax } from '../../shared/limits.ts';
import {
  cronCharsMax,
  everyMsMin,
  taskBodyBytesMax,
  taskDeadlineMs,
  taskDeadlineMsMax,
  taskDeadlineMsMin,
  taskHeadersMax,
  taskRetryMax,
  taskRetryMsMax,
} from '../../shared/task-limits.ts';
import { refuseField } from '../refusal.ts';
import { flawOfCron, isTimeZone, nextInstant, noInstant, timeZones, type TaskSchedule } from '../task-times.ts';
import {
  anyJson,
  closed,
  jsonText,
  keyField,
  readKey,
  secondsField,
  secondsToMs,
  versionField,
  yesOrNo,
} from './fields.ts';
import type { BodyContext } from './section.ts';
import {
  defaultRetry,
  misfires,
  overlaps,
  type HttpTarget,
  type TaskDefinition,
  type TaskOperation,
  type TaskTarget,
} from './task-definition.ts';
import { readFlowKey } from './task-setting.ts';
import { readTargetHeaders, readTargetUrl } from './task-url.ts';

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

const methods = ['POST', 'PUT', 'PATCH', 'GET', 'DELETE'] as const;

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
  Script: Type.Optional(keyField),
  Args: Type.Optional(anyJson),
  URL: Type.Optional(Type.String({ minLength: 1, expected: 'an http: or https: URL' })),
  Method: Type.Optional(Type.Enum([...methods], { expected: methods.join(', ') })),
  Headers: Type.Optional(
    Type.Record(Type.String(), Type.String({ expected: 'a string' }), {
      expected: `an object with at most ${taskHeadersMax} headers`,
    }),
  ),
  Body: Type.Optional(anyJson),
  Deadline: Type.Optional(
    Type.Number({
      minimum: taskDeadlineMsMin / 1000,
      maximum: taskDeadlineMsMax / 1000,
      expected: `a number of seconds, ${taskDeadlineMsMin / 1000} to ${taskDeadlineMsMax / 1000}`,
    }),
  ),
  FlowKey: Type.Optional(keyField),
  ResultQueue: Type.Optional(keyField),
  Overlap: Type.Optional(Type.Enum([...overlaps], { expected: overlaps.join(', ') })),
  Retry: Type.Optional(retrySchema),
  Misfire: Type.Optional(Type.Enum([...misfires], { expected: misfires.join(', ') })),
  MaxLate: Type.Optional(secondsField('zero', ttlMsMax)),
  Until: Type.Optional(unixTime),
  Replace: Type.Optional(yesOrNo),
  Version: Type.Optional(versionField),
};
export const taskItem = Type.Object(
  { ID: keyField, ...taskMembers },
  { ...closed, expected: '{"ID"} with "URL", "Queue" or "Script"' },
);
/** The body of `POST /db/:acc/task/:id`. */
export const taskSchema = Type.Object(taskMembers, {
  ...closed,
  expected: 'a task: {"URL"}, {"Queue","Data"} or {"Script","Args"}, and a time',
});
type GivenTask = Type.Static<typeof taskSchema>;

const { At: _at, Delay: _delay, Replace: _replace, Version: _version, ...definitionMembers } = taskMembers;
/** What stays of it once it has been made. */
export const definitionSchema = Type.Object(definitionMembers, {
  ...closed,
  expected: 'what a task is to do: {"URL"}, {"Queue","Data"} or {"Script","Args"}',
});
type GivenDefinition = Type.Static<typeof definitionSchema>;

/** Reads a task but for its ID. @param root the path of its members, for messages @throws Refusal */
export function readTask(task: GivenTask, root: string, context: BodyContext): Omit<TaskOperation, 'key'> {
  const { At, Delay, Cron, Every, Replace = false, Version } = task;
  onlyOne(task, ['At', 'Delay', 'Cron', 'Every'], root);
  if (Version !== undefined && !Replace)
    refuseField(`${root}Version`, 'only with "Replace":true, which it conditions; expected it absent');
  const definition = readDefinition(task, root);
  return {
    definition,
    ...(At !== undefined && { atMs: atOf(At, `${root}At`, context) }),
    ...(At === undefined && Every === undefined && Cron === undefined && { delayMs: secondsToMs(Delay ?? 0) }),
    ...(Cron !== undefined && { atMs: firstOf(definition, root, context) }),
    replace: Replace,
    ...(Version !== undefined && { version: Version }),
  };
}

/** Reads what a task is to do. Whether its pattern has an instant is not looked at. @throws Refusal */
export function readDefinition(task: GivenDefinition, root: string): TaskDefinition {
  const { Retry = {}, Misfire, MaxLate, Until } = task;
  onlyOne(task, ['Cron', 'Every'], root);
  const schedule = scheduleOf(task, root);
  if (schedule === undefined) {
    for (const name of ['Misfire', 'Until', 'Overlap'] as const)
      if (task[name] !== undefined) refuseField(`${root}${name}`, 'only with Cron or Every; expected it absent');
  }
  const retry = {
    max: Retry.Max ?? defaultRetry.max,
    minMs: Retry.Min === undefined ? defaultRetry.minMs : secondsToMs(Retry.Min),
    maxMs: Retry.MaxDelay === undefined ? defaultRetry.maxMs : secondsToMs(Retry.MaxDelay),
    factor: Retry.Factor ?? defaultRetry.factor,
  };
  if (retry.minMs > retry.maxMs)
    refuseField(`${root}Retry.Min`, `expected at most MaxDelay, ${retry.maxMs / 1000} s, got ${retry.minMs / 1000} s`);
  return {
    target: targetOf(task, root),
    ...(schedule !== undefined && { schedule }),
    retry,
    misfire: Misfire ?? 'latest',
    ...(task.Overlap === 'queue' && { overlap: 'queue' }),
    ...(MaxLate !== undefined && { maxLateMs: secondsToMs(MaxLate) }),
    ...(Until !== undefined && { untilMs: Math.round(Until * 1000) }),
    ...(task.FlowKey !== undefined && { flow: readFlowKey(task.FlowKey, `${root}FlowKey`) }),
    ...(task.ResultQueue !== undefined && { resultQueue: readKey(task.ResultQueue, `${root}ResultQueue`) }),
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

function scheduleOf({ Cron, TZ, Every }: GivenDefinition, root: string): TaskSchedule | undefined {
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

/** What a task has besides only if it has a target of this kind. */
const membersOfTarget = {
  URL: ['Method', 'Headers', 'Body', 'Deadline', 'ResultQueue'],
  Queue: ['Data', 'Group'],
  Script: ['Args'],
} as const;

const targets = ['URL', 'Queue', 'Script'] as const;

function targetOf(task: GivenDefinition, root: string): TaskTarget {
  onlyOne(task, targets, root);
  if (targets.every((name) => task[name] === undefined))
    return refuseField(`${root}Queue`, 'missing; expected the queue that gets Data as a message, URL, or Script');
  for (const owner of targets) {
    if (task[owner] !== undefined) continue;
    for (const name of membersOfTarget[owner])
      if (task[name] !== undefined) refuseField(`${root}${name}`, `only with ${owner}; expected it absent`);
  }
  if (task.URL !== undefined) return httpTargetOf(task, root);
  if (task.Script !== undefined) return scriptTargetOf(task, root);
  const { Queue, Data, Group } = task;
  if (Data === undefined) return refuseField(`${root}Data`, 'missing; expected any JSON, which the message will have');
  return {
    kind: 'queue',
    queue: readKey(Queue!, `${root}Queue`),
    data: jsonText(Data, `${root}Data`, bodyLimit),
    ...(Group !== undefined && { group: readKey(Group, `${root}Group`) }),
  };
}

function scriptTargetOf({ Script, Args = null }: GivenDefinition, root: string): TaskTarget {
  return { kind: 'script', script: readKey(Script!, `${root}Script`), args: jsonText(Args, `${root}Args`, bodyLimit) };
}

const bodyLimit = { bytes: taskBodyBytesMax, name: 'the limit of a task' };

function httpTargetOf({ URL: url, Method, Headers = {}, Body, Deadline }: GivenDefinition, root: string): HttpTarget {
  const method = Method ?? 'POST';
  if (method === 'GET' && Body !== undefined) refuseField(`${root}Body`, 'not with the method GET; expected it absent');
  return {
    kind: 'http',
    url: readTargetUrl(url!, `${root}URL`),
    method,
    headers: readTargetHeaders(Headers, `${root}Headers`),
    ...(Body !== undefined && { body: jsonText(Body, `${root}Body`, bodyLimit) }),
    deadlineMs: Deadline === undefined ? taskDeadlineMs : secondsToMs(Deadline),
  };
}
