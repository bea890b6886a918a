/** A batch on one shard: check idempotency, wait for the lock, evaluate, commit, answer. Everything or nothing. */
import { nameOf } from '../../../protocol/footprint.ts';
import type { Batch } from '../../../protocol/commands.ts';
import type { Revision } from '../../../protocol/ids.ts';
import type { Evaluation } from '../../../protocol/wire/shard-messages.ts';
import { kinds, type CommitRecord } from '../../../protocol/record.ts';
import type { Reply } from '../../../protocol/replies.ts';
import { evaluate, seal } from './evaluate.ts';
import { duplicateReply, findDuplicate, inProgressReply } from '../operations/idempotency.ts';
import { viewDurableLock } from '../operations/lock.ts';
import type { Outbox, RequestRef } from '../state/outbox.ts';
import { batchReply, failedReply } from './render.ts';
import { replyTooLarge } from './reply-size.ts';
import { fullReply, spaceReply } from './space.ts';
import { commit, readRevision, type ShardState } from '../state/state.ts';
import { isAvailable, wait } from '../operations/waiting.ts';

export function applyBatch(state: ShardState, ref: RequestRef, batch: Batch, now: number, out: Outbox): void {
  const early = earlierReply(state, batch, now) ?? spaceReply(state, batch);
  if (early !== undefined) return out.reply(ref, early);
  const operation = batch.lock;
  if (operation !== undefined && operation.extend === undefined) {
    const view = viewDurableLock(state, batch.account, operation.id, now);
    if (!isAvailable(state, 'lock', batch.account, operation, view)) {
      return wait(state, 'lock', { ref, account: batch.account, operation, work: batch }, view, now, out);
    }
  }
  executeBatch(state, ref, batch, now, out);
}

/** The answer to a batch whose idempotency id was used before, or is in use. */
export function earlierReply(state: ShardState, batch: Batch, now: number): Reply | undefined {
  if (batch.idempotency === undefined) return undefined;
  const duplicate = findDuplicate(state, batch, now);
  if (duplicate !== undefined) return duplicateReply(batch.idempotency, duplicate, readRevision(state));
  return inProgressReply(state, batch);
}

/** The lock, if one was asked for, is there to be taken: now the batch happens, or fails as a whole. */
export function executeBatch(state: ShardState, ref: RequestRef, batch: Batch, now: number, out: Outbox): void {
  const evaluation = evaluate(state, batch, now);
  const refusal = refusalOf(state, batch, evaluation) ?? fullReply(state, evaluation);
  if (refusal !== undefined) return out.reply(ref, refusal);
  if (evaluation.pending.length === 0)
    return out.reply(ref, batchReply(batch, evaluation.results, readRevision(state), now));
  const { record, reply } = commitOf(batch, evaluation, out.nextRevision(), now);
  commit(state, record, out);
  noteGrantable(state, record);
  out.reply(ref, reply);
}

/** @param rev what the evaluation has read at; absent: what this shard knows */
export function refusalOf(state: ShardState, batch: Batch, evaluation: Evaluation, rev?: Revision): Reply | undefined {
  const { duplicate, results } = evaluation;
  if (duplicate !== undefined) return duplicateReply(batch.idempotency!, duplicate, rev ?? readRevision(state));
  const tooLarge = replyTooLarge(batch, results, state.limits);
  const failed = tooLarge === undefined ? evaluation.failed : [...evaluation.failed, tooLarge];
  return failed.length === 0 ? undefined : failedReply(failed, rev ?? readRevision(state));
}

/** The record and the reply of a batch that commits at `rev`. */
export function commitOf(
  batch: Batch,
  evaluation: Evaluation,
  rev: Revision,
  now: number,
): { record: CommitRecord; reply: Reply } {
  const reply = batchReply(batch, evaluation.results, rev, now);
  const effects = seal(evaluation.pending, rev, batch, reply.body);
  return { record: { rev, account: batch.account, effects }, reply };
}

/** Lines of the locks that a record touched may move. */
export function noteGrantable(state: ShardState, record: CommitRecord): void {
  for (const { kind, key } of record.effects) {
    if (kind !== kinds.lock) continue;
    const name = nameOf(record.account, key);
    if (state.waitQueues.lock.has(name)) state.grantable.add(name);
  }
}
