/**
 * Waiting for a lock or a mutex. Whoever frees one only notes it (`grantable`); before the command ends, `serveQueues` hands
 * it to the head of the line, in the same turn and the same group commit, so that nobody can come in between.
 */
import { nameOf } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { LockOperation } from '../../../protocol/commands.ts';
import { failure } from '../../../protocol/errors.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { markInProgress } from './idempotency.ts';
import { isOwnLease, type LockView } from '../state/lease.ts';
import { heldByOther } from './lock-failures.ts';
import { WaitQueue, type Waiter } from '../state/wait-queue.ts';
import type { Outbox, RequestRef } from '../state/outbox.ts';
import { readRevision, type ShardState } from '../state/state.ts';

export type Family = 'lock' | 'mutex';

/** Whether the operation can be met at once: the lock is free and nobody stands in line, or it is the asker's own. */
export function isAvailable(
  state: ShardState,
  family: Family,
  account: AccountId,
  operation: LockOperation,
  view: LockView,
): boolean {
  if (isOwnLease(view, operation)) return true;
  return view.lease === undefined && !state.waitQueues[family].has(nameOf(account, operation.id));
}

/** Joins the line, or answers why not. With `free` the line is empty, and will be served before the command ends. */
export function wait(
  state: ShardState,
  family: Family,
  waiter: Pick<Waiter, 'ref' | 'account' | 'operation' | 'work'>,
  view: LockView,
  now: number,
  out: Outbox,
  free = false,
): void {
  const { ref, account, operation, work } = waiter;
  const name = nameOf(account, operation.id);
  const line = state.waitQueues[family].get(name);
  const earlier = line?.sameOwner(operation);
  const takesOver = earlier !== undefined && !earlier.reserved;
  const refusal = free ? undefined : refuseToWait(state, operation, view, line, takesOver);
  if (refusal !== undefined) return answer(waiter, refusal, out);

  const queue = line ?? new WaitQueue();
  if (line === undefined) state.waitQueues[family].set(name, queue);
  if (takesOver) {
    forget(state, earlier);
    const message = 'Another request with the same LockOwner has taken this place in the line.';
    answer(earlier, failureReply(readRevision(state), failure('not_locked', message)), out);
  }
  const ticket = takesOver ? earlier.ticket : (state.tickets += 1);
  const joined: Waiter = { ref, account, operation, work, ticket, reserved: false };
  joined.deadline = state.deadlines.set(now + operation.waitMs, { kind: 'waiter', waiter: joined });
  queue.join(joined);
  state.waiters.set(refName(ref), joined);
  if (work.kind === 'batch') markInProgress(state, work, 1);
  if (family === 'lock') wakeAtEnd(state, account, operation.id, view);
}

/**
 * A lease from before this start may end before the time that its entry is filed under, when the wall clock was set
 * back meanwhile: then nobody would look at the line when it ends.
 */
function wakeAtEnd(state: ShardState, account: AccountId, id: string, view: LockView): void {
  if (view.lease === undefined || view.lease.handle > state.boot.rev) return;
  const filed = state.entries.get(kinds.lock, account, id)?.till ?? 0;
  if (view.till < filed) state.deadlines.set(view.till, { kind: 'lock', account, id });
}

/** Takes a waiter out of its line, wherever it stands. */
export function leaveQueue(state: ShardState, family: Family, waiter: Waiter): void {
  const name = nameOf(waiter.account, waiter.operation.id);
  const line = state.waitQueues[family].get(name);
  line?.leave(waiter);
  if (line?.size === 0) state.waitQueues[family].delete(name);
  forget(state, waiter);
}

/** Everything about a waiter but its place in line. */
function forget(state: ShardState, waiter: Waiter): void {
  if (waiter.deadline !== undefined) state.deadlines.clear(waiter.deadline);
  state.waiters.delete(refName(waiter.ref));
  if (waiter.work.kind === 'batch') markInProgress(state, waiter.work, -1);
}

/** LockWait ran out. */
export function timeOut(state: ShardState, waiter: Waiter, view: LockView, out: Outbox): void {
  const family = familyOf(waiter);
  const others = (state.waitQueues[family].get(nameOf(waiter.account, waiter.operation.id))?.size ?? 1) - 1;
  leaveQueue(state, family, waiter);
  const { id, waitMs } = waiter.operation;
  answer(waiter, failureReply(readRevision(state), heldByOther(id, view, others, waitMs)), out);
}

/**
 * The client has vanished: if it waits, it leaves the line at once. It is answered all the same, so that the router can
 * forget the request; the router tells nobody. (A transaction whose lock is reserved has had its answer.)
 */
export function cancel(state: ShardState, ref: RequestRef, out: Outbox): void {
  const waiter = state.waiters.get(refName(ref));
  if (waiter === undefined) return;
  const family = familyOf(waiter);
  leaveQueue(state, family, waiter);
  if (!waiter.reserved) answer(waiter, cancelledReply(state), out);
  // It may have been the head of a line that stands before a free lock.
  if (family === 'lock') state.grantable.add(nameOf(waiter.account, waiter.operation.id));
}

/** Everyone who waits is told that the server is going down. */
export function drainWaiters(state: ShardState, out: Outbox): void {
  state.draining = true;
  for (const waiter of state.waiters.values()) {
    if (waiter.reserved) continue;
    leaveQueue(state, familyOf(waiter), waiter);
    answer(waiter, drainingReply(state), out);
  }
}

export function familyOf(waiter: Waiter): Family {
  return waiter.work.kind === 'mutex.lock' ? 'mutex' : 'lock';
}

export function queueLength(state: ShardState, family: Family, account: AccountId, id: string): number {
  return state.waitQueues[family].get(nameOf(account, id))?.size ?? 0;
}

function refuseToWait(
  state: ShardState,
  operation: LockOperation,
  view: LockView,
  line: WaitQueue | undefined,
  takesOver: boolean,
): Reply | undefined {
  const rev = readRevision(state);
  if (operation.waitMs === 0) return failureReply(rev, heldByOther(operation.id, view, line?.size ?? 0, 0));
  if (state.draining) return drainingReply(state);
  // Whoever takes its own place over makes the line no longer.
  if (takesOver) return undefined;
  const { waiters_per_lock_max, waiters_per_shard_max } = state.limits;
  if ((line?.size ?? 0) >= waiters_per_lock_max) {
    const message = `${waiters_per_lock_max} requests wait for the lock ${JSON.stringify(operation.id)} already (limits.waiters_per_lock_max).`;
    return failureReply(rev, failure('too_many_waiters', message));
  }
  if (state.waiters.size >= waiters_per_shard_max) {
    const message = `${waiters_per_shard_max} requests wait for locks already (limits.waiters_per_shard_max).`;
    return failureReply(rev, failure('too_many_waiters', message));
  }
  return undefined;
}

function drainingReply(state: ShardState): Reply {
  return failureReply(
    readRevision(state),
    failure('draining', 'The server is going down; nothing was done. Try again soon.'),
  );
}

export function cancelledReply(state: ShardState): Reply {
  return failureReply(readRevision(state), failure('not_locked', 'The request was cancelled while it waited.'));
}

function answer(waiter: Pick<Waiter, 'ref' | 'work'>, reply: Reply, out: Outbox): void {
  if (waiter.work.kind === 'reserve') out.transaction(waiter.ref, { kind: 'reply', reply });
  else out.reply(waiter.ref, reply);
}

/** How a request is named in `ShardState.waiters`. */
export function refName(ref: RequestRef): string {
  return `${ref.router}:${ref.id}`;
}
