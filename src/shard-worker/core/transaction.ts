/**
 * A shard's part in a batch over several shards. The router carries the transaction (router/transaction/coordinator.ts); here is what each
 * stop does. Nothing is written before `commit`, and then once, in one record with the effects of all shards.
 *
 *   claim    the batch's idempotency ids are new: mark them in progress   (only for batches that operation for a lock)
 *   reserve  stand in line for the lock, keep it for the transaction             (only for batches that take a lock)
 *   hold     hold the keys, evaluate this shard's part                     (every shard, ascending)
 *   commit   take the revision, hand ONE record to the journal             (the last shard)
 *   apply    the record is durable: take over this shard's effects, let go (every shard)
 *   release  let go without a change                                       (on a failed condition, or after a read)
 */
import { nameOf } from '../../protocol/footprint.ts';
import type { Batch, KvList, LockOperation, LockList } from '../../protocol/commands.ts';
import type { AccountId, Revision } from '../../protocol/ids.ts';
import type { Evaluation } from '../../protocol/wire/shard-messages.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import { commitOf, earlierReply, noteGrantable, refusalOf } from './batch/batch.ts';
import { evaluate, seal } from './batch/evaluate.ts';
import { inProgressReply, markInProgress } from './operations/idempotency.ts';
import { isOwnLease } from './state/lease.ts';
import { heldByOther } from './operations/lock-failures.ts';
import { viewDurableLock } from './operations/lock.ts';
import type { Outbox, RequestRef } from './state/outbox.ts';
import { listPage } from './operations/read.ts';
import { batchReply } from './batch/render.ts';
import { fullReply, spaceReply } from './batch/space.ts';
import { footprintOf } from '../../protocol/footprint.ts';
import { applyRecord, notifyWatchers, readRevision, type ShardState } from './state/state.ts';
import { isAvailable, leaveQueue, queueLength, refName, wait } from './operations/waiting.ts';

export function claimIds(
  state: ShardState,
  ref: RequestRef,
  transaction: string,
  batch: Batch,
  now: number,
  out: Outbox,
): void {
  const reply = earlierReply(state, batch, now);
  if (reply !== undefined) return out.transaction(ref, { kind: 'reply', reply });
  markInProgress(state, batch, 1);
  state.transactions.set(transaction, { ...state.transactions.get(transaction), claim: batch });
  out.transaction(ref, { kind: 'ok' });
}

export function reserveLock(
  state: ShardState,
  ref: RequestRef,
  transaction: string,
  account: AccountId,
  operation: LockOperation,
  now: number,
  out: Outbox,
): void {
  const view = viewDurableLock(state, account, operation.id, now);
  if (isAvailable(state, 'lock', account, operation, view) && view.lease !== undefined)
    return out.transaction(ref, { kind: 'ok' });
  // A free lock is reserved by standing in line for it: the line is served before this command ends.
  const free = isAvailable(state, 'lock', account, operation, view);
  wait(state, 'lock', { ref, account, operation, work: { kind: 'reserve', transaction } }, view, now, out, free);
  const waiter = state.waiters.get(refName(ref));
  if (waiter === undefined) return;
  state.transactions.set(transaction, { ...state.transactions.get(transaction), waiter });
  if (free) state.grantable.add(nameOf(account, operation.id));
}

export function holdKeys(
  state: ShardState,
  ref: RequestRef,
  transaction: string,
  command: Batch | KvList | LockList,
  now: number,
  out: Outbox,
): void {
  const place = (pending: Evaluation['pending']): void =>
    state.holds.place({
      transaction,
      scope: footprintOf(command),
      command,
      pending,
      placedAt: state.revisions.current(),
    });
  if (command.kind !== 'batch') {
    place([]);
    return out.transaction(ref, { kind: 'rows', page: listPage(state, command, now), rev: readRevision(state) });
  }
  // A batch that waited has claimed its idempotency ids; for any other, another one may be waiting under them.
  const claimed = state.transactions.get(transaction)?.claim !== undefined;
  const refusal = (claimed ? undefined : inProgressReply(state, command)) ?? spaceReply(state, command);
  if (refusal !== undefined) return out.transaction(ref, { kind: 'reply', reply: refusal });
  const lost = lockReply(state, transaction, command, now);
  if (lost !== undefined) return out.transaction(ref, { kind: 'reply', reply: lost });
  const evaluation = evaluate(state, command, now);
  place(evaluation.pending);
  out.transaction(ref, { kind: 'held', evaluation, rev: readRevision(state) });
}

/**
 * A transaction that was let through because the lease was its own has no place in the line. If that lease has ended since,
 * the lock belongs to whoever stands there.
 */
function lockReply(state: ShardState, transaction: string, batch: Batch, now: number): Reply | undefined {
  const { account, lock: operation } = batch;
  if (operation === undefined || operation.extend !== undefined || !state.owns(account, operation.id)) return undefined;
  const head = state.waitQueues.lock.get(nameOf(account, operation.id))?.head();
  const view = viewDurableLock(state, account, operation.id, now);
  if (head === undefined || head === state.transactions.get(transaction)?.waiter || isOwnLease(view, operation))
    return undefined;
  const others = queueLength(state, 'lock', account, operation.id);
  return failureReply(readRevision(state), heldByOther(operation.id, view, others, operation.waitMs));
}

/** All shards hold: the batch happens here and now, or a condition failed. `rev` is the highest that a part was read at. */
export function commitTransaction(
  state: ShardState,
  ref: RequestRef,
  batch: Batch,
  evaluation: Evaluation,
  rev: Revision,
  now: number,
  out: Outbox,
): void {
  const refusal = refusalOf(state, batch, evaluation, rev) ?? fullReply(state, evaluation);
  if (refusal !== undefined) return out.transaction(ref, { kind: 'committed', reply: refusal, rev, written: false });
  if (evaluation.pending.length === 0) {
    const reply = batchReply(batch, evaluation.results, rev, now);
    return out.transaction(ref, { kind: 'committed', reply, rev, written: false });
  }
  const done = commitOf(batch, evaluation, out.nextRevision(), now);
  out.record(done.record);
  out.transaction(ref, { kind: 'committed', reply: done.reply, rev: done.record.rev, written: true });
}

/** The commit is durable. What this shard evaluated under the hold becomes its state. */
export function applyTransaction(
  state: ShardState,
  transaction: string,
  rev: Revision,
  body: string,
  out: Outbox,
): void {
  const hold = state.holds.get(transaction);
  assert(hold?.command.kind === 'batch', 'a transaction is applied where it holds');
  const batch = hold.command;
  const record = { rev, account: batch.account, effects: seal(hold.pending, rev, batch, body) };
  applyRecord(state, record);
  if (rev > state.lastRev) state.lastRev = rev;
  notifyWatchers(state, record, out);
  noteGrantable(state, record);
  releaseTransaction(state, transaction);
}

export function releaseTransaction(state: ShardState, transaction: string): void {
  state.holds.release(transaction);
  const trace = state.transactions.get(transaction);
  state.transactions.delete(transaction);
  if (trace?.claim !== undefined) markInProgress(state, trace.claim, -1);
  const { waiter } = trace ?? {};
  if (waiter !== undefined && state.waiters.get(refName(waiter.ref)) === waiter) {
    leaveQueue(state, 'lock', waiter);
    state.grantable.add(nameOf(waiter.account, waiter.operation.id));
  }
  for (const name of state.blockedQueues) state.grantable.add(name);
  state.blockedQueues.clear();
}
