/**
 * Expiry. At the start of each turn everything whose time has come ends, in commits of its own. So the commands of that
 * turn find a store without lapsed entries; they treat those beyond `expiryBatchMax` as ended, too.
 */
import { nameOf } from '../../protocol/footprint.ts';
import type { AccountId } from '../../protocol/ids.ts';
import type { Batch } from '../../protocol/operations/operations.ts';
import type { LocatedEntry } from '../../protocol/entries.ts';
import { effectBytesMax, kinds, type Kind } from '../../protocol/record.ts';
import type { PendingEffect } from '../../protocol/wire/shard-messages.ts';
import { assert } from '../../shared/assert.ts';
import {
  deletionsMax,
  expiryBatchMax,
  expiryCommitBytesMax,
  expiryTurnBytesMax,
  sweptPerTurn,
} from '../../shared/limits.ts';
import { executeBatch } from './batch/batch.ts';
import { seal } from './batch/evaluate.ts';
import { beginDeletion, deletionTill } from './operations/account.ts';
import { endEffect, exclusiveTill } from './operations/lock.ts';
import { expireMutex } from './operations/mutex.ts';
import { resources } from './operations/operations.ts';
import { expirePart, expiryStepsMax, isSpent, type ExpiryBudget } from './operations/queue-expiry.ts';
import { expireShared } from './operations/shared-locks.ts';
import { leaveQueue, timeOut } from './operations/waiting.ts';
import { serveQueues } from './serve-queues.ts';
import { viewLock } from './state/lease.ts';
import { decodeLockRecord } from './state/lock-record.ts';
import { commit } from './state/commit.ts';
import { partOfShare } from './state/shared-lease.ts';
import { accountAndKey } from './state/state.ts';
import type { TimerKind } from './state/timers.ts';
import type { Turn } from './state/turn.ts';
import { WriteSet } from './state/write-set.ts';

/** A part of a queue takes as long to end as so many keys: a lease of a group reads what the group has. */
const workOfPart = 4;
/** So does a lease of a lock that several hold: it changes the head of the lock, and its owner's entry. */
const workOfShare = 2;
const workOf: { readonly [of in Kind]?: number } = { [kinds.queue]: workOfPart, [kinds.share]: workOfShare };

/** A consumer whose wait is over looks once more: as much as the ends of so many other waits. */
const workOfConsumer = 4;

/** A wait that has run out while a transaction holds its lock is looked at again this soon. */
const heldRetryMs = 5;

/**
 * Ends lapsed entries of the store. A held entry waits for its transaction; without space to write, all wait.
 *
 * @returns whether there may be more that can end
 */
export function expireEntries(turn: Turn): boolean {
  const { state, now } = turn;
  if (state.entries.nextDeadline() > now) return false;
  if (state.outOfSpace?.space === 'full') {
    for (const { account } of state.entries.due(deletionTill, deletionsMax)) beginDeletion(state, account);
    return false;
  }
  let looked = 0;
  let held = 0;
  let work = 0;
  const byAccount = new Map<AccountId, Ending>();
  const budget: ExpiryBudget = { sweeps: sweptPerTurn, bytes: expiryTurnBytesMax, steps: expiryStepsMax };
  for (const located of state.entries.due(now, expiryBatchMax)) {
    const { account, key } = located;
    if (work >= expiryBatchMax) break;
    looked += 1;
    if (located.kind === kinds.deletion) {
      // After a start, this is how a shard learns of it.
      beginDeletion(state, account);
      continue;
    }
    if (state.holds.conflicts({ names: [nameOf(account, key)] })) {
      held += 1;
      continue;
    }
    work += workOf[located.kind] ?? 1;
    let ending = byAccount.get(account);
    if (ending === undefined) byAccount.set(account, (ending = { effects: [], parts: new WriteSet(), bytes: 0 }));
    if (state.deletions.size > 0 && state.deletions.has(account)) {
      ending.effects.push({ kind: located.kind, key, till: 0 });
      ending.bytes += effectBytesMax({ key });
    } else if (located.kind === kinds.queue) {
      if (isSpent(budget)) continue;
      ending.bytes += expireOfQueue(turn, located, ending.parts, budget);
    } else if (located.kind === kinds.share) {
      ending.bytes += expireOfLock(turn, located, ending.parts);
    } else {
      const effect = expiryEffect(turn, located);
      ending.effects.push(effect);
      ending.bytes += effectBytesMax(effect);
    }
    if (ending.bytes < expiryCommitBytesMax) continue;
    // The record stays below `recordBytesMax` of the smallest segment, also with one more lock of the largest kind.
    commitExpiry(turn, account, ending);
    byAccount.delete(account);
  }
  for (const [account, ending] of byAccount) commitExpiry(turn, account, ending);
  if (isSpent(budget)) return true;
  if (looked > 0 && held === looked) return false;
  // The marks of accounts that are being deleted stay due.
  const isLeft = held === 0 && state.deletions.size === 0 && state.entries.nextDeadline() <= now;
  return looked === expiryBatchMax || work >= expiryBatchMax || isLeft;
}

/**
 * What ends in one commit. Parts of queues, and leases of locks that several hold, depend on each other, so they see what
 * the commit has changed so far.
 */
interface Ending {
  readonly effects: PendingEffect[];
  readonly parts: WriteSet;
  bytes: number;
}

/** @returns the bytes that the commit grows by. A dead message counts four times, since it may be large. */
function expireOfQueue(turn: Turn, located: LocatedEntry, writeSet: WriteSet, budget: ExpiryBudget): number {
  const before = budget.bytes;
  const sweeps = budget.sweeps;
  expirePart(turn, located, { writeSet, budget });
  const row = effectBytesMax({ key: located.key });
  return (4 + sweeps - budget.sweeps) * row + 400 + 4 * (before - budget.bytes);
}

/** @returns the bytes that the commit grows by: of the lease, and of the head or of its owner's entry */
function expireOfLock({ state, now }: Turn, { account, key, entry }: LocatedEntry, writeSet: WriteSet): number {
  const { id, fence } = partOfShare(key);
  assert(fence !== undefined, 'of the entries of kind h only leases end by themselves');
  expireShared({ state, now, account, writeSet }, { id, fence }, entry);
  return 4 * effectBytesMax({ key, value: entry.value });
}

function commitExpiry(turn: Turn, account: AccountId, { effects, parts }: Ending): void {
  const pending = [...effects, ...parts.all()];
  if (pending.length === 0) return;
  for (const effect of pending) turn.state.locks.committed(effect, turn.now, false);
  const rev = turn.out.nextRevision();
  commit(turn, { rev, account, effects: seal(pending, rev, '') });
}

/** Says what happens when a timer of each kind falls due. Each returns its work, where that is more than 1. */
const timerBehaviours: { readonly [Kind in TimerKind]: (turn: Turn, key: string) => number | undefined } = {
  wait(turn, request) {
    const waiter = turn.state.waitQueues.waiterNamed(request);
    assert(waiter !== undefined, 'a request that left its queue has no timer');
    const { kind, account, id, name } = waiter.queue;
    if (kind !== 'mutex' && turn.state.holds.conflicts({ names: [name] })) {
      // A transaction is about to change the thing, and the change may be durable already: the answer must show it.
      waiter.timer = turn.state.timers.set(turn.now + heldRetryMs, 'wait', request);
      return undefined;
    }
    if (kind === 'queue') {
      leaveQueue(turn.state, waiter);
      // Nothing has come, or the head of the line would have got it.
      executeBatch(turn, waiter.ref, waiter.work as Batch);
      turn.state.waitQueues.noteGrantable(kind, account, id);
      return workOfConsumer;
    }
    timeOut(turn, waiter, resources[kind].view(turn.state, account, waiter.operation, turn.now));
    return undefined;
  },
  mutex(turn, key) {
    expireMutex(turn, key);
    return undefined;
  },
  lock({ state }, name) {
    const { account, key } = accountAndKey(name);
    const queue = state.waitQueues.find('lock', account, key);
    assert(queue !== undefined, 'a queue that closed has no timer');
    delete queue.leaseTimer;
    // Without space to write, the lease goes on until its entry can end.
    if (state.outOfSpace?.space !== 'full') state.waitQueues.grantable.add(queue);
    return undefined;
  },
};

/**
 * Ends waits and mutexes, which live in memory. Runs after the entries, so that an expired lock is granted first.
 *
 * @returns whether more are due
 */
export function expireTimers(turn: Turn): boolean {
  const { timers } = turn.state;
  for (let left = expiryBatchMax; left > 0; ) {
    const due = timers.shiftDue(turn.now);
    if (due === undefined) return false;
    left -= timerBehaviours[due.kind](turn, due.key) ?? 1;
    if (due.kind === 'mutex') serveQueues(turn);
  }
  return true;
}

function expiryEffect(turn: Turn, { kind, key, entry }: LocatedEntry): PendingEffect {
  const { state, now } = turn;
  if (kind !== kinds.lock) {
    assert(
      kind !== kinds.sequence && kind !== kinds.boot && kind !== kinds.queue && kind !== kinds.taskState,
      'sequences and boots never expire, queues have moves of their own, and states of tasks fall due',
    );
    return { kind, key, till: 0, expired: true };
  }
  const record = decodeLockRecord(entry.value);
  if (record.mode !== 'exclusive' || record.holders.length === 0) return { kind, key, till: 0, expired: true };
  // A lease from before this start may last longer than its entry says: write the new time down when the old one comes.
  const till = exclusiveTill(state, entry, record);
  if (till > now) return { kind, key, till, value: entry.value };
  const { since } = record.holders[0]!;
  return { ...endEffect(turn, key, viewLock(record, till, now), 'expired'), lease: { change: 'expired', since } };
}
