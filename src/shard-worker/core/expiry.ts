/**
 * Time passing. At the start of each turn everything whose time has come ends, in commits of its own, so that commands
 * of that turn find a store without lapsed entries (and treat those beyond `expiryBatchMax` as gone all the same).
 */
import { nameOf } from '../../protocol/footprint.ts';
import type { AccountId } from '../../protocol/ids.ts';
import { kinds, type Effect } from '../../protocol/record.ts';
import { assert } from '../../shared/assert.ts';
import { expiryBatchMax, expiryCommitBytesMax } from '../../shared/limits.ts';
import { noteGrantable } from './batch/batch.ts';
import type { LocatedEntry } from '../../protocol/entries.ts';
import { viewLock, type LockRecord } from './state/lease.ts';
import { endEffect, leaseTill, viewDurableLock } from './operations/lock.ts';
import { expireMutex, viewMutex } from './operations/mutex.ts';
import type { Outbox } from './state/outbox.ts';
import { commit, type ShardState } from './state/state.ts';
import { familyOf, timeOut } from './operations/waiting.ts';

/** Ends entries of the store. An entry under a hold waits for the transaction; with no room to write, all wait. */
export function expireEntries(state: ShardState, now: number, out: Outbox): void {
  if (state.outOfSpace?.room === 'full' || state.entries.nextDeadline() > now) return;
  const byAccount = new Map<AccountId, { effects: Effect[]; bytes: number }>();
  for (const located of state.entries.due(now, expiryBatchMax)) {
    const { account, key } = located;
    if (state.holds.conflicts({ names: [nameOf(account, key)] })) continue;
    let commitOfAccount = byAccount.get(account);
    if (commitOfAccount === undefined) byAccount.set(account, (commitOfAccount = { effects: [], bytes: 0 }));
    const effect = expiryEffect(state, located, now);
    commitOfAccount.effects.push(effect);
    commitOfAccount.bytes += key.length + (effect.value?.length ?? 0);
    if (commitOfAccount.bytes < expiryCommitBytesMax) continue;
    // A record must fit into a segment of the journal.
    commitExpiry(state, account, commitOfAccount.effects, out);
    byAccount.delete(account);
  }
  for (const [account, { effects }] of byAccount) commitExpiry(state, account, effects, out);
}

function commitExpiry(state: ShardState, account: AccountId, effects: readonly Effect[], out: Outbox): void {
  const record = { rev: out.nextRevision(), account, effects };
  commit(state, record, out);
  noteGrantable(state, record);
}

/** Ends what lives in memory only: waits and mutexes. Served after the entries, so that a lock that just expired is granted first. */
export function expireDeadlines(state: ShardState, now: number, out: Outbox): void {
  for (let item = state.deadlines.shiftDue(now); item !== undefined; item = state.deadlines.shiftDue(now)) {
    if (item.kind === 'mutex') {
      expireMutex(state, item.account, item.id, now, out);
      continue;
    }
    if (item.kind === 'lock') {
      state.grantable.add(nameOf(item.account, item.id));
      continue;
    }
    const { waiter } = item;
    const view =
      familyOf(waiter) === 'lock'
        ? viewDurableLock(state, waiter.account, waiter.operation.id, now)
        : viewMutex(state, waiter.account, waiter.operation.id, now);
    timeOut(state, waiter, view, out);
    if (familyOf(waiter) === 'lock') state.grantable.add(nameOf(waiter.account, waiter.operation.id));
  }
}

function expiryEffect(state: ShardState, { kind, key, entry }: LocatedEntry, now: number): Effect {
  if (kind !== kinds.lock) {
    assert(kind === kinds.kv || kind === kinds.idempotency, 'only keys, locks and idempotency records expire');
    return { kind, key, till: 0, expired: true };
  }
  const record = JSON.parse(entry.value) as LockRecord;
  if (record.lease === undefined) return { kind, key, till: 0, expired: true };
  // A lease from before this start may have its time extended: it is written down when the old time comes.
  const till = leaseTill(state.boot, entry, record);
  if (till > now) return { kind, key, till, value: entry.value };
  return endEffect(key, viewLock(record, till, now), 'expired', now);
}
