/** Commands of tasks, short to write. */
import type { Batch } from '../../src/protocol/operations/operations.ts';
import {
  defaultRetry,
  type TaskChange,
  type TaskDefinition,
  type TaskOperation,
  type TaskState,
} from '../../src/protocol/operations/task-definition.ts';
import { acme } from './commands.ts';

export function taskOf(
  key: string,
  {
    queue = 'mail',
    data = '1',
    group,
    ...more
  }: Partial<TaskDefinition> &
    Partial<Omit<TaskOperation, 'key' | 'definition'>> & { queue?: string; data?: string; group?: string } = {},
): TaskOperation {
  const { delayMs, atMs, replace = false, version, ...definition } = more;
  return {
    key,
    definition: {
      target: { kind: 'queue', queue, data, ...(group !== undefined && { group }) },
      retry: defaultRetry,
      misfire: 'latest',
      ...definition,
    },
    ...(delayMs !== undefined && { delayMs }),
    ...(atMs !== undefined && { atMs }),
    replace,
    ...(version !== undefined && { version }),
  };
}

export function makeTask(...given: Parameters<typeof taskOf>): Batch {
  return { kind: 'batch', account: acme, format: 'task.create', tasks: [taskOf(...given)] };
}

export function cancelTask(key: string, version?: number): Batch {
  const cancel = { key, ...(version !== undefined && { version }) };
  return { kind: 'batch', account: acme, format: 'task.cancel', taskCancel: [cancel] };
}

export function changeTask(key: string, change: TaskChange['change']): Batch {
  return { kind: 'batch', account: acme, format: `task.${change}`, taskChange: { key, change } };
}

export function newTaskState(next: number): TaskState {
  return { next, fromMs: next, attempts: 0, runs: 0, skipped: 0, failed: 0 };
}
