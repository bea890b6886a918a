/**
 * Expiry. At the start of each turn everything whose time has come ends, in commits of its own. So the commands of that
 * turn find a store without lapsed entries; they treat those beyond `expiryBatchMax` as ended, too.
 */
import { nameOf } from '../../protocol/footprint.ts';
import type { AccountId } from '../../protocol/ids.ts';
import type { LocatedEntry } from '../../protocol/entries.ts';
import { kinds } from '../../protocol/record.ts';
import type { PendingEffect } from '../../protocol/wire/shard-messages.ts';
import { assert } from '../../shared/assert.ts';
import { expiryBatchMax, expiryCommitBytesMax } from '../../shared/limits.ts';
import { seal } from './batch/evaluate.ts';
import { endEffect, leaseTill } from './operations/lock.ts';
import { expireMutex } from './operations/mutex.ts';
import { resources } from './operations/operations.ts';
import { timeOut } from './operations/waiting.ts';
import { serveQueues } from './serve-queues.ts';
import { viewLock } from './state/lease.ts';
import { decodeLockRecord } from './state/lock-record.ts';
import { commit } from './state/commit.ts';
import { accountAndKey } from './state/state.ts';
import type { TimerKind } from './state/timers.ts';
import type { Turn } from './state/turn.ts';

/** A wait that has run out while a transaction holds its lock is looked at again this soon. */
const heldRetryMs = 5;

/** Ends lapsed entries of the store. A held entry waits for its transaction; without space to write, all wait. */
export function expireEntries(turn: Turn): void {
  const { state, now } = turn;
  if (state.outOfSpace?.space === 'full' || state.entries.nextDeadline() > now) return;
  const byAccount = new Map<AccountId, { effects: PendingEffect[]; bytes: number }>();
  for (const located of state.entries.due(now, expiryBatchMax)) {
    const { account, key } = located;
    if (state.holds.conflicts({ names: [nameOf(account, key)] })) continue;
    let ending = byAccount.get(account);
    if (ending === undefined) byAccount.set(account, (ending = { effects: [], bytes: 0 }));
    const effect = expiryEffect(turn, located);
    ending.effects.push(effect);
    ending.bytes += key.length + (effect.value?.length ?? 0);
    if (ending.bytes < expiryCommitBytesMax) continue;
    // A record must fit into a segment of the journal.
    commitExpiry(turn, account, ending.effects);
    byAccount.delete(account);
  }
  for (const [account, { effects }] of byAccount) commitExpiry(turn, account, effects);
}

function commitExpiry(turn: Turn, account: AccountId, pending: readonly PendingEffect[]): void {
  const rev = turn.out.nextRevision();
  commit(turn, { rev, account, effects: seal(pending, rev, '') });
}

/** Says what happens when a timer of each kind falls due. */
const timerBehaviours: { readonly [Kind in TimerKind]: (turn: Turn, key: string) => void } = {
  wait(turn, request) {
    const waiter = turn.state.waitQueues.waiterNamed(request);
    assert(waiter !== undefined, 'a request that left its queue has no timer');
    const { kind, account, id, name } = waiter.queue;
    if (kind === 'lock' && turn.state.holds.conflicts({ names: [name] })) {
      // A transaction is about to change the lock, and the change may be durable already: the answer must show it.
      waiter.timer = turn.state.timers.set(turn.now + heldRetryMs, 'wait', request);
      return;
    }
    timeOut(turn, waiter, resources[kind].view(turn.state, account, id, turn.now));
  },
  mutex: expireMutex,
  lock({ state }, name) {
    const { account, key } = accountAndKey(name);
    state.waitQueues.noteGrantable('lock', account, key);
  },
};

/** Ends waits and mutexes, which live in memory. Runs after the entries, so that an expired lock is granted first. */
export function expireTimers(turn: Turn): void {
  const { timers } = turn.state;
  for (let due = timers.shiftDue(turn.now); due !== undefined; due = timers.shiftDue(turn.now)) {
    timerBehaviours[due.kind](turn, due.key);
    if (due.kind === 'mutex') serveQueues(turn);
  }
}

function expiryEffect({ state, now }: Turn, { kind, key, entry }: LocatedEntry): PendingEffect {
  if (kind !== kinds.lock) {
    assert(kind === kinds.kv || kind === kinds.idempotency, 'only keys, locks and idempotency records expire');
    return { kind, key, till: 0, expired: true };
  }
  const record = decodeLockRecord(entry.value);
  if (record.holders.length === 0) return { kind, key, till: 0, expired: true };
  // A lease from before this start may last longer than its entry says: write the new time down when the old one comes.
  const till = leaseTill(state.boot, entry, record);
  if (till > now) return { kind, key, till, value: entry.value };
  return endEffect(key, viewLock(record, till, now), 'expired', now);
}
