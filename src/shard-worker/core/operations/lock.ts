/**
 * Durable locks: how they are read from the store, what a batch does with them, and how clients inspect them. The state
 * transitions are in `state/lease.ts`, waiting is in `waiting.ts`.
 */
import type { Entry } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { LockInspect, LockList, LockOperation, LockResult } from '../../../protocol/operations/lock.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import { kinds } from '../../../protocol/record.ts';
import { isLost } from '../../../protocol/restored.ts';
import { failureReply, type Grant } from '../../../protocol/replies.ts';
import type { PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { lockHistoryMs } from '../../../shared/limits.ts';
import {
  answerUnlock,
  endLease,
  freeLock,
  grantLease,
  isFree,
  isOwnLease,
  leaseToRecover,
  misfitOf,
  viewLock,
  withReason,
  type Ending,
  type ExclusiveRecord,
  type LockView,
} from '../state/lease.ts';
import { leaseEnd } from '../state/lock-counts.ts';
import { decodeLockRecord, encodeLockRecord } from '../state/lock-record.ts';
import type { RequestRef } from '../state/outbox.ts';
import { sharedInfo } from '../state/shared-lease.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';
import { leaseMembers } from './lease-members.ts';
import { leaseTill } from './lease-till.ts';
import { pageOfEntries } from './list.ts';
import { doesNotFit, heldByOther, holderInfo, lockLost, type LostLease } from './lock-failures.ts';
import { findShared, putShared, putSharedEnd, putSharedForce, type NamedLease } from './shared-locks.ts';

type Changing = Pick<Turn, 'state' | 'now'>;

/** Returns the lock as a request finds it that names a lease of it, its own or the one that it asks for. */
export function viewDurableLock(state: ShardState, account: AccountId, named: NamedLease, now: number): LockView {
  const view = viewStoredLock(state, account, named, now);
  if (state.lockGrace === undefined || view.lease !== undefined) return view;
  const closedTill = state.lockGrace.till(account, named.id, now);
  return closedTill === 0 ? view : { ...view, closedTill };
}

function viewStoredLock(state: ShardState, account: AccountId, named: NamedLease, now: number): LockView {
  const { id } = named;
  const entry = state.entries.get(kinds.lock, account, id);
  if (entry === undefined) return freeLock;
  const record = state.parsedLocks.of(account, id, entry);
  if (record.mode === 'exclusive') return viewLock(record, exclusiveTill(state, entry, record), now);
  const { ended, count } = record;
  if (count === 0) return { till: 0, ended };
  const found = findShared(state, account, named, { head: record, now });
  if (found?.lease === undefined) return { till: 0, ended, shared: record };
  return { lease: found.lease, till: found.till, ended, shared: record };
}

/** Returns when the lease of a lock ends that one holds. */
export function exclusiveTill({ boot }: Pick<ShardState, 'boot'>, entry: Entry, { holders }: ExclusiveRecord): number {
  const [lease] = holders;
  return lease === undefined ? entry.till : leaseTill(boot, entry, lease.durMs);
}

const granted = { change: 'granted' } as const;
const extended = { change: 'extended' } as const;

/** Returns the effect of a grant, whose fence becomes the commit's revision, or of an extension by the holder. */
export function grantEffect({ state, now }: Changing, view: LockView, operation: LockOperation): PendingEffect {
  const { record, lease } = grantLease(view, operation, 0, now);
  const { id: key, durMs } = operation;
  const value = encodeLockRecord(record);
  state.parsedLocks.made(value, record);
  const effect = { kind: kinds.lock, key, till: now + durMs, value };
  if (lease.fence === 0) return { ...effect, grants: true, lease: granted };
  return { ...effect, lease: extended };
}

/** Returns the effect that frees the lock; its history is kept for `lockHistoryMs`. */
export function endEffect(turn: Changing, id: string, view: LockView, why: Ending): PendingEffect {
  return { ...freedEffect(turn, id, endLease(view, why, turn.now)), lease: leaseEnd(why, view) };
}

function forcedEffect(turn: Changing, id: string, view: LockView, reason: string): PendingEffect {
  const record = withReason(endLease(view, 'forced', turn.now), reason);
  return { ...freedEffect(turn, id, record), lease: leaseEnd('forced', view) };
}

function freedEffect({ state, now }: Changing, id: string, record: ExclusiveRecord): PendingEffect {
  const value = encodeLockRecord(record);
  state.parsedLocks.made(value, record);
  return { kind: kinds.lock, key: id, till: now + lockHistoryMs, value };
}

export const guardBehaviour: SectionBehaviour<'guard'> = {
  check(evaluation, operation) {
    const view = viewOf(evaluation, operation);
    if (view.lease?.fence === operation.fence) return;
    evaluation.fail(lockLost('guard with', operation, view, endOf(evaluation, operation, view)));
  },
};

export const unlockBehaviour: SectionBehaviour<'unlock'> = {
  check(evaluation, operation) {
    const view = viewOf(evaluation, operation);
    if (operation.fence === undefined && operation.owner === undefined) return;
    if (answerUnlock(view, operation).kind === 'release') return;
    const ended = endOf(evaluation, operation, view);
    if (ended?.why !== 'released') evaluation.fail(lockLost('unlock', operation, view, ended));
  },
  evaluate(evaluation, operation) {
    const view = viewOf(evaluation, operation);
    const answer = answerUnlock(view, operation);
    if (answer.kind === 'release') putEnd(evaluation, operation.id, view, answer.why);
    return undefined;
  },
};

/** Of several locks each is given back, or guarded, or taken as one alone. */
export const unlocksBehaviour: SectionBehaviour<'unlocks'> = unlockBehaviour;

function putEnd(evaluation: BatchEvaluation, id: string, view: LockView, why: 'released' | 'forced'): void {
  const { writeSet, batch } = evaluation;
  if (view.shared === undefined) {
    const reason = why === 'forced' ? batch.audit?.reason : undefined;
    writeSet.put(
      reason === undefined ? endEffect(evaluation, id, view, why) : forcedEffect(evaluation, id, view, reason),
    );
  } else if (why === 'forced') putSharedForce(evaluation, id, view.shared);
  else putSharedEnd(evaluation, id, view.lease!, { why, at: evaluation.now });
}

export const lockBehaviour: SectionBehaviour<'lock'> = {
  check(evaluation, operation) {
    const view = viewOf(evaluation, operation);
    if (isOwnLease(view, operation)) return;
    const { id, extend, waitMs } = operation;
    if (extend !== undefined) {
      const became = endOf(evaluation, { id, fence: extend }, view);
      evaluation.fail(lockLost('extend', { id, fence: extend }, view, became), 'Unlock');
      return;
    }
    const misfit = misfitOf(view, operation);
    if (misfit !== undefined) evaluation.fail(doesNotFit(operation, view, misfit));
    // Only a batch over several shards gets here: its own lease has ended, and another owner holds the lock now.
    else if (!isFree(view, operation))
      evaluation.fail(heldByOther(id, view, { waiters: 0, waitMs, now: evaluation.now }));
  },
  evaluate(evaluation, operation) {
    const { now, writeSet } = evaluation;
    const view = viewOf(evaluation, operation);
    const isShared = view.shared !== undefined || operation.read !== undefined || operation.limit !== undefined;
    let free: number | undefined;
    if (isShared) free = putShared(evaluation, view, operation);
    else writeSet.put(grantEffect(evaluation, view, operation));
    const fence = isOwnLease(view, operation) ? view.lease!.fence : 0;
    const recover = leaseToRecover(view, operation);
    const till = now + operation.durMs;
    if (recover === undefined) return free === undefined ? { fence, till } : { fence, till, free };
    const { meta, why } = recover;
    const recovered = { fence: recover.fence, why, ...(meta === undefined ? {} : { meta }) };
    return { fence, till, ...(free === undefined ? {} : { free }), recover: recovered };
  },
  members: leaseOf,
};

export const locksBehaviour: SectionBehaviour<'locks'> = {
  check: (evaluation, operation) => lockBehaviour.check!(evaluation, operation),
  evaluate: (evaluation, operation) => lockBehaviour.evaluate(evaluation, operation),
  members: setOf,
};

/** What became of a lease: as the lock remembers it, or the lease's own entry does, or lost in a restore. */
function endOf(
  {
    state,
    batch: { account },
    now,
  }: Pick<BatchEvaluation, 'state' | 'now'> & { readonly batch: Pick<Batch, 'account'> },
  named: NamedLease,
  view: LockView,
): LostLease | undefined {
  const { fence, owner } = named;
  const remembered = view.ended.find((lease) => (fence === undefined ? lease.owner === owner : lease.fence === fence));
  const found = findShared(state, account, named, { head: view.shared, now });
  const share = found?.lease === undefined ? found?.ended : undefined;
  // An owner may have had the lock more than once: its last lease counts.
  if (remembered !== undefined && (share === undefined || share.fence <= remembered.fence)) return remembered;
  if (share !== undefined) return share;
  return fence !== undefined && isLost(state.boot.restored, fence) ? { why: 'restored' } : undefined;
}

function viewOf({ state, batch, now }: BatchEvaluation, named: NamedLease): LockView {
  return viewDurableLock(state, batch.account, named, now);
}

function leaseOf({ results, rev, now }: Answered): string {
  const { fence } = results.lock!;
  return leaseMembers(results.lock!, fence || rev, now, fence !== 0);
}

/** One lease of all of them, as long as the shortest. */
function setOf({ asked, results, rev, now }: Answered): string {
  const locks = results.locks!.map((result) => result!);
  const { fence } = locks[0]!;
  const till = Math.min(...locks.map((lock) => lock.till));
  const lost = locks.flatMap(({ recover }, i) =>
    recover === undefined ? [] : [recoverOf(asked.locks![i]!.id, recover)],
  );
  const text = leaseMembers({ fence, till }, fence || rev, now, fence !== 0);
  return lost.length === 0 ? text : `${text}"Recover":[${lost.join(',')}],`;
}

function recoverOf(id: string, { fence, meta, why }: NonNullable<LockResult['recover']>): string {
  const told = meta === undefined ? '' : `"Meta":${meta},`;
  return `{"LockID":${JSON.stringify(id)},"Lock":${fence},${told}"Why":"${why}"}`;
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
  if (batch.idempotency !== undefined) return undefined;
  if (results.locks !== undefined) return grantOfSet(batch, { results, rev }, waited);
  if (results.lock?.fence !== 0) return undefined;
  return { account: batch.account, id: batch.lock!.id, fence: rev, mutex: false, version: rev, waited };
}

/** A chain of grants: each lock is returned to its own shard. */
function grantOfSet(
  { account, locks }: Batch,
  { results, rev }: Pick<Answered, 'results' | 'rev'>,
  waited: boolean,
): Grant | undefined {
  if (results.locks![0]?.fence !== 0) return undefined;
  return locks!.reduce<Grant | undefined>((also, { id }) => {
    const grant = { account, id, fence: rev, mutex: false, version: rev, waited };
    return also === undefined ? grant : { ...grant, also };
  }, undefined);
}

export function inspectLock(turn: Turn, ref: RequestRef, { account, id, fence }: LockInspect): void {
  const { state, now, out } = turn;
  const rev = readRevision(state);
  const named = { id, ...(fence === undefined ? {} : { fence }) };
  const view = viewDurableLock(state, account, named, now);
  if (fence !== undefined && view.lease?.fence !== fence) {
    const became = endOf({ state, batch: { account }, now }, named, view);
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
    const holder =
      record.mode === 'exclusive'
        ? holderInfo(viewLock(record, exclusiveTill(state, entry, record), now))
        : record.count === 0
          ? undefined
          : sharedInfo(record);
    if (holder === undefined) return undefined;
    return JSON.stringify({ LockID: key, ...holder, Waiters: state.waitQueues.length('lock', account, key) });
  });
}
