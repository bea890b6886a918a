/**
 * Tells the dispatcher which tasks are due. Nothing is written. The reply carries the revision that the shard has applied,
 * so the gate of the dispatcher's router lets it pass once all of that is durable: nothing is done that a power cut could
 * take back.
 */
import { serverAccount } from '../../../protocol/ids.ts';
import { failure } from '../../../protocol/errors.ts';
import type { DueTask, DueTasks, TaskBegin, TaskDue } from '../../../protocol/operations/task-calls.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply } from '../../../protocol/replies.ts';
import { dueTasksMax } from '../../../shared/task-limits.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision } from '../state/state.ts';
import { runName } from '../state/task-watch.ts';
import type { Turn } from '../state/turn.ts';
import { cancelledReply, drainingReply } from './waiting.ts';

/** How far ahead a shard looks for the next task. */
const lookAheadMs = 2000;

export function watchDueTasks({ state, out }: Turn, ref: RequestRef, { bytesMax }: TaskDue): void {
  const before = state.tasks.asking;
  if (before !== undefined) out.reply(before.ref, cancelledReply(state));
  state.tasks.asking = undefined;
  if (state.draining) return out.reply(ref, drainingReply(state));
  state.tasks.asking = { ref, bytesMax };
}

/** Answers who asks for tasks that are due, once there are some. To be called at the end of each turn. */
export function tellDueTasks({ state, now, out }: Turn): void {
  const { tasks, entries } = state;
  const { asking } = tasks;
  if (asking === undefined || now < tasks.next) return;
  const Due: DueTask[] = [];
  let bytes = 0;
  let isAll = true;
  const states = entries.dueTasks(now, tasks.place, dueTasksMax);
  for (const { account, key, entry } of states) {
    const definition = entries.get(kinds.task, account, key)?.value;
    const length = entry.value.length + key.length + (definition?.length ?? 0);
    isAll = Due.length === 0 || bytes + length <= asking.bytesMax;
    if (!isAll) break;
    bytes += length;
    tasks.place = { till: entry.till, account, key };
    // Without a definition, its account is being deleted.
    if (definition !== undefined) Due.push([account, key, entry.rev, entry.value, definition]);
  }
  if (isAll && states.length < dueTasksMax) {
    tasks.place = { till: now + 1, account: serverAccount, key: '' };
    // Those that were cancelled leave a trail until the next checkpoint, which is not walked at once to its end.
    const until = now + lookAheadMs;
    tasks.next = Math.min(entries.nextTask(tasks.place, until), until + 1);
  }
  if (Due.length === 0) return;
  tasks.asking = undefined;
  const body = JSON.stringify({ Due, Now: now } satisfies DueTasks);
  out.reply(asking.ref, { rev: readRevision(state), outcome: 'ok', body });
}

/** A run that takes time begins, if the task is still as the dispatcher was told. */
export function beginTask({ state, out }: Turn, ref: RequestRef, { account, id, version }: TaskBegin): void {
  const rev = readRevision(state);
  if (state.entries.get(kinds.taskState, account, id)?.rev !== version) {
    const message = `The task ${JSON.stringify(id)} has changed since its run fell due.`;
    return out.reply(ref, failureReply(rev, failure('version_mismatch', message, { ID: id })));
  }
  state.tasks.running.add(runName(account, id));
  out.reply(ref, { rev, outcome: 'ok', body: '{}' });
}
