/**
 * Durable locks: how they are read from the store, what a batch does with them, and how clients inspect them. The state
 * transitions are in `state/lease.ts`, waiting is in `waiting.ts`.
 */
import type { Entry } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { LockInspect, LockList, LockOperation } from '../../../protocol/operations/lock.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import { kinds } from '../../../protocol/record.ts';
import { isLost } from '../../../protocol/restored.ts';
import { failureReply, type Grant } from '../../../protocol/replies.ts';
import type { PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { lockGraceMs, lockHistoryMs } from '../../../shared/limits.ts';
import {
  answerUnlock,
  endLease,
  freeLock,
  grantLease,
  isFree,
  isOwnLease,
  leaseToRecover,
  viewLock,
  withReason,
  type EndedLease,
  type Ending,
  type LockView,
  type LockRecord,
} from '../state/lease.ts';
import { decodeLockRecord, encodeLockRecord } from '../state/lock-record.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision, type Boot, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';
import { leaseMembers } from './lease-members.ts';
import { pageOfEntries } from './list.ts';
import { heldByOther, holderInfo, lockLost, type LostLease } from './lock-failures.ts';

type Changing = Pick<Turn, 'state' | 'now'>;

export function viewDurableLock(state: ShardState, account: AccountId, id: string, now: number): LockView {
  const view = viewStoredLock(state, account, id, now);
  if (state.lockGrace === undefined || view.lease !== undefined) return view;
  const closedTill = state.lockGrace.till(account, id, now);
  return closedTill === 0 ? view : { ...view, closedTill };
}

function viewStoredLock(state: ShardState, account: AccountId, id: string, now: number): LockView {
  const entry = state.entries.get(kinds.lock, account, id);
  if (entry === undefined) return freeLock;
  const record = state.parsedLocks.of(account, id, entry);
  return viewLock(record, leaseTill(state.boot, entry, record), now);
}

/**
 * Returns when a lease ends. A lease granted before this start lasts at least min(LockDur, 10 s) from the start, since
 * nobody could renew it while the server was down. It lasts at most LockDur, in case the wall clock was set back.
 */
export function leaseTill(boot: Boot, entry: Entry, record: LockRecord): number {
  const [lease] = record.holders;
  if (lease === undefined || entry.rev > boot.rev) return entry.till;
  const { durMs } = lease;
  return Math.min(Math.max(entry.till, boot.at + Math.min(durMs, lockGraceMs)), boot.at + durMs);
}

/** Returns the effect of a grant, whose fence becomes the commit's revision, or of an extension by the holder. */
export function grantEffect({ state, now }: Changing, view: LockView, operation: LockOperation): PendingEffect {
  const { record, lease } = grantLease(view, operation, 0, now);
  const { id: key, durMs } = operation;
  const value = encodeLockRecord(record);
  state.parsedLocks.made(value, record);
  const effect = { kind: kinds.lock, key, till: now + durMs, value };
  return lease.fence === 0 ? { ...effect, grants: true } : effect;
}

/** Returns the effect that frees the lock; its history is kept for `lockHistoryMs`. */
export function endEffect(turn: Changing, id: string, view: LockView, why: Ending): PendingEffect {
  return freedEffect(turn, id, endLease(view, why, turn.now));
}

function forcedEffect(turn: Changing, id: string, view: LockView, reason: string): PendingEffect {
  return freedEffect(turn, id, withReason(endLease(view, 'forced', turn.now), reason));
}

function freedEffect({ state, now }: Changing, id: string, record: LockRecord): PendingEffect {
  const value = encodeLockRecord(record);
  state.parsedLocks.made(value, record);
  return { kind: kinds.lock, key: id, till: now + lockHistoryMs, value };
}

export const guardBehaviour: SectionBehaviour<'guard'> = {
  check(evaluation, { id, fence }) {
    const view = viewOf(evaluation, id);
    if (view.lease?.fence === fence) return;
    const ended = view.ended.find((lease) => lease.fence === fence);
    evaluation.fail(lockLost('guard with', { id, fence }, view, endedOf(evaluation, fence, ended)));
  },
};

export const unlockBehaviour: SectionBehaviour<'unlock'> = {
  check(evaluation, operation) {
    const view = viewOf(evaluation, operation.id);
    const answer = answerUnlock(view, operation);
    if (answer.kind === 'lost')
      evaluation.fail(lockLost('unlock', operation, view, endedOf(evaluation, operation.fence, answer.ended)));
  },
  evaluate(evaluation, operation) {
    const view = viewOf(evaluation, operation.id);
    const answer = answerUnlock(view, operation);
    if (answer.kind !== 'release') return undefined;
    const { writeSet, batch } = evaluation;
    if (answer.why === 'forced' && batch.audit?.reason !== undefined)
      writeSet.put(forcedEffect(evaluation, operation.id, view, batch.audit.reason));
    else writeSet.put(endEffect(evaluation, operation.id, view, answer.why));
    return undefined;
  },
};

export const lockBehaviour: SectionBehaviour<'lock'> = {
  check(evaluation, operation) {
    const view = viewOf(evaluation, operation.id);
    if (isOwnLease(view, operation)) return;
    if (operation.extend !== undefined) {
      const ended = view.ended.find((lease) => lease.fence === operation.extend);
      const became = endedOf(evaluation, operation.extend, ended);
      evaluation.fail(lockLost('extend', { id: operation.id, fence: operation.extend }, view, became), 'Unlock');
    } else if (!isFree(view)) {
      // Only a batch over several shards gets here: its own lease has ended, and another owner holds the lock now.
      evaluation.fail(heldByOther(operation.id, view, { waiters: 0, waitMs: operation.waitMs, now: evaluation.now }));
    }
  },
  evaluate(evaluation, operation) {
    const { now, writeSet } = evaluation;
    const view = viewOf(evaluation, operation.id);
    writeSet.put(grantEffect(evaluation, view, operation));
    const fence = isOwnLease(view, operation) ? view.lease!.fence : 0;
    const recover = leaseToRecover(view, operation);
    const till = now + operation.durMs;
    if (recover === undefined) return { fence, till };
    const { meta } = recover;
    return {
      fence,
      till,
      recover: { fence: recover.fence, why: recover.why, ...(meta === undefined ? {} : { meta }) },
    };
  },
  members: leaseOf,
};

/** What became of a lease: as the lock remembers it, or lost in a restore. */
function endedOf(
  { state }: BatchEvaluation,
  fence: number | undefined,
  ended: EndedLease | undefined,
): LostLease | undefined {
  return ended ?? (fence === undefined ? undefined : lostIn(state, fence));
}

function lostIn({ boot }: ShardState, fence: number): LostLease | undefined {
  return isLost(boot.restored, fence) ? { why: 'restored' } : undefined;
}

function viewOf({ state, batch, now }: BatchEvaluation, id: string): LockView {
  return viewDurableLock(state, batch.account, id, now);
}

function leaseOf({ results, rev, now }: Answered): string {
  const { fence } = results.lock!;
  return leaseMembers(results.lock!, fence || rev, now, fence !== 0);
}

export const lockFormats = {
  'lock.acquire': { members: leaseOf },
  'lock.release': { members: () => '' },
} satisfies Record<string, FormatBehaviour>;

/**
 * Returns the grant in the reply to a batch, which is returned if the client has disconnected. Two cases are no grant:
 * an extension had the lock before, and a retry under an idempotency id gets the lock from the stored reply.
 */
export function grantOf(batch: Batch, { results, rev }: Answered, waited: boolean): Grant | undefined {
  if (results.lock?.fence !== 0 || batch.idempotency !== undefined) return undefined;
  return { account: batch.account, id: batch.lock!.id, fence: rev, mutex: false, version: rev, waited };
}

export function inspectLock({ state, now, out }: Turn, ref: RequestRef, { account, id, fence }: LockInspect): void {
  const rev = readRevision(state);
  const view = viewDurableLock(state, account, id, now);
  if (fence !== undefined && view.lease?.fence !== fence) {
    const ended = view.ended.find((lease) => lease.fence === fence);
    const became = ended ?? lostIn(state, fence);
    return out.reply(ref, failureReply(rev, lockLost('guard with', { id, fence }, view, became)));
  }
  const holder = holderInfo(view);
  const Waiters = state.waitQueues.length('lock', account, id);
  const body = JSON.stringify({ Locked: holder !== undefined, ...holder, Waiters, Rev: rev });
  out.reply(ref, { rev, outcome: 'ok', body });
}

export function listLocks({ state, now }: Turn, command: LockList): Page {
  return pageOfEntries(state, kinds.lock, command, ({ account, key, entry }) => {
    const record = decodeLockRecord(entry.value);
    const holder = holderInfo(viewLock(record, leaseTill(state.boot, entry, record), now));
    if (holder === undefined) return undefined;
    return JSON.stringify({ LockID: key, ...holder, Waiters: state.waitQueues.length('lock', account, key) });
  });
}
