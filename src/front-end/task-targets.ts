/** Refuses tasks whose requests would go where no task may send any. What a name leads to is judged when they run. */
import type { Batch } from '../protocol/operations/operations.ts';
import type { TaskOperation } from '../protocol/operations/task-definition.ts';
import { refuse } from '../protocol/refusal.ts';
import type { TargetPolicy } from '../shared/target-policy.ts';

/**
 * Looks at where the tasks of a batch go, and notes in those that call scripts what these may do.
 * @param sends whether whoever asks may have requests sent. @throws Refusal 403
 */
export function withTargets(batch: Batch, policy: TargetPolicy, sends: boolean): Batch {
  const { tasks } = batch;
  if (tasks === undefined) return batch;
  requireTargets(tasks, policy);
  return sends ? { ...batch, tasks: tasks.map(withSending) } : batch;
}

function withSending(task: TaskOperation): TaskOperation {
  const { definition } = task;
  const { target } = definition;
  return target.kind === 'script'
    ? { ...task, definition: { ...definition, target: { ...target, sends: true } } }
    : task;
}

function requireTargets(tasks: readonly TaskOperation[], policy: TargetPolicy): void {
  for (const { key, definition } of tasks) {
    if (definition.target.kind !== 'http') continue;
    const url = new URL(definition.target.url);
    if (!policy.refuses(url)) continue;
    const where = `${JSON.stringify(url.hostname)} of the task ${JSON.stringify(key)}`;
    refuse('target_forbidden', `The host ${where} is not on the internet, and tasks.allow does not name it.`, {
      ID: key,
    });
  }
}
