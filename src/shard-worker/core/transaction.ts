/**
 * A shard's part in a batch over several shards. The router carries the baton (router/transaction/coordinator.ts); here is what each
 * stop does. Nothing is written before `commit`, and then once, in one record with the effects of all shards.
 *
 *   claim    the batch's idempotency ids are new: mark them in progress   (only for batches that ask for a lock)
 *   reserve  stand in line for the lock, keep it for the baton             (only for batches that take a lock)
 *   hold     hold the keys, evaluate this shard's part                     (every shard, ascending)
 *   commit   take the revision, hand ONE record to the journal             (the last shard)
 *   apply    the record is durable: take over this shard's effects, let go (every shard)
 *   release  let go without a change                                       (on a failed condition, or after a read)
 */
import { nameOf } from '../../protocol/footprint.ts';
import type { Batch, KvList, LockAsk, LockList } from '../../protocol/commands.ts';
import type { AccountId, Revision } from '../../protocol/ids.ts';
import type { Evaluation } from '../../protocol/wire/shard-messages.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import { commitOf, earlierReply, noteFreed, refusalOf } from './batch/batch.ts';
import { evaluate, finishDrafts } from './batch/evaluate.ts';
import { inProgressReply, markInProgress } from './operations/idempotency.ts';
import { isOwnLease } from './state/lease.ts';
import { heldByOther } from './operations/lock-failures.ts';
import { viewDurableLock } from './operations/lock.ts';
import type { Outbox, RequestRef } from './state/outbox.ts';
import { listPage } from './operations/read.ts';
import { batchReply } from './batch/render.ts';
import { fullReply, roomReply } from './batch/space.ts';
import { scopeOf } from '../../protocol/footprint.ts';
import { applyRecord, notifyWatchers, readRevision, type ShardState } from './state/state.ts';
import { isAvailable, leaveLine, lineLength, refName, wait } from './operations/waiting.ts';

export function claimIds(
  state: ShardState,
  ref: RequestRef,
  baton: string,
  batch: Batch,
  now: number,
  out: Outbox,
): void {
  const reply = earlierReply(state, batch, now);
  if (reply !== undefined) return out.baton(ref, { kind: 'reply', reply });
  markInProgress(state, batch, 1);
  state.batons.set(baton, { ...state.batons.get(baton), claim: batch });
  out.baton(ref, { kind: 'ok' });
}

export function reserveLock(
  state: ShardState,
  ref: RequestRef,
  baton: string,
  account: AccountId,
  ask: LockAsk,
  now: number,
  out: Outbox,
): void {
  const view = viewDurableLock(state, account, ask.id, now);
  if (isAvailable(state, 'lock', account, ask, view) && view.lease !== undefined) return out.baton(ref, { kind: 'ok' });
  // A free lock is reserved by standing in line for it: the line is served before this command ends.
  const free = isAvailable(state, 'lock', account, ask, view);
  wait(state, 'lock', { ref, account, ask, work: { kind: 'reserve', baton } }, view, now, out, free);
  const waiter = state.waiters.get(refName(ref));
  if (waiter === undefined) return;
  state.batons.set(baton, { ...state.batons.get(baton), waiter });
  if (free) state.freed.add(nameOf(account, ask.id));
}

export function holdKeys(
  state: ShardState,
  ref: RequestRef,
  baton: string,
  command: Batch | KvList | LockList,
  now: number,
  out: Outbox,
): void {
  const place = (drafts: Evaluation['drafts']): void =>
    state.holds.place({ baton, scope: scopeOf(command), command, drafts, placedAt: state.revisions.current() });
  if (command.kind !== 'batch') {
    place([]);
    return out.baton(ref, { kind: 'rows', page: listPage(state, command, now), rev: readRevision(state) });
  }
  // A batch that waited has claimed its idempotency ids; for any other, another one may be waiting under them.
  const claimed = state.batons.get(baton)?.claim !== undefined;
  const refusal = (claimed ? undefined : inProgressReply(state, command)) ?? roomReply(state, command);
  if (refusal !== undefined) return out.baton(ref, { kind: 'reply', reply: refusal });
  const lost = lockReply(state, baton, command, now);
  if (lost !== undefined) return out.baton(ref, { kind: 'reply', reply: lost });
  const evaluation = evaluate(state, command, now);
  place(evaluation.drafts);
  out.baton(ref, { kind: 'held', evaluation, rev: readRevision(state) });
}

/**
 * A baton that was let through because the lease was its own has no place in the line. If that lease has ended since,
 * the lock belongs to whoever stands there.
 */
function lockReply(state: ShardState, baton: string, batch: Batch, now: number): Reply | undefined {
  const { account, lock: ask } = batch;
  if (ask === undefined || ask.extend !== undefined || !state.owns(account, ask.id)) return undefined;
  const head = state.lines.lock.get(nameOf(account, ask.id))?.head();
  const view = viewDurableLock(state, account, ask.id, now);
  if (head === undefined || head === state.batons.get(baton)?.waiter || isOwnLease(view, ask)) return undefined;
  const others = lineLength(state, 'lock', account, ask.id);
  return failureReply(readRevision(state), heldByOther(ask.id, view, others, ask.waitMs));
}

/** All shards hold: the batch happens here and now, or a condition failed. `rev` is the highest that a part was read at. */
export function commitBaton(
  state: ShardState,
  ref: RequestRef,
  batch: Batch,
  evaluation: Evaluation,
  rev: Revision,
  now: number,
  out: Outbox,
): void {
  const refusal = refusalOf(state, batch, evaluation, rev) ?? fullReply(state, evaluation);
  if (refusal !== undefined) return out.baton(ref, { kind: 'committed', reply: refusal, rev, written: false });
  if (evaluation.drafts.length === 0) {
    const reply = batchReply(batch, evaluation.results, rev, now);
    return out.baton(ref, { kind: 'committed', reply, rev, written: false });
  }
  const done = commitOf(batch, evaluation, out.nextRevision(), now);
  out.record(done.record);
  out.baton(ref, { kind: 'committed', reply: done.reply, rev: done.record.rev, written: true });
}

/** The commit is durable. What this shard evaluated under the hold becomes its state. */
export function applyBaton(state: ShardState, baton: string, rev: Revision, body: string, out: Outbox): void {
  const hold = state.holds.get(baton);
  assert(hold?.command.kind === 'batch', 'a baton is applied where it holds');
  const batch = hold.command;
  const record = { rev, account: batch.account, effects: finishDrafts(hold.drafts, rev, batch, body) };
  applyRecord(state, record);
  if (rev > state.lastRev) state.lastRev = rev;
  notifyWatchers(state, record, out);
  noteFreed(state, record);
  releaseBaton(state, baton);
}

export function releaseBaton(state: ShardState, baton: string): void {
  state.holds.release(baton);
  const trace = state.batons.get(baton);
  state.batons.delete(baton);
  if (trace?.claim !== undefined) markInProgress(state, trace.claim, -1);
  const { waiter } = trace ?? {};
  if (waiter !== undefined && state.waiters.get(refName(waiter.ref)) === waiter) {
    leaveLine(state, 'lock', waiter);
    state.freed.add(nameOf(waiter.account, waiter.ask.id));
  }
  for (const name of state.parked) state.freed.add(name);
  state.parked.clear();
}
