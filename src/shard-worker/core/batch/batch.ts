/** A batch on one shard: check idempotency, wait for the lock, evaluate, commit, answer. Everything or nothing. */
import type { AccountId, Revision } from '../../../protocol/ids.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { kinds, type CommitRecord } from '../../../protocol/record.ts';
import type { Reply } from '../../../protocol/replies.ts';
import type { Evaluation, PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { beginDeletion, refuseDeleted } from '../operations/account.ts';
import type { Answered } from '../operations/behaviour.ts';
import { findDuplicate, inProgressReply } from '../operations/idempotency.ts';
import { viewDurableLock } from '../operations/lock.ts';
import { hasMessages } from '../operations/queue-take.ts';
import { isAvailable, wait } from '../operations/waiting.ts';
import { freeLock } from '../state/lease.ts';
import type { RequestRef } from '../state/outbox.ts';
import { commit } from '../state/commit.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { evaluate, seal } from './evaluate.ts';
import { batchReply, failedReply } from './render.ts';
import { lockQuotaReply, quotaReply } from './quota.ts';
import { recordTooLarge } from './record-size.ts';
import { replyTooLarge } from './reply-size.ts';
import { fullReply, spaceReply } from './space.ts';
import { duplicateReply, storedReply, storedTail } from './stored-reply.ts';

export function applyBatch(turn: Turn, ref: RequestRef, batch: Batch): void {
  const { state, now, out } = turn;
  const early = earlierReply(turn, batch) ?? spaceReply(state, batch);
  if (early !== undefined) return out.reply(ref, early);
  const { account, lock: operation } = batch;
  if (operation !== undefined && operation.extend === undefined) {
    const view = viewDurableLock(state, account, operation, now);
    const request = { resource: 'lock', account, ref, operation, work: batch, view } as const;
    if (!isAvailable(state, request)) {
      const full = operation.waitMs > 0 ? lockQuotaReply(state, account) : undefined;
      return full === undefined ? wait(turn, request) : out.reply(ref, full);
    }
  }
  const { dequeue } = batch;
  if (dequeue !== undefined && dequeue.waitMs > 0) {
    const line = state.waitQueues.find('queue', account, dequeue.key);
    if (line !== undefined || !hasMessages(turn, account, dequeue)) {
      const { key: id, durMs, waitMs } = dequeue;
      const waiting = { id, durMs, waitMs };
      return wait(turn, { resource: 'queue', account, ref, operation: waiting, work: batch, view: freeLock });
    }
  }
  executeBatch(turn, ref, batch);
}

/** Returns the reply to a batch whose idempotency id was used before, or is in use. */
export function earlierReply(turn: Turn, batch: Batch): Reply | undefined {
  if (batch.idempotency === undefined) return undefined;
  const duplicate = findDuplicate(turn, batch);
  if (duplicate !== undefined) return duplicateReply(batch, duplicate, readRevision(turn.state), turn.now);
  return inProgressReply(turn.state, batch);
}

/**
 * Commits the batch, or fails it as a whole. Precondition: the lock that it asks for, if any, is available.
 * @param waited it stood in line for its lock
 */
export function executeBatch(turn: Turn, ref: RequestRef, batch: Batch, waited = false): void {
  const { state, out } = turn;
  const deleted = refuseDeleted(state, batch);
  if (deleted !== undefined) return out.reply(ref, deleted);
  const evaluation = evaluate(turn, batch);
  const refusal = refusalOf(turn, batch, evaluation) ?? fullReply(state, evaluation);
  if (refusal !== undefined) return out.reply(ref, refusal);
  if (evaluation.pending.length === 0)
    return out.reply(ref, batchReply(batch, answeredOf(turn, batch, evaluation, readRevision(state)), waited));
  const overQuota = quotaReply(state, batch, evaluation);
  if (overQuota !== undefined) return out.reply(ref, overQuota);
  const tail = storedTail(batch, evaluation.results);
  const tooLarge = recordTooLarge(batch, evaluation.pending, tail, state.recordBytesMax);
  if (tooLarge !== undefined) return out.reply(ref, failedReply([tooLarge], readRevision(state)));
  const { record, reply } = commitOf(turn, batch, evaluation, { tail, waited });
  commit(turn, record);
  if (batch.wipe !== undefined) beginDeletion(state, batch.account);
  out.reply(ref, reply);
}

/** @param rev the revision that the evaluation read at; absent: this shard's own */
export function refusalOf(
  { state, now }: Turn,
  batch: Batch,
  evaluation: Evaluation,
  rev?: Revision,
): Reply | undefined {
  const { duplicate, results } = evaluation;
  if (duplicate !== undefined) return duplicateReply(batch, duplicate, rev ?? readRevision(state), now);
  const tooLarge = replyTooLarge(batch, results);
  const failed = tooLarge === undefined ? evaluation.failed : [...evaluation.failed, tooLarge];
  return failed.length === 0 ? undefined : failedReply(failed, rev ?? readRevision(state));
}

/**
 * Takes a revision. Returns the record and the reply of the batch, and what its idempotency ids store of the reply.
 * Precondition: the record is not too large.
 * @param tail from `storedTail`
 * @param waited it stood in line for its lock
 */
export function commitOf(
  turn: Turn,
  batch: Batch,
  evaluation: Evaluation,
  { tail, waited }: { readonly tail: string; readonly waited: boolean },
): { record: CommitRecord; reply: Reply; stored: string } {
  const rev = turn.out.nextRevision();
  const answered = answeredOf(turn, batch, evaluation, rev);
  const stored = storedReply(batch, answered, tail);
  const effects = seal(evaluation.pending, rev, stored);
  if (batch.dequeue !== undefined) turn.state.queues.countDeliveries(evaluation.results.dequeue!.messages);
  if (hasLocks(batch)) keepLocks(turn, batch.account, { pending: evaluation.pending, rev, waited });
  return { record: { rev, account: batch.account, effects }, reply: batchReply(batch, answered, waited), stored };
}

function hasLocks({ lock, unlock, locks, unlocks }: Batch): boolean {
  return (lock ?? unlock ?? locks ?? unlocks) !== undefined;
}

interface LocksOfCommit {
  readonly pending: readonly PendingEffect[];
  readonly rev: Revision;
  readonly waited: boolean;
}

function keepLocks({ state, now }: Turn, account: AccountId, { pending, rev, waited }: LocksOfCommit): void {
  for (const effect of pending) {
    state.locks.committed(effect, now, waited);
    if (effect.kind === kinds.lock) state.parsedLocks.keep(rev, account, effect);
  }
}

export function answeredOf({ now }: Turn, batch: Batch, { results }: Evaluation, rev: Revision): Answered {
  return { asked: batch, results, rev, now };
}
