/** Durable locks as they stand in the store. The moves themselves are in `lease.ts`, waiting is in `waiting.ts`. */
import type { AccountId } from '../../../protocol/ids.ts';
import type { LockOperation } from '../../../protocol/commands.ts';
import type { PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { kinds } from '../../../protocol/record.ts';
import { lockGraceMs, lockHistoryMs } from '../../../shared/limits.ts';
import type { Entry } from '../../../protocol/entries.ts';
import {
  endLease,
  freeLock,
  grantLease,
  viewLock,
  type Ending,
  type LockRecord,
  type LockView,
} from '../state/lease.ts';
import type { Boot, ShardState } from '../state/state.ts';

export function viewDurableLock(state: ShardState, account: AccountId, id: string, now: number): LockView {
  const entry = state.entries.get(kinds.lock, account, id);
  if (entry === undefined) return freeLock;
  const record = recordOf(entry);
  return viewLock(record, leaseTill(state.boot, entry, record), now);
}

/** A command looks at its lock two or three times: what was parsed last is kept, beside the entry that it came from. */
let lastParsed: { readonly entry: Entry; readonly record: LockRecord } | undefined;

function recordOf(entry: Entry): LockRecord {
  if (lastParsed?.entry !== entry) lastParsed = { entry, record: JSON.parse(entry.value) as LockRecord };
  return lastParsed.record;
}

/**
 * When a lease ends. One that was granted before this start lasts for at least min(LockDur, 10 s) from the start, since
 * nobody could renew it while the server was down, and for at most LockDur, should the wall clock have been set back.
 */
export function leaseTill(boot: Boot, entry: Entry, record: LockRecord): number {
  if (record.lease === undefined || entry.rev > boot.rev) return entry.till;
  const { durMs } = record.lease;
  return Math.min(Math.max(entry.till, boot.at + Math.min(durMs, lockGraceMs)), boot.at + durMs);
}

/** A grant (the handle becomes the commit's revision) or, for the lease's own holder, an extension. */
export function grantEffect(view: LockView, operation: LockOperation, now: number): PendingEffect {
  const record = grantLease(view, operation, 0, now);
  const draft: PendingEffect = {
    kind: kinds.lock,
    key: operation.id,
    till: now + operation.durMs,
    value: JSON.stringify(record),
  };
  return record.lease.handle === 0 ? { ...draft, grants: true } : draft;
}

/** The lock is free from here on, and remembered for a while. */
export function endEffect(id: string, view: LockView, why: Ending, now: number): PendingEffect {
  return { kind: kinds.lock, key: id, till: now + lockHistoryMs, value: JSON.stringify(endLease(view, why, now)) };
}
