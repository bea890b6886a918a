/**
 * Mutexes: locks in memory. The same moves, line and fencing as a durable lock, no disk in the path, gone at restart.
 * Its replies depend on nothing that is not durable yet: they claim the durable revision, and wait for no commit.
 * A handle is boot number × 2³² + a count, so that handles grow over restarts too, although nothing is written.
 */
import { nameOf } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { MutexLock, MutexUnlock } from '../../../protocol/commands.ts';
import { failure } from '../../../protocol/errors.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { assert } from '../../../shared/assert.ts';
import { mutexHistoryMs } from '../../../shared/limits.ts';
import {
  answerUnlock,
  endLease,
  freeLock,
  grantLease,
  isOwnLease,
  leaseToRecover,
  viewLock,
  type Ending,
  type LockRecord,
  type LockView,
} from '../state/lease.ts';
import { lockLost } from './lock-failures.ts';
import type { Outbox, RequestRef } from '../state/outbox.ts';
import { leaseMembers } from './lease-members.ts';
import type { ShardState } from '../state/state.ts';
import { isAvailable, leaveQueue, wait } from './waiting.ts';

const handlesPerBoot = 2 ** 32;

export function viewMutex(state: ShardState, account: AccountId, id: string, now: number): LockView {
  const mutex = state.mutexes.get(nameOf(account, id));
  return mutex === undefined ? freeLock : viewLock(mutex.record, mutex.till, now);
}

export function lockMutex(state: ShardState, ref: RequestRef, command: MutexLock, now: number, out: Outbox): void {
  const { account, lock: operation } = command;
  const view = viewMutex(state, account, operation.id, now);
  const { mutexes_per_shard_max } = state.limits;
  if (state.mutexes.size >= mutexes_per_shard_max && !state.mutexes.has(nameOf(account, operation.id))) {
    const message = `There are ${mutexes_per_shard_max} mutexes in memory already (limits.mutexes_per_shard_max).`;
    return out.reply(ref, failureReply(state.revisions.durable(), failure('overloaded', message)));
  }
  if (isAvailable(state, 'mutex', account, operation, view)) return grantMutex(state, ref, command, view, now, out);
  wait(state, 'mutex', { ref, account, operation, work: command }, view, now, out);
}

export function unlockMutex(state: ShardState, ref: RequestRef, command: MutexUnlock, now: number, out: Outbox): void {
  const { account, unlock } = command;
  const view = viewMutex(state, account, unlock.id, now);
  const answer = answerUnlock(view, unlock);
  const rev = state.revisions.durable();
  if (answer.kind === 'lost') {
    return out.reply(ref, failureReply(rev, lockLost('unlock', unlock.id, unlock, view, answer.ended)));
  }
  out.reply(ref, { rev, status: 200, body: `{"Rev":${rev}}` });
  if (answer.kind === 'release') endMutex(state, account, unlock.id, view, answer.why, now, out);
}

/** The mutex is free; whoever is first in line has it in the same turn. */
export function endMutex(
  state: ShardState,
  account: AccountId,
  id: string,
  view: LockView,
  why: Ending,
  now: number,
  out: Outbox,
): void {
  put(state, account, id, endLease(view, why, now), now + mutexHistoryMs);
  const head = state.waitQueues.mutex.get(nameOf(account, id))?.head();
  if (head === undefined) return;
  leaveQueue(state, 'mutex', head);
  assert(head.work.kind === 'mutex.lock', 'only mutex calls wait for a mutex');
  grantMutex(state, head.ref, head.work, viewMutex(state, account, id, now), now, out);
}

/** Its time has passed: the lease has expired, or the memory of a free mutex ends. */
export function expireMutex(state: ShardState, account: AccountId, id: string, now: number, out: Outbox): void {
  const name = nameOf(account, id);
  const mutex = state.mutexes.get(name);
  if (mutex === undefined) return;
  if (mutex.record.lease === undefined) state.mutexes.delete(name);
  else endMutex(state, account, id, viewMutex(state, account, id, now), 'expired', now, out);
}

function grantMutex(
  state: ShardState,
  ref: RequestRef,
  command: MutexLock,
  view: LockView,
  now: number,
  out: Outbox,
): void {
  const { account, lock: operation } = command;
  const own = isOwnLease(view, operation);
  if (!own) state.mutexHandles += 1;
  assert(state.mutexHandles < handlesPerBoot, 'a boot hands out fewer than 2^32 mutexes');
  const record = grantLease(view, operation, state.boot.number * handlesPerBoot + state.mutexHandles, now);
  const till = now + operation.durMs;
  const version = put(state, account, operation.id, record, till);
  const { handle } = record.lease;
  const recovered = leaseToRecover(view, operation);
  const result = { handle, till, ...(recovered === undefined ? {} : { recover: recovered }) };
  const rev = state.revisions.durable();
  const reply: Reply = { rev, status: 200, body: `{${leaseMembers(result, handle, now)}"Rev":${rev}}` };
  // Whoever has the mutex already keeps it, should the answer find nobody.
  out.reply(ref, own ? reply : { ...reply, grant: { account, id: operation.id, handle, mutex: true, version } });
}

/** Returns the mutex's version, which no other change of it has. */
function put(state: ShardState, account: AccountId, id: string, record: LockRecord, till: number): number {
  const name = nameOf(account, id);
  const before = state.mutexes.get(name);
  if (before !== undefined) state.deadlines.clear(before.deadline);
  const deadline = state.deadlines.set(till, { kind: 'mutex', account, id });
  state.mutexes.set(name, { record, till, deadline });
  return deadline.seq;
}
