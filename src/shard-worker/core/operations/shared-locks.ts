/** Locks that several hold, in the store: how their leases are found, and what is written when they come and go. */
import type { Entry } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { LockOperation } from '../../../protocol/operations/lock.ts';
import { kinds } from '../../../protocol/record.ts';
import { lockHistoryMs, shareHistoryMs } from '../../../shared/limits.ts';
import {
  isOwnLease,
  nextLease,
  type EndedLease,
  type Ending,
  type Lease,
  type LockRecord,
  type LockView,
  type SharedHead,
} from '../state/lease.ts';
import { decodeLockRecord, encodeLockRecord, openFence } from '../state/lock-record.ts';
import {
  decodeLease,
  encodeEndedLease,
  encodeLease,
  isCounted,
  joinHead,
  leaseKey,
  leaveHead,
  openLeaseKey,
  ownerKey,
} from '../state/shared-lease.ts';
import type { ShardState } from '../state/state.ts';
import type { WriteSet } from '../state/write-set.ts';
import { leaseTill } from './lease-till.ts';

/** A lease as a request names it: by its fence, or by its owner. With neither, no lease is meant. */
export interface NamedLease {
  readonly id: string;
  readonly fence?: number;
  readonly extend?: number;
  readonly owner?: string;
}

/** A lease that lasts, or how it ended. */
export type FoundLease =
  | { readonly lease: Lease; readonly till: number }
  | { readonly lease?: undefined; readonly ended: EndedLease };

type Where = Pick<ShardState, 'entries' | 'boot'>;

/** @param head the lock's record, if it has one */
export function findShared(
  state: Where,
  account: AccountId,
  named: NamedLease,
  { head, now }: { readonly head: LockRecord | undefined; readonly now: number },
): FoundLease | undefined {
  const { id } = named;
  const fence = named.fence ?? named.extend ?? fenceOf(state, account, named);
  const entry = fence === undefined ? undefined : state.entries.get(kinds.share, account, leaseKey(id, fence));
  if (entry === undefined) return undefined;
  const { lease, ended } = decodeLease(fence!, entry.value);
  if (ended !== undefined) return { ended };
  const { owner, durMs } = lease;
  if (!isCounted(head, fence!)) return { ended: endedOf(lease, 'forced', 0) };
  const till = leaseTill(state.boot, entry, durMs);
  if (till > now) return { lease, till };
  return { ended: { fence: fence!, why: 'expired', owner: owner!, at: till, shared: true } };
}

function fenceOf({ entries }: Where, account: AccountId, { id, owner }: NamedLease): number | undefined {
  const entry = owner === undefined ? undefined : entries.get(kinds.share, account, ownerKey(id, owner));
  return entry === undefined ? undefined : Number(entry.value);
}

function endedOf({ fence, owner }: Lease, why: Ending, at: number): EndedLease {
  return { fence, why, owner: owner!, at, shared: true };
}

interface Changing {
  readonly state: ShardState;
  readonly account: AccountId;
  readonly now: number;
  readonly writeSet: WriteSet;
}

/** Puts a share of the lock into the write set, or the extension of one. @returns the permits that are left, if any */
export function putShared(
  { state, now, writeSet }: Changing,
  view: LockView,
  operation: LockOperation,
): number | undefined {
  const { id, durMs } = operation;
  const { shared } = view;
  const lease = nextLease(view, operation, 0, now);
  // The extension of a lease that is over: its condition has failed.
  if (lease.owner === undefined) return undefined;
  const kind = kinds.share;
  const value = encodeLease(lease);
  const till = now + durMs;
  if (isOwnLease(view, operation)) {
    writeSet.put({ kind, key: leaseKey(id, lease.fence), till, value, lease: { change: 'extended' } });
    return freeIn(shared!);
  }
  const head = joinHead(shared, view.ended, operation, state.lastRev);
  putHead(state, writeSet, { id, head, till: 0 });
  writeSet.put({ kind, ...openLeaseKey(id), till, value, lease: { change: 'granted' } });
  writeSet.put({ kind, key: ownerKey(id, lease.owner), till: 0, value: openFence, grants: true });
  return freeIn(head);
}

function freeIn({ mode, limit, count }: SharedHead): number | undefined {
  return mode === 'permits' ? limit - count : undefined;
}

/** Puts the end of a lease into the write set, which may have other changes of the same lock. */
export function putSharedEnd(changing: Changing, id: string, lease: Lease, end: { why: Ending; at: number }): void {
  const { state, now, writeSet } = changing;
  const head = headOf(changing, id);
  const counted = head !== undefined && isCounted(head, lease.fence);
  if (counted) {
    const left = leaveHead(head, lease, end.why, end.at);
    putHead(state, writeSet, { id, head: left, till: left.count === 0 ? now + lockHistoryMs : 0 });
  }
  const value = encodeEndedLease(lease, end.why, end.at);
  const effect = { kind: kinds.share, key: leaseKey(id, lease.fence), till: now + shareHistoryMs, value };
  // One that was ended by force was counted then.
  writeSet.put(counted ? { ...effect, lease: { change: end.why, since: lease.since } } : effect);
}

/** Ends all leases at once. What they were is looked up when somebody asks. */
export function putSharedForce({ state, now, writeSet }: Changing, id: string, shared: SharedHead): void {
  const head = { ...shared, count: 0, base: state.lastRev };
  putHead(state, writeSet, { id, head, till: now + lockHistoryMs, ends: 'forced' });
}

/** The time of a lease, or of its memory, has come. */
export function expireShared(changing: Changing, { id, fence }: { id: string; fence: number }, entry: Entry): void {
  const { state, account, now, writeSet } = changing;
  const key = leaseKey(id, fence);
  const { lease, ended } = decodeLease(fence, entry.value);
  if (ended !== undefined) {
    writeSet.put({ kind: kinds.share, key, till: 0, expired: true });
    const owner = ownerKey(id, lease.owner!);
    // The owner may have taken the lock again since.
    if (state.entries.get(kinds.share, account, owner)?.value === String(fence))
      writeSet.put({ kind: kinds.share, key: owner, till: 0, expired: true });
    return;
  }
  const till = leaseTill(state.boot, entry, lease.durMs);
  if (till > now) return writeSet.put({ kind: kinds.share, key, till, value: entry.value });
  const counted = isCounted(headOf(changing, id), fence);
  putSharedEnd(changing, id, lease, counted ? { why: 'expired', at: till } : { why: 'forced', at: 0 });
}

/** The head as this commit leaves it so far. */
function headOf({ state, account, writeSet }: Changing, id: string): SharedHead | undefined {
  const changed = writeSet.find(kinds.lock, id)?.value;
  const entry = state.entries.get(kinds.lock, account, id);
  const record = changed !== undefined ? decodeLockRecord(changed) : entry && state.parsedLocks.of(account, id, entry);
  return record === undefined || record.mode === 'exclusive' ? undefined : record;
}

function putHead(
  { parsedLocks }: ShardState,
  writeSet: WriteSet,
  {
    id,
    head,
    till,
    ends,
  }: { readonly id: string; readonly head: SharedHead; readonly till: number; readonly ends?: 'forced' },
): void {
  const value = encodeLockRecord(head);
  parsedLocks.made(value, head);
  const effect = { kind: kinds.lock, key: id, till, value };
  writeSet.put(ends === undefined ? effect : { ...effect, lease: { change: ends } });
}
