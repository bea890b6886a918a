/** Commands of tasks, short to write. */
import type { Batch } from '../../src/protocol/operations/operations.ts';
import {
  defaultRetry,
  type HttpTarget,
  type TaskChange,
  type TaskDefinition,
  type TaskOperation,
  type TaskState,
} from '../../src/protocol/operations/task-definition.ts';
import { taskDeadlineMs } from '../../src/shared/task-limits.ts';
import { acme } from './commands.ts';

type GivenTask = Partial<TaskDefinition> &
  Partial<Omit<TaskOperation, 'key' | 'definition'>> & {
    readonly queue?: string;
    readonly data?: string;
    readonly group?: string;
  };

export function taskOf(key: string, { queue = 'mail', data = '1', group, ...more }: GivenTask = {}): TaskOperation {
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

/** What a task needs to send a request. */
export function httpTask({
  url = 'https://app.example/hook',
  method = 'POST',
  headers = {},
  body,
  deadlineMs = taskDeadlineMs,
  ...more
}: GivenTask & Partial<HttpTarget> = {}): GivenTask {
  return { ...more, target: { kind: 'http', url, method, headers, ...(body !== undefined && { body }), deadlineMs } };
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
