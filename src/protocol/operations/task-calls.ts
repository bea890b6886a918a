/** The REST calls of tasks, and what looks at them. Ids may hold slashes, so verbs stand in front. */
import type { AccountId } from '../ids.ts';
import { call, wordsParameter, integerParameter, type GivenToCall } from './call.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import { pageOf, pageParameters } from './kv-pages.ts';
import { taskStates, type TaskChange, type TaskOperation, type TaskStateName } from './task-definition.ts';

export interface TaskList extends PageRequest {
  readonly kind: 'task.list';
  readonly state?: TaskStateName;
}

export interface TaskGet {
  readonly kind: 'task.get';
  readonly account: AccountId;
  readonly id: string;
}

/** The dispatcher asks a shard for tasks that are due. The shard answers once there are some. */
export interface TaskDue {
  readonly kind: 'task.due';
  /** The server's own. */
  readonly account: AccountId;
  readonly bytesMax: number;
}

/** The dispatcher begins a run that takes time, if the state still has this version: the task is shown as running then. */
export interface TaskBegin {
  readonly kind: 'task.begin';
  readonly account: AccountId;
  readonly id: string;
  readonly version: number;
}

/** The reply to `task.due`. */
export interface DueTasks {
  readonly Due: readonly DueTask[];
  /** The time of the shard's turn. */
  readonly Now: number;
}
/** State and definition are JSON texts. */
export type DueTask = readonly [account: string, id: string, version: number, state: string, definition: string];

export const taskList = {
  scope: () => 'read',
  prefix: ({ prefix }) => prefix,
  list: 'Tasks',
} as const satisfies CommandSpec<TaskList>;

export const taskGet = {
  scope: () => 'read',
  keys: ({ id }) => [id],
} as const satisfies CommandSpec<TaskGet>;

/** `Router.dueTasks` sends it to each shard. */
export const taskDue = {
  scope: () => 'read',
  waits: () => true,
  keys: () => [],
  apart: true,
} as const satisfies CommandSpec<TaskDue>;

export const taskBegin = {
  scope: () => 'read',
  keys: ({ id }) => [id],
  apart: true,
} as const satisfies CommandSpec<TaskBegin>;

function change<const Format extends 'task.run' | 'task.pause' | 'task.resume'>(
  format: Format,
  how: TaskChange['change'],
) {
  return ({ account, id }: GivenToCall<{}>) =>
    ({ kind: 'batch', account, format, taskChange: { key: id, change: how } }) as const;
}

export const taskCalls = {
  'task.list': call({
    method: 'GET',
    path: 'task',
    summary: 'List tasks below a prefix',
    query: { ...pageParameters, state: wordsParameter(taskStates) },
    command: ({ query: { state, ...query }, ...given }) =>
      ({
        kind: 'task.list',
        ...pageOf({ ...given, query }),
        ...(state !== undefined && { state }),
      }) as const,
  }),
  'task.get': call({
    method: 'GET',
    path: 'task/*',
    summary: 'See a task, and how its runs went',
    query: {},
    command: ({ account, id }) => ({ kind: 'task.get', account, id }) as const,
  }),
  'task.create': call({
    method: 'POST',
    path: 'task/*',
    summary: 'Have something done at a time, once or again and again',
    query: {},
    body: 'task',
    command: ({ account, id, value }) => {
      const task = { key: id, ...(JSON.parse(value) as Omit<TaskOperation, 'key'>) };
      return { kind: 'batch', account, format: 'task.create', tasks: [task] } as const;
    },
  }),
  'task.make': call({
    method: 'POST',
    path: 'task',
    summary: 'Have something done at a time, under an ID that the server makes',
    query: {},
    body: 'task',
    command: ({ account, value, newID }) => {
      const task = { key: newID(), ...(JSON.parse(value) as Omit<TaskOperation, 'key'>) };
      return { kind: 'batch', account, format: 'task.make', tasks: [task] } as const;
    },
  }),
  'task.cancel': call({
    method: 'DELETE',
    path: 'task/*',
    summary: 'Cancel a task; it is gone at once',
    query: { ver: integerParameter(0) },
    command: ({ account, id, query: { ver } }) => {
      const cancel = { key: id, ...(ver !== undefined && { version: ver }) };
      return { kind: 'batch', account, format: 'task.cancel', taskCancel: [cancel] } as const;
    },
  }),
  'task.run': call({
    method: 'POST',
    path: 'run/*',
    summary: 'Have the next run of a task now, or try a dead one again',
    query: {},
    command: change('task.run', 'run'),
  }),
  'task.pause': call({
    method: 'POST',
    path: 'pause/task/*',
    summary: 'Let a task not run until it is resumed',
    query: {},
    command: change('task.pause', 'pause'),
  }),
  'task.resume': call({
    method: 'POST',
    path: 'resume/task/*',
    summary: 'Let a task run again',
    query: {},
    command: change('task.resume', 'resume'),
  }),
} as const;
