/** Grants resources that became free to the heads of their wait queues. */
import { footprintOf } from '../../protocol/footprint.ts';
import { assert } from '../../shared/assert.ts';
import { executeBatch } from './batch/batch.ts';
import { grantMutex } from './operations/mutex.ts';
import { resources } from './operations/operations.ts';
import { leaveQueue } from './operations/waiting.ts';
import { isOwnLease } from './state/lease.ts';
import type { Turn } from './state/turn.ts';
import type { Waiter, WaitQueue } from './state/wait-queue.ts';

/** Serves every queue whose resource may have become free. Called before each command ends. */
export function serveQueues(turn: Turn): void {
  const { grantable } = turn.state.waitQueues;
  if (grantable.size === 0) return;
  // Serving a head may free further resources: a Set also visits what is added during iteration.
  for (const queue of grantable) {
    grantable.delete(queue);
    serveQueue(turn, queue);
  }
}

function serveQueue(turn: Turn, queue: WaitQueue): void {
  const { state, now } = turn;
  for (;;) {
    const head = queue.head();
    if (head === undefined || head.reserved) return;
    const view = resources[queue.kind].view(state, queue.account, queue.id, now);
    if (view.lease !== undefined && !isOwnLease(view, head.operation)) return;
    if (isBlocked(turn, head)) return void state.waitQueues.blocked.add(queue);
    if (head.work.kind === 'reserve') return reserve(turn, head);
    leaveQueue(state, head);
    // If the head's conditions fail, it is refused, the lock stays free, and the next waiter has its turn.
    if (head.work.kind === 'batch') executeBatch(turn, head.ref, head.work);
    else grantMutex(turn, head.ref, head.work);
  }
}

/** Returns whether a transaction holds the resource, or another key that the waiting batch needs. */
function isBlocked({ state: { holds } }: Turn, { queue, work }: Waiter): boolean {
  if (queue.kind === 'mutex') return false;
  assert(work.kind !== 'mutex.lock', 'only batches and transactions wait for a lock');
  return holds.conflicts({ names: [queue.name] }) || (work.kind === 'batch' && holds.conflicts(footprintOf(work)));
}

function reserve({ state, out }: Turn, head: Waiter): void {
  head.reserved = true;
  if (head.timer !== undefined) state.timers.clear(head.timer);
  delete head.timer;
  out.transaction(head.ref, { kind: 'ok' });
}
