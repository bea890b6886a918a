/** `dragonlock task`, as a part of the table of commands. */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command-spec.ts';

const loadTask = async (): Promise<typeof import('./task.ts')> => import('./task.ts');
const taskId: ArgumentSpec = { name: 'id', about: 'ID of the task' };
const data: ArgumentSpec = { name: 'data', about: 'the message; - reads it from stdin, unchanged' };
const queue: ArgumentSpec = { name: 'queue', about: 'name of the queue that gets the message' };
const making: readonly OptionSpec[] = [
  { long: 'json-value', short: 'j', about: 'parse the message as JSON' },
  { long: 'group', value: 'name', about: 'the group of the message' },
  { long: 'max-late', value: 'duration', about: 'pass over what would run later than this' },
  { long: 'replace', about: 'put it in the place of a task with this ID' },
];
const schedule: readonly OptionSpec[] = [
  ...making,
  { long: 'misfire', value: 'how', about: 'what becomes of missed instants: latest (default), skip or all' },
];

export const taskCommands: CommandSpec = {
  name: 'task',
  about: 'messages that are enqueued at a time, once or again and again',
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
      options: [{ long: 'state', value: 'state', about: 'only those that are scheduled, paused, dead or done' }],
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
  ],
};
