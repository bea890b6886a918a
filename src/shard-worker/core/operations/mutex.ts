/**
 * Mutexes: locks in memory. They have the transitions, wait queue and fencing of a durable lock, need no disk, and end
 * with a restart. Their replies claim the durable revision: they depend on no open commit, and wait for none. Fences
 * grow over restarts although no grant is written: see `protocol/epochs.ts`.
 */
import { failure, type Failure } from '../../../protocol/errors.ts';
import { nameOf } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { MutexLock, MutexUnlock } from '../../../protocol/operations/mutex.ts';
import { failureReply, type Grant, type Reply } from '../../../protocol/replies.ts';
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
  type LockView,
  type ExclusiveRecord,
} from '../state/lease.ts';
import type { RequestRef } from '../state/outbox.ts';
import { accountAndKey, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { lockLost } from './lock-failures.ts';
import { leaseMembers } from './lease-members.ts';
import { isAvailable, wait } from './waiting.ts';

export function viewMutex(
  state: ShardState,
  account: AccountId,
  { id }: { readonly id: string },
  now: number,
): LockView {
  const mutex = state.mutexes.byName.get(nameOf(account, id));
  return mutex === undefined ? freeLock : viewLock(mutex.record, mutex.till, now);
}

export function lockMutex(turn: Turn, ref: RequestRef, command: MutexLock): void {
  const { state, now, out } = turn;
  const { account, lock: operation } = command;
  const full = isFull(state, account, operation.id);
  if (full !== undefined) return out.reply(ref, failureReply(state.revisions.durable(), full));
  const view = viewMutex(state, account, operation, now);
  const request = { resource: 'mutex', account, ref, operation, work: command, view } as const;
  if (isAvailable(state, request)) grantMutex(turn, ref, command);
  else wait(turn, request);
}

/** Returns why there can be no further mutex. */
function isFull({ limits, mutexes }: ShardState, account: AccountId, id: string): Failure | undefined {
  const { mutexes_per_shard_max: all, account_mutexes_per_shard_max: mine } = limits;
  const { byName, ofAccount } = mutexes;
  const isFullForAll = byName.size >= all;
  const isFullForAccount = mine > 0 && (ofAccount.get(account) ?? 0) >= mine;
  if ((!isFullForAll && !isFullForAccount) || byName.has(nameOf(account, id))) return undefined;
  const forgotten = 'a free one is forgotten after ten seconds.';
  if (isFullForAll) {
    const message = `There are ${all} mutexes in memory already (limits.mutexes_per_shard_max); ${forgotten}`;
    return failure('overloaded', message, { Quota: 'mutexes', Limit: all });
  }
  const message = `This account has ${mine} mutexes in memory (limits.account_mutexes_per_shard_max); ${forgotten}`;
  return failure('rate_limited', message, { Quota: 'mutexes', Limit: mine });
}

export function unlockMutex(turn: Turn, ref: RequestRef, { account, unlock }: MutexUnlock): void {
  const { state, now, out } = turn;
  const view = viewMutex(state, account, unlock, now);
  const answer = answerUnlock(view, unlock);
  const rev = state.revisions.durable();
  if (answer.kind === 'lost') {
    return out.reply(ref, failureReply(rev, lockLost('unlock', unlock, view, answer.ended)));
  }
  out.reply(ref, { rev, outcome: 'ok', body: `{"Rev":${rev}}` });
  if (answer.kind === 'release') endMutex(turn, account, unlock.id, answer.why);
}

const noFences = failure(
  'overloaded',
  'No fencing token is left for a mutex until the journal has written that more are given out; try again soon.',
);

/** @param waited the request stood in line */
export function grantMutex({ state, now, out }: Turn, ref: RequestRef, command: MutexLock, waited = false): void {
  const { account, lock: operation } = command;
  const { mutexes } = state;
  const view = viewMutex(state, account, operation, now);
  const own = isOwnLease(view, operation);
  const next = own ? view.lease!.fence : mutexes.fences.next();
  if (next === undefined) return out.reply(ref, failureReply(state.revisions.durable(), noFences));
  const { record, lease } = grantLease(view, operation, next, now);
  const till = now + operation.durMs;
  const version = put(state, nameOf(account, operation.id), record, till);
  const { fence } = lease;
  state.locks.grant(own ? 'reentered' : waited ? 'line' : 'free');
  const recovered = leaseToRecover(view, operation);
  const result = { fence, till, ...(recovered === undefined ? {} : { recover: recovered }) };
  const rev = state.revisions.durable();
  const reply: Reply = { rev, outcome: 'ok', body: `{${leaseMembers(result, fence, now, own)}"Rev":${rev}}` };
  // A client that had the mutex before keeps it, even if it has disconnected.
  out.reply(ref, own ? reply : { ...reply, grant: { account, id: operation.id, fence, mutex: true, version, waited } });
}

/** Ends the lease of a returned grant, unless another request has confirmed it since. */
export function returnMutex(turn: Turn, { account, id, fence, version }: Grant): void {
  const mutex = turn.state.mutexes.byName.get(nameOf(account, id));
  const view = viewMutex(turn.state, account, { id }, turn.now);
  if (view.lease?.fence === fence && mutex?.timer.seq === version) {
    turn.state.locks.undelivered();
    endMutex(turn, account, id, 'released');
  }
}

/** Ends the lease of a mutex, or forgets a free one. Called when its timer falls due. */
export function expireMutex(turn: Turn, name: string): void {
  const mutex = turn.state.mutexes.byName.get(name);
  if (mutex === undefined) return;
  const { account, key } = accountAndKey(name);
  if (mutex.record.holders.length === 0) return forget(turn.state, name);
  endMutex(turn, account, key, 'expired');
}

function endMutex({ state, now }: Turn, account: AccountId, id: string, why: Ending): void {
  const view = viewMutex(state, account, { id }, now);
  // Of one whose time has passed the view has no lease any more.
  const lease = state.mutexes.byName.get(nameOf(account, id))?.record.holders[0];
  state.locks.end(why, now, lease?.since);
  put(state, nameOf(account, id), endLease(view, why, now), now + mutexHistoryMs);
  state.waitQueues.noteGrantable('mutex', account, id);
}

/** Stores the mutex. Returns its version, which no other change of it has. */
function put({ mutexes, timers }: ShardState, name: string, record: ExclusiveRecord, till: number): number {
  const before = mutexes.byName.get(name);
  if (before !== undefined) timers.clear(before.timer);
  else count(mutexes, name, 1);
  const timer = timers.set(till, 'mutex', name);
  mutexes.byName.set(name, { record, till, timer });
  return timer.seq;
}

/** Ends a mutex without a word to its holder, who is told when it unlocks. */
export function forgetMutex(state: ShardState, name: string): void {
  const mutex = state.mutexes.byName.get(name);
  if (mutex === undefined) return;
  state.timers.clear(mutex.timer);
  forget(state, name);
}

function forget({ mutexes }: ShardState, name: string): void {
  mutexes.byName.delete(name);
  count(mutexes, name, -1);
}

function count({ ofAccount }: ShardState['mutexes'], name: string, change: 1 | -1): void {
  const { account } = accountAndKey(name);
  const mutexes = (ofAccount.get(account) ?? 0) + change;
  if (mutexes > 0) ofAccount.set(account, mutexes);
  else ofAccount.delete(account);
}
