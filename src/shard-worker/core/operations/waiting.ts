/**
 * Waiting for a resource: a lock, a mutex, or the messages of a queue. Code that frees a resource only notes its queue (`WaitQueues.grantable`).
 * Before the command ends, `serveQueues` grants the resource to the head of the queue, in the same turn and the same
 * group commit, so that no request can get in between.
 */
import { failure } from '../../../protocol/errors.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { LockOperation } from '../../../protocol/operations/lock.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { isFree, needNotWait, type LockView } from '../state/lease.ts';
import type { Outbox, RequestRef } from '../state/outbox.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { refName, type ResourceKind, type Waiter, type WaitQueue } from '../state/wait-queue.ts';
import { markInProgress } from './idempotency.ts';
import { heldByOther } from './lock-failures.ts';

/** A request for a resource that cannot be granted at once. */
export interface WaitRequest extends Pick<Waiter, 'ref' | 'operation' | 'work'> {
  readonly resource: ResourceKind;
  readonly account: AccountId;
  readonly view: LockView;
  /** The resource is free and its queue empty: the request joins the queue, and is served before the command ends. */
  readonly free?: boolean;
}

/** Returns whether the request need not wait: the resource is free and nobody waits, it holds it, or does not fit. */
export function isAvailable(
  state: ShardState,
  { resource, account, operation, view }: Pick<WaitRequest, 'resource' | 'account' | 'operation' | 'view'>,
): boolean {
  if (!isFree(view, operation)) return needNotWait(view, operation);
  return state.waitQueues.find(resource, account, operation.id) === undefined;
}

/** Lets the request join the wait queue, or refuses it with the reason. */
export function wait(turn: Turn, request: WaitRequest): void {
  const { state, now, out } = turn;
  const { resource, account, ref, operation, work, view, free = false } = request;
  const before = state.waitQueues.find(resource, account, operation.id);
  const earlier = before?.sameOwner(operation);
  const takesOver = earlier !== undefined && !earlier.reserved;
  const waiting = before?.size ?? 0;
  const refusal = free ? undefined : refuseToWait(turn, { resource, operation, view, waiting, takesOver });
  if (refusal !== undefined) return answer(request, refusal, out);

  if (takesOver) {
    forget(state, earlier);
    const message = 'Another request with the same LockOwner has taken this place in the queue.';
    answer(earlier, failureReply(readRevision(state), failure('not_locked', message)), out);
  }
  const queue = state.waitQueues.open(resource, account, operation.id);
  const ticket = takesOver ? earlier.ticket : state.waitQueues.nextTicket();
  const joined: Waiter = { queue, ref, operation, work, ticket, reserved: false };
  joined.timer = state.timers.set(now + operation.waitMs, 'wait', refName(ref));
  state.waitQueues.join(joined);
  if (work.kind === 'batch') markInProgress(state, work, 1);
  wakeAtEnd(state, queue, view);
  // What was asked for in its place before may have had to wait for more: a reader joins others at once.
  if (takesOver) state.waitQueues.grantable.add(queue);
}

/**
 * Has the queue of a lock served when the current lease ends. The end of the lease's entry would do that too, but it
 * may be late: other entries may fall due before it, by the million, and a lease from before this start may end before
 * the time that its entry is filed under. (A mutex has a timer of its own.)
 */
export function wakeAtEnd({ timers }: ShardState, queue: WaitQueue, view: LockView): void {
  if (queue.kind !== 'lock') return;
  const till = view.closedTill ?? (view.shared === undefined ? view.till : 0);
  // Of leases that several have, each has an entry, and the queue is served when one has ended.
  if (till === 0) return;
  // A timer that comes too early finds the lease extended, and is set again.
  if (queue.leaseTimer !== undefined && queue.leaseTimer.at <= till) return;
  if (queue.leaseTimer !== undefined) timers.clear(queue.leaseTimer);
  queue.leaseTimer = timers.set(till, 'lock', queue.name);
}

/** Removes a waiter from its queue, wherever it stands. */
export function leaveQueue(state: ShardState, waiter: Waiter): void {
  const { queue } = waiter;
  state.waitQueues.leave(waiter);
  if (queue.size === 0 && queue.leaseTimer !== undefined) state.timers.clear(queue.leaseTimer);
  forget(state, waiter);
}

/** Forgets everything about a waiter except its place in the queue. */
function forget(state: ShardState, waiter: Waiter): void {
  if (waiter.timer !== undefined) state.timers.clear(waiter.timer);
  state.waitQueues.forget(waiter);
  if (waiter.work.kind === 'batch') markInProgress(state, waiter.work, -1);
}

/** Answers a waiter whose LockWait has run out. */
export function timeOut({ state, now, out }: Turn, waiter: Waiter, view: LockView): void {
  const { queue, operation } = waiter;
  const others = queue.size - 1;
  leaveQueue(state, waiter);
  const failed = heldByOther(operation.id, view, { waiters: others, waitMs: operation.waitMs, now });
  answer(waiter, failureReply(readRevision(state), failed), out);
  state.waitQueues.grantable.add(queue);
}

/**
 * Removes a waiter whose client has disconnected. The shard still answers it, so that the router can forget the
 * request; the router drops the answer. (A transaction whose lock is reserved has had its answer.)
 */
export function cancelWait({ state, out }: Turn, ref: RequestRef): void {
  const waiter = state.waitQueues.waiterOf(ref);
  if (waiter === undefined) return;
  leaveQueue(state, waiter);
  if (!waiter.reserved) answer(waiter, cancelledReply(state), out);
  // It may have been the head of the queue of a free lock.
  state.waitQueues.grantable.add(waiter.queue);
}

/** Refuses a request that waits, unless it has left, or its lock is reserved for it: then it is refused as it goes on. */
export function refuseWaiter({ state, out }: Turn, waiter: Waiter, reply: Reply): void {
  if (waiter.reserved || state.waitQueues.waiterOf(waiter.ref) !== waiter) return;
  leaveQueue(state, waiter);
  answer(waiter, reply, out);
}

/** Tells all waiters that the server is going down. */
export function drainWaiters({ state, out }: Turn): void {
  state.draining = true;
  const { asking } = state.tasks;
  state.tasks.asking = undefined;
  if (asking !== undefined) out.reply(asking.ref, drainingReply(state));
  for (const waiter of state.waitQueues.waiters()) {
    if (waiter.reserved) continue;
    leaveQueue(state, waiter);
    answer(waiter, drainingReply(state), out);
  }
}

interface WaitAttempt {
  readonly resource: ResourceKind;
  readonly operation: LockOperation;
  readonly view: LockView;
  /** The number of waiters already in the queue. */
  readonly waiting: number;
  /** The request takes the place of an earlier one of the same owner. */
  readonly takesOver: boolean;
}

function refuseToWait(
  { state, now }: Turn,
  { resource, operation, view, waiting, takesOver }: WaitAttempt,
): Reply | undefined {
  const rev = readRevision(state);
  if (operation.waitMs === 0)
    return failureReply(rev, heldByOther(operation.id, view, { waiters: waiting, waitMs: 0, now }));
  if (state.draining) return drainingReply(state);
  // Taking over an own place does not lengthen the queue.
  if (takesOver) return undefined;
  const { waiters_per_shard_max } = state.limits;
  const name = resource === 'queue' ? 'consumers_per_queue_max' : 'waiters_per_lock_max';
  const most = state.limits[name];
  if (waiting >= most) {
    const what = resource === 'queue' ? 'messages of the queue' : 'the lock';
    const message = `${most} requests wait for ${what} ${JSON.stringify(operation.id)} already (limits.${name}).`;
    const details = { Quota: resource === 'queue' ? 'consumers' : 'waiters', Limit: most };
    return failureReply(rev, failure('too_many_waiters', message, details));
  }
  if (state.waitQueues.size >= waiters_per_shard_max) {
    const message = `${waiters_per_shard_max} requests wait for locks and messages already (limits.waiters_per_shard_max).`;
    const details = { Quota: 'waiters', Limit: waiters_per_shard_max };
    return failureReply(rev, failure('too_many_waiters', message, details));
  }
  return undefined;
}

export function drainingReply(state: ShardState): Reply {
  const message = 'The server is going down; nothing was done. Try again soon.';
  return failureReply(readRevision(state), failure('draining', message));
}

export function cancelledReply(state: ShardState): Reply {
  return failureReply(readRevision(state), failure('not_locked', 'The request was cancelled while it waited.'));
}

function answer({ ref, work }: Pick<Waiter, 'ref' | 'work'>, reply: Reply, out: Outbox): void {
  if (work.kind === 'reserve') out.transaction(ref, { kind: 'reply', reply });
  else out.reply(ref, reply);
}
