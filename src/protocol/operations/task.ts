/** Tasks: `Tasks` and `TaskCancel` in a batch. A task is something that happens at a time, once or again and again. */
import { Type } from 'typebox';
import { cronTasksMax } from '../../shared/task-limits.ts';
import { refuse, refuseField } from '../refusal.ts';
import { closed, keyField, listField, readKey, versionField } from './fields.ts';
import { listSection, singleSection } from './section.ts';
import { readTask, taskItem } from './task-body.ts';
import type {
  TaskCancelOperation,
  TaskCancelResult,
  TaskChange,
  TaskChangeResult,
  TaskEndOperation,
  TaskOperation,
  TaskResult,
} from './task-definition.ts';

const cancelItem = Type.Object(
  { ID: keyField, Version: Type.Optional(versionField) },
  { ...closed, expected: '{"ID"}' },
);

const scopeOfTarget = { http: 'task', queue: 'write', script: 'script' } as const;

export const tasksSection = listSection<TaskOperation, TaskResult>({
  body: 'Tasks',
  schema: { Tasks: Type.Optional(listField(taskItem, 'a list of {"ID","Queue"}')) },
  key: ({ key }) => key,
  effect: () => 'write',
  scope: ({ definition }) => scopeOfTarget[definition.target.kind],
  read: ({ Tasks }: { Tasks?: Type.Static<typeof taskItem>[] }, context) => {
    context.cronTasks.left -= Tasks?.filter(({ Cron }) => Cron !== undefined).length ?? 0;
    if (context.cronTasks.left < 0)
      refuse('too_large', `${context.root}Tasks: expected at most ${cronTasksMax} with Cron in one request, got more`);
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
