/** Messages that runs put into queues: what a queue target has, and what came of a request. */
import type { Batch } from '../protocol/operations/operations.ts';
import type { TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import type { Due } from './due-task.ts';
import type { TaskAnswer } from './http/http-sink.ts';

const plain = { delayMs: 0, ttlMs: 0, priority: 0 };

/** The message of a task with a queue target. */
export function enqueued({ target }: TaskDefinition): NonNullable<Batch['enqueue']> {
  if (target.kind !== 'queue') return [];
  const { queue, data, group } = target;
  return [{ key: queue, data, ...(group !== undefined && { group }), ...plain }];
}

/** The message for the ResultQueue. Without an answer, `Status` is 0 and `Body` says why. */
export function resultOf(
  { id }: Pick<Due, 'id'>,
  { resultQueue }: TaskDefinition,
  { attempts }: TaskState,
  answer: TaskAnswer,
): NonNullable<Batch['enqueue']> {
  const [Status, Body] = 'error' in answer ? [0, answer.error] : [answer.status, answer.body];
  const data = JSON.stringify({ ID: id, Status, Body: Body.toWellFormed(), Attempts: attempts + 1 });
  return [{ key: resultQueue!, data, ...plain }];
}
