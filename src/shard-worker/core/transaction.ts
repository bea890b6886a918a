/**
 * A shard as participant of a transaction, which is a batch over several shards. The router coordinates it
 * (router/transaction/coordinator.ts); this file has what a shard does in each phase. Nothing is written before
 * `commit`, which writes one record with the effects of all shards.
 *
 *   claim    the batch's idempotency ids are new: mark them in progress          (only for batches that take a lock)
 *   reserve  join the wait queue of the lock, reserve it for the transaction     (only for batches that take a lock)
 *   prepare  hold the keys, evaluate this shard's part                           (every shard, ascending)
 *   commit   take the revision, hand ONE record to the journal                   (the last shard)
 *   apply    the record is durable: apply this shard's effects, release          (every shard)
 *   release  release everything without a change                        (after a failed condition, or after a read)
 */
import { footprintOf } from '../../protocol/footprint.ts';
import type { LockOperation } from '../../protocol/operations/lock.ts';
import type { Batch } from '../../protocol/operations/operations.ts';
import { upToKey } from '../../protocol/page.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import type { PendingEffect, ToShard } from '../../protocol/wire/shard-messages.ts';
import { assert } from '../../shared/assert.ts';
import { answeredOf, commitOf, earlierReply, refusalOf } from './batch/batch.ts';
import { evaluate, seal } from './batch/evaluate.ts';
import { growthOf, lockQuotaReply, quotaReply } from './batch/quota.ts';
import { recordTooLarge } from './batch/record-size.ts';
import { batchReply, failedReply } from './batch/render.ts';
import { fullReply, spaceReply } from './batch/space.ts';
import { storedTail } from './batch/stored-reply.ts';
import { beginDeletion } from './operations/account.ts';
import { inProgressReply, markInProgress } from './operations/idempotency.ts';
import { heldByOther } from './operations/lock-failures.ts';
import { viewDurableLock } from './operations/lock.ts';
import { listPage } from './operations/operations.ts';
import { isAvailable, leaveQueue, wait } from './operations/waiting.ts';
import { isFree, isOwnLease, misfitOf } from './state/lease.ts';
import type { RequestRef } from './state/outbox.ts';
import { announce } from './state/commit.ts';
import { applyRecord, readRevision, type ShardState } from './state/state.ts';
import type { Turn } from './state/turn.ts';
import type { Waiter } from './state/wait-queue.ts';

type Message<Kind extends ToShard['kind']> = Extract<ToShard, { kind: Kind }>;

export function claimIds(turn: Turn, ref: RequestRef, message: Message<'transaction.claim'>): void {
  const { state, out } = turn;
  const { transaction, batch } = message;
  const reply = earlierReply(turn, batch);
  if (reply !== undefined) return out.transaction(ref, { kind: 'reply', reply });
  markInProgress(state, batch, 1);
  state.transactions.set(transaction, { ...state.transactions.get(transaction), claim: batch });
  out.transaction(ref, { kind: 'ok' });
}

export function reserveLock(turn: Turn, ref: RequestRef, message: Message<'transaction.reserve'>): void {
  const { state, now, out } = turn;
  const { transaction, account, deadline = now + message.lock.waitMs } = message;
  const operation = { ...message.lock, waitMs: Math.max(0, deadline - now) };
  const view = viewDurableLock(state, account, operation, now);
  const request = {
    resource: 'lock',
    account,
    ref,
    operation,
    work: { kind: 'reserve', transaction, deadline },
    view,
  } as const;
  const free = isAvailable(state, request);
  const full = free ? undefined : lockQuotaReply(state, account);
  if (full !== undefined) return out.transaction(ref, { kind: 'reply', reply: full });
  // It holds the lock already, or is refused by the evaluation.
  if (free && !isFree(view, operation)) {
    const reserved = { deadline, held: view.lease?.fence, rev: readRevision(state) };
    return out.transaction(ref, { kind: 'ok', reserved });
  }
  // A free lock is reserved by waiting for it: the queue is served before this command ends.
  wait(turn, { ...request, free });
  const waiter = state.waitQueues.waiterOf(ref);
  if (waiter === undefined) return;
  const before = state.transactions.get(transaction);
  state.transactions.set(transaction, { ...before, waiters: [...(before?.waiters ?? []), waiter] });
  if (free) state.waitQueues.grantable.add(waiter.queue);
  else out.transaction(ref, { kind: 'waiting' });
}

export function prepareTransaction(turn: Turn, ref: RequestRef, message: Message<'transaction.prepare'>): void {
  const { state, out } = turn;
  const { transaction, command } = message;
  const hold = (pending: readonly PendingEffect[]): void => {
    const placedAt = state.revisions.current();
    state.holds.place({ transaction, footprint: footprintOf(command), command, pending, placedAt });
  };
  if (command.kind !== 'batch') {
    hold([]);
    return out.transaction(ref, { kind: 'rows', page: listPage(turn, command), rev: readRevision(state) });
  }
  // A batch that waited has claimed its idempotency ids; any other may find that a waiting batch has them.
  const claimed = state.transactions.get(transaction)?.claim !== undefined;
  const refusal =
    (claimed ? undefined : inProgressReply(state, command)) ??
    spaceReply(state, command) ??
    lockReply(turn, transaction, command);
  if (refusal !== undefined) return out.transaction(ref, { kind: 'reply', reply: refusal });
  const evaluation = evaluate(turn, command);
  hold(evaluation.pending);
  const { entries } = state;
  const isLimited = evaluation.pending.length > 0 && entries.usageOf(command.account) !== undefined;
  const growth = isLimited ? { growth: growthOf(entries, command.account, evaluation.pending) } : {};
  out.transaction(ref, { kind: 'held', evaluation: { ...evaluation, ...growth }, rev: readRevision(state) });
}

/**
 * Refuses a transaction whose own lease has ended: it skipped the wait queue because it held the lock, and now the lock
 * belongs to the head of the queue.
 */
function lockReply({ state, now }: Turn, transaction: string, batch: Batch): Reply | undefined {
  const own = state.transactions.get(transaction)?.waiters ?? [];
  for (const operation of batch.locks ?? (batch.lock === undefined ? [] : [batch.lock])) {
    const reply = lockedReply(state, now, { batch, operation, own });
    if (reply !== undefined) return reply;
  }
  return undefined;
}

function lockedReply(
  state: ShardState,
  now: number,
  {
    batch,
    operation,
    own,
  }: { readonly batch: Batch; readonly operation: LockOperation; readonly own: readonly Waiter[] },
): Reply | undefined {
  const { account } = batch;
  if (operation.extend !== undefined || !state.owns(account, operation.id)) return undefined;
  const queue = state.waitQueues.find('lock', account, operation.id);
  const head = queue?.head();
  if (queue === undefined || head === undefined || own.includes(head)) return undefined;
  const view = viewDurableLock(state, account, operation, now);
  if (isOwnLease(view, operation) || misfitOf(view, operation) !== undefined) return undefined;
  return failureReply(
    readRevision(state),
    heldByOther(operation.id, view, { waiters: queue.size, waitMs: operation.waitMs, now }),
  );
}

/** Commits the batch, or refuses it if a condition failed. All shards hold its keys. */
export function commitTransaction(turn: Turn, ref: RequestRef, message: Message<'transaction.commit'>): void {
  const { state, out } = turn;
  // `rev` is the highest revision that any shard read its part at.
  const { batch, evaluation, rev } = message;
  const answer = (reply: Reply): void =>
    out.transaction(ref, { kind: 'committed', reply, rev, written: false, stored: '' });
  const refusal =
    refusalOf(turn, batch, evaluation, rev) ?? fullReply(state, evaluation) ?? quotaReply(state, batch, evaluation);
  if (refusal !== undefined) return answer(refusal);
  if (evaluation.pending.length === 0)
    return answer(batchReply(batch, answeredOf(turn, batch, evaluation, rev), false));
  const tail = storedTail(batch, evaluation.results);
  const tooLarge = recordTooLarge(batch, evaluation.pending, tail, state.recordBytesMax);
  if (tooLarge !== undefined) return answer(failedReply([tooLarge], rev));
  // Whether it stood in line is known to the shard of its lock alone.
  const waited = ((batch.lock ?? batch.locks?.[0])?.waitMs ?? 0) > 0;
  const { record, reply, stored } = commitOf(turn, batch, evaluation, { tail, waited });
  out.record(record);
  out.transaction(ref, { kind: 'committed', reply, rev: record.rev, written: true, stored });
}

/** Applies what this shard evaluated under the hold. The commit is durable. */
export function applyTransaction({ state, out }: Turn, message: Message<'transaction.apply'>): void {
  const { transaction, rev, stored, last } = message;
  const hold = state.holds.get(transaction);
  assert(hold?.command.kind === 'batch', 'a transaction is applied where it holds');
  const record = { rev, account: hold.command.account, effects: seal(upToKey(hold.pending, last), rev, stored) };
  applyRecord(state, record);
  if (rev > state.lastRev) state.lastRev = rev;
  announce(state, record, out);
  if (hold.command.wipe !== undefined) beginDeletion(state, record.account);
  releaseTransaction(state, message);
}

export function releaseTransaction(
  state: ShardState,
  { transaction, account }: Message<'transaction.release' | 'transaction.apply'>,
): void {
  const { holds, transactions, waitQueues } = state;
  holds.release(transaction);
  const { claim, waiters = [] } = transactions.get(transaction) ?? {};
  transactions.delete(transaction);
  if (claim !== undefined) markInProgress(state, claim, -1);
  for (const waiter of waiters) {
    if (waitQueues.waiterOf(waiter.ref) !== waiter) continue;
    leaveQueue(state, waiter);
    waitQueues.grantable.add(waiter.queue);
  }
  waitQueues.unblock(account);
}
