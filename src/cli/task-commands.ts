/** `dragonlock task`, as a part of the table of commands. */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command-spec.ts';

const loadTask = async (): Promise<typeof import('./task.ts')> => import('./task.ts');
const taskId: ArgumentSpec = { name: 'id', about: 'ID of the task' };
const queue: ArgumentSpec = {
  name: 'queue',
  optional: true,
  about: 'name of the queue that gets the message; with --url the body of the request, with --script the arguments',
};
const data: ArgumentSpec = { name: 'data', optional: true, about: 'the message; - reads it from stdin, unchanged' };
const making: readonly OptionSpec[] = [
  { long: 'json-value', short: 'j', about: 'parse the message as JSON' },
  { long: 'group', value: 'name', about: 'the group of the message' },
  { long: 'url', value: 'url', about: 'send a request there instead' },
  { long: 'script', value: 'name', about: 'call this script instead' },
  { long: 'method', value: 'name', about: 'its method (default POST)' },
  { long: 'deadline', value: 'duration', about: 'how long a run may take (default 30s)' },
  { long: 'result-queue', value: 'name', about: 'a queue that gets what came of each run' },
  { long: 'flow', value: 'key', about: 'the flow that limits it' },
  { long: 'max-late', value: 'duration', about: 'pass over what would run later than this' },
  { long: 'replace', about: 'put it in the place of a task with this ID' },
];
const schedule: readonly OptionSpec[] = [
  ...making,
  { long: 'misfire', value: 'how', about: 'what becomes of missed instants: latest (default), skip or all' },
];

export const taskCommands: CommandSpec = {
  name: 'task',
  about: 'messages, requests and calls of scripts at a time, once or again and again',
  commands: [
    {
      name: 'at',
      about: 'once, at a time such as 2027-03-28T02:30:00+01:00',
      args: [taskId, { name: 'time', about: 'ISO 8601, or seconds since 1970' }, queue, data],
      options: making,
      load: async () => (await loadTask()).taskAt,
    },
    {
      name: 'after',
      about: 'once, after a delay',
      args: [taskId, { name: 'delay', about: 'a duration such as 90s or 5m' }, queue, data],
      options: making,
      load: async () => (await loadTask()).taskAfter,
    },
    {
      name: 'cron',
      about: 'by a pattern such as "30 2 * * *"',
      args: [taskId, { name: 'pattern', about: 'five or six fields' }, queue, data],
      options: [...schedule, { long: 'tz', value: 'zone', about: 'time zone of the pattern (default UTC)' }],
      load: async () => (await loadTask()).taskCron,
    },
    {
      name: 'every',
      about: 'again and again, each time after so long',
      args: [taskId, { name: 'interval', about: 'a duration such as 90s or 5m' }, queue, data],
      options: schedule,
      load: async () => (await loadTask()).taskEvery,
    },
    {
      name: 'list',
      about: 'list tasks with their states and next instants',
      args: [{ name: 'prefix', optional: true, about: 'only IDs that begin with this' }],
      options: [
        { long: 'state', value: 'state', about: 'only those that are scheduled, running, paused, dead or done' },
      ],
      load: async () => (await loadTask()).listTasks,
    },
    {
      name: 'show',
      about: 'print a task as JSON',
      args: [taskId],
      load: async () => (await loadTask()).showTask,
    },
    {
      name: 'run',
      about: 'have the next run now, or a dead one tried again',
      args: [taskId],
      load: async () => (await loadTask()).runTask,
    },
    {
      name: 'pause',
      about: 'let a task not run until it is resumed',
      args: [taskId],
      load: async () => (await loadTask()).pauseTask,
    },
    { name: 'resume', about: 'let a task run again', args: [taskId], load: async () => (await loadTask()).resumeTask },
    {
      name: 'cancel',
      about: 'cancel a task; exits with 1 if there is none',
      args: [taskId],
      load: async () => (await loadTask()).cancelTask,
    },
    {
      name: 'flow',
      about: 'see or set what limits tasks of a flow',
      args: [{ name: 'key', about: 'the flow that tasks name with --flow' }],
      options: [
        { long: 'rate', value: 'n', about: 'so many runs begin within --per' },
        { long: 'per', value: 'duration', about: 'of the rate (default 1s)' },
        { long: 'parallel', value: 'n', about: 'so many run at once' },
        { long: 'paused', about: 'none begins' },
        { long: 'unlimited', about: 'set it without limits' },
        { long: 'delete', about: 'delete it' },
      ],
      load: async () => (await loadTask()).taskFlow,
    },
    {
      name: 'secret',
      about: 'print the secret that signs requests',
      options: [{ long: 'rotate', about: 'make another one; for a day both sign' }],
      load: async () => (await loadTask()).taskSecret,
    },
  ],
};
