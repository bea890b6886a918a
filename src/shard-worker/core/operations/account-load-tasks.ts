/** Import of tasks, and of what they share. A definition and its state are always put together. */
import type { LoadedDefinition, LoadedTask } from '../../../protocol/operations/account-tasks.ts';
import type { TaskState } from '../../../protocol/operations/task-definition.ts';
import type { WebhookSecret } from '../../../protocol/operations/task-setting.ts';
import { kinds, type Kind } from '../../../protocol/record.ts';
import { unreachable } from '../../../shared/assert.ts';
import { oldSecretMs, taskDeadMs, taskDoneMs } from '../../../shared/task-limits.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import { putState, readStoredTask, type StoredTask } from './task.ts';

type Result = 'loaded' | 'ended' | 'unmatched';

export function loadTask(evaluation: BatchEvaluation, operation: LoadedTask & { readonly key: string }): Result {
  const { kind, key } = operation;
  switch (kind) {
    case 'task':
      return loadDefinition(evaluation, key, operation.task);
    case 'run':
      return loadRun(evaluation, operation);
    case 'flow':
      if (operation.flow === undefined) drop(evaluation, kinds.taskSetting, key);
      else evaluation.writeSet.put({ kind: kinds.taskSetting, key, till: 0, value: JSON.stringify(operation.flow) });
      return 'loaded';
    case 'secret':
      // A deletion of the account, which somebody used again during the export, has taken it away.
      if (operation.secret !== undefined) loadSecret(evaluation, key, operation.secret);
      return 'loaded';
    default:
      return unreachable(kind);
  }
}

function loadDefinition(evaluation: BatchEvaluation, key: string, task: LoadedDefinition | undefined): Result {
  const { writeSet, now } = evaluation;
  if (task === undefined) {
    drop(evaluation, kinds.task, key);
    drop(evaluation, kinds.taskState, key);
    return 'loaded';
  }
  const { definition, state, due, ended } = task;
  if (ended === undefined) {
    writeSet.put({ kind: kinds.task, key, till: 0, value: JSON.stringify({ definition } satisfies StoredTask) });
    putState(evaluation, key, state, due);
    return 'loaded';
  }
  if (ended.till <= now) return 'ended';
  const till = Math.min(ended.till, now + (ended.how === 'dead' ? taskDeadMs : taskDoneMs));
  const value = JSON.stringify({ definition, ended: { how: ended.how, state } } satisfies StoredTask);
  writeSet.put({ kind: kinds.task, key, till, value });
  drop(evaluation, kinds.taskState, key);
  return 'loaded';
}

/** Where a task stands that is there already. */
function loadRun(
  evaluation: BatchEvaluation,
  { key, state, due }: { readonly key: string; readonly state: TaskState; readonly due: number },
): Result {
  const pending = evaluation.writeSet.find(kinds.task, key);
  const stored = pending === undefined ? evaluation.entry(kinds.task, key)?.value : pending.value;
  if (stored === undefined || readStoredTask(stored).ended !== undefined) return 'unmatched';
  putState(evaluation, key, state, due);
  return 'loaded';
}

/** Receivers know the secret of one of both servers: for a day both sign. */
function loadSecret(evaluation: BatchEvaluation, key: string, { secret, old, oldTillMs }: WebhookSecret): void {
  const { writeSet, now } = evaluation;
  const stored = evaluation.entry(kinds.taskSetting, key)?.value;
  const own = stored === undefined ? undefined : (JSON.parse(stored) as WebhookSecret);
  const before =
    own !== undefined && own.secret !== secret
      ? { old: own.secret, oldTillMs: now + oldSecretMs }
      : { ...(old !== undefined && { old, oldTillMs: Math.min(oldTillMs ?? 0, now + oldSecretMs) }) };
  const value = JSON.stringify({ secret, ...before } satisfies WebhookSecret);
  writeSet.put({ kind: kinds.taskSetting, key, till: 0, value });
}

function drop({ writeSet, state, account }: BatchEvaluation, kind: Kind, key: string): void {
  writeSet.drop({ kind, key, till: 0 }, state.entries.get(kind, account, key) !== undefined);
}
