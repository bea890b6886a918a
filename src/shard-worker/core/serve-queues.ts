/**
 * Grants resources that became free to the heads of their wait queues.
 *
 * A head whose conditions fail is refused, and the next has its turn: a freed lock can make any number of waiters run.
 * So one command runs at most `operationsMax` operations of waiting batches, each of which counts as some by itself. For
 * what is left the core sends itself a message; nobody gets in between, because a request joins a queue that exists.
 */
import { footprintOf } from '../../protocol/footprint.ts';
import type { MutexLock } from '../../protocol/operations/mutex.ts';
import { operationsOf, sectionNames, type Batch } from '../../protocol/operations/operations.ts';
import { assert } from '../../shared/assert.ts';
import { executeBatch } from './batch/batch.ts';
import { grantMutex } from './operations/mutex.ts';
import { resources } from './operations/operations.ts';
import { hasMessages } from './operations/queue-take.ts';
import { leaveQueue, wakeAtEnd } from './operations/waiting.ts';
import { needNotWait } from './state/lease.ts';
import { readRevision } from './state/state.ts';
import type { Turn } from './state/turn.ts';
import type { Waiter, WaitQueue } from './state/wait-queue.ts';
import { WriteSet } from './state/write-set.ts';

const operationsMax = 256;
/** A batch that waited is looked for, evaluated and committed: as much as so many of its operations. */
const operationsOfBatch = 4;

/** Serves every queue whose resource may have become free. Called before each command ends. */
export function serveQueues(turn: Turn): void {
  const { grantable } = turn.state.waitQueues;
  if (grantable.size === 0) return;
  let left = operationsMax;
  // Serving a head may free further resources: a Set also visits what is added during iteration.
  for (const queue of grantable) {
    grantable.delete(queue);
    left = serveQueue(turn, queue, left);
  }
}

/** @returns how many operations are left after this queue, which counts as one at least */
function serveQueue(turn: Turn, queue: WaitQueue, operations: number): number {
  const { state, now } = turn;
  // Its waiters are about to be refused (core/deletion.ts).
  if (state.deletions.size > 0 && state.deletions.has(queue.account)) return operations - 1;
  for (let left = operations - 1; ; ) {
    const head = queue.head();
    if (head === undefined || head.reserved) return left;
    if (left < 0) {
      state.ownMessages.push({ kind: 'queue.serve', resource: queue.kind, account: queue.account, id: queue.id });
      return left;
    }
    if (queue.kind === 'queue') {
      const look = new WriteSet();
      const has = hasMessagesFor(turn, head, look);
      left -= operationsOfBatch * look.passed;
      if (!has) return left;
    } else {
      const view = resources[queue.kind].view(state, queue.account, head.operation, now);
      if (!needNotWait(view, head.operation)) {
        wakeAtEnd(state, queue, view);
        return left;
      }
    }
    if (isBlocked(turn, head)) {
      state.waitQueues.block(queue);
      return left;
    }
    if (head.work.kind === 'reserve') {
      reserve(turn, head);
      return left;
    }
    noteWait(turn, head);
    leaveQueue(state, head);
    left -= operationsIn(head.work);
    // If the head's conditions fail, it is refused, the lock stays free, and the next waiter has its turn.
    if (head.work.kind === 'batch') executeBatch(turn, head.ref, head.work, true);
    else grantMutex(turn, head.ref, head.work, true);
  }
}

/** Its timer was set when it joined the line. */
function noteWait({ state, now }: Turn, { queue, timer, operation }: Waiter): void {
  if (queue.kind === 'queue' || timer === undefined) return;
  state.locks.waited(now - (timer.at - operation.waitMs));
}

function hasMessagesFor(turn: Turn, { queue, work }: Waiter, look: WriteSet): boolean {
  assert(work.kind === 'batch' && work.dequeue !== undefined, 'those who wait for messages dequeue them');
  return hasMessages(turn, queue.account, work.dequeue, look);
}

function operationsIn(work: Batch | MutexLock): number {
  if (work.kind !== 'batch') return 1;
  // A look for messages, and then the delivery: each message is several entries.
  if (work.dequeue !== undefined) return operationsOfBatch * (1 + work.dequeue.max);
  return sectionNames.reduce((sum, name) => sum + operationsOf(work, name).length, operationsOfBatch);
}

/** Returns whether a transaction holds the resource, or another key that the waiting batch needs. */
function isBlocked({ state: { holds } }: Turn, { queue, work }: Waiter): boolean {
  if (queue.kind === 'mutex') return false;
  assert(work.kind !== 'mutex.lock', 'only batches and transactions wait for a lock');
  return holds.conflicts({ names: [queue.name] }) || (work.kind === 'batch' && holds.conflicts(footprintOf(work)));
}

function reserve(turn: Turn, head: Waiter): void {
  const { state, out } = turn;
  noteWait(turn, head);
  head.reserved = true;
  if (head.timer !== undefined) state.timers.clear(head.timer);
  delete head.timer;
  const { work } = head;
  assert(work.kind === 'reserve', 'only transactions reserve');
  out.transaction(head.ref, { kind: 'ok', reserved: { deadline: work.deadline, rev: readRevision(state) } });
}
