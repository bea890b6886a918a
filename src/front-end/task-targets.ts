/** Refuses tasks whose requests would go where no task may send any. What a name leads to is judged when they run. */
import type { LoadOperation } from '../protocol/operations/account-lines.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import type { TaskOperation } from '../protocol/operations/task-definition.ts';
import { refuse } from '../protocol/refusal.ts';
import type { TargetPolicy } from '../shared/target-policy.ts';

/**
 * Looks at where the tasks of a batch go, and notes in those that call scripts what these may do.
 * @param sends whether whoever asks may have requests sent. @throws Refusal 403
 */
export function withTargets(batch: Batch, policy: TargetPolicy, sends: boolean): Batch {
  const { tasks, load } = batch;
  if (load !== undefined) return { ...batch, load: load.map((line) => withTargetOfLine(line, policy, sends)) };
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

/** A script whose task had requests sent where it was exported does so only for somebody who may have some sent here. */
function withTargetOfLine(line: LoadOperation, policy: TargetPolicy, sends: boolean): LoadOperation {
  if (line.kind !== 'task' || line.task === undefined) return line;
  const { definition } = line.task;
  requireTargets([{ key: line.key, definition }], policy);
  const { target } = definition;
  if (sends || target.kind !== 'script' || target.sends !== true) return line;
  const { sends: _, ...others } = target;
  return { ...line, task: { ...line.task, definition: { ...definition, target: others } } };
}

function requireTargets(tasks: readonly Pick<TaskOperation, 'key' | 'definition'>[], policy: TargetPolicy): void {
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
