/**
 * One lock as a value, and its state transitions. Durable locks and in-memory mutexes share this file; they differ in
 * where the value is stored and where fences come from.
 *
 *              grant                     release(fence | owner)
 *      free ───────────► held ──────────────────────────────────► free, ended[0] = released
 *                        │  ▲
 *                        │  └─ extend(fence) / grant to the same owner: same fence, later till
 *                        ├─ till passes ────────────────────────► free, ended[0] = expired
 *                        └─ force ──────────────────────────────► free, ended[0] = forced
 *
 * Readers, and holders of permits, are several: `shared-lease.ts` has what they do otherwise.
 *
 * The fence is the fencing token: the revision of the commit that granted the lock, so that it only ever grows. The
 * lock also records how its last leases ended. So a repeated unlock is told "that worked", and a late one "you had lost
 * it": those two must never be confused.
 */
import { lockHistoryMax } from '../../../shared/limits.ts';
import type { LockOperation, UnlockOperation } from '../../../protocol/operations/lock.ts';
import type { Sharing } from '../../../protocol/operations/lock-sharing.ts';

export type Ending = 'released' | 'expired' | 'forced';

export interface EndedLease {
  readonly fence: number;
  readonly why: Ending;
  readonly owner?: string;
  readonly meta?: string;
  /** Wall-clock milliseconds; 0: it is not known, see `SharedHead`. */
  readonly at: number;
  /** It was the lease of a reader or of a permit. */
  readonly shared?: true;
  /** What was given as the reason of a force. */
  readonly reason?: string;
}

export interface Lease {
  readonly fence: number;
  readonly owner?: string;
  /** JSON text. */
  readonly meta?: string;
  readonly since: number;
  readonly durMs: number;
}

/** The content of a lock's entry; `lock-record.ts` has its text. */
export type LockRecord = ExclusiveRecord | SharedHead;

/** The lock is held by one, or free. */
export interface ExclusiveRecord {
  readonly mode: 'exclusive';
  readonly limit: 1;
  /** Empty: the lock is free, and the record is only its history. The entry's `till` says when a lease ends. */
  readonly holders: readonly Lease[];
  /** Newest first, at most `lockHistoryMax`. */
  readonly ended: readonly EndedLease[];
}

/**
 * The lock is held by several, or was lately. Their leases are entries of their own, so that taking and giving back cost
 * the same however many there are.
 */
export interface SharedHead {
  readonly mode: 'read' | 'permits';
  /** Of permits; 0 for readers, who have no limit. */
  readonly limit: number;
  /** How many hold it. */
  readonly count: number;
  /**
   * Leases with this fence or a lower one are over: they ended, or were ended by force all at once. When that was is not
   * written down for them.
   */
  readonly base: number;
  /** Newest first, at most `lockHistoryMax`, and of shared leases the newest only. */
  readonly ended: readonly EndedLease[];
}

export type LockMode = LockRecord['mode'];

/** A lock at one moment. A lease that has run out is part of the history, not the lease. */
export interface LockView {
  readonly lease?: Lease;
  readonly till: number;
  readonly ended: readonly EndedLease[];
  /** Several hold the lock. Then `lease` is the one that was asked for by fence or owner. */
  readonly shared?: SharedHead;
  /** Nobody who does not hold it gets it before this time: see `LockGrace`. */
  readonly closedTill?: number;
}

export const freeLock: LockView = { till: 0, ended: [] };

/** Counts a lease whose time has passed as ended, whether or not its expiry is committed yet. */
export function viewLock({ holders, ended }: ExclusiveRecord, till: number, now: number): LockView {
  const [lease] = holders;
  if (lease === undefined) return { till: 0, ended };
  if (till > now) return { lease, till, ended };
  return { till: 0, ended: pushEnded(ended, lease, 'expired', till) };
}

/** Returns the record after the end of the current lease, if there is one. */
export function endLease(view: LockView, why: Ending, now: number): ExclusiveRecord {
  const ended = view.lease === undefined ? view.ended : pushEnded(view.ended, view.lease, why, now);
  return { ...exclusive, holders: [], ended };
}

/** Adds why the last lease was ended by force, for its holder to be told. */
export function withReason(record: ExclusiveRecord, reason: string): ExclusiveRecord {
  const [last, ...older] = record.ended;
  return last === undefined ? record : { ...record, ended: [{ ...last, reason }, ...older] };
}

/** Whether the lock can be granted to one who does not hold it. */
export function isFree(view: LockView, { read, limit }: Sharing): boolean {
  if (view.lease !== undefined || view.closedTill !== undefined) return false;
  const { shared } = view;
  if (shared === undefined) return true;
  return shared.mode === 'read' ? read === true : shared.limit === limit && shared.count < limit;
}

/** Why the lock is not granted to this request as long as it is held as it is: it does not wait for that. */
export type Misfit = 'limit_mismatch' | 'no_upgrade';

export function misfitOf(view: LockView, { extend, owner, read, limit }: LockOperation): Misfit | undefined {
  const { lease, shared } = view;
  if (extend !== undefined || (lease === undefined && shared === undefined)) return undefined;
  const isOwner = owner !== undefined && lease?.owner === owner;
  if (shared === undefined) {
    if (limit !== undefined) return 'limit_mismatch';
    return read === true && isOwner ? 'no_upgrade' : undefined;
  }
  if (shared.mode === 'permits') return limit === shared.limit ? undefined : 'limit_mismatch';
  if (limit !== undefined) return 'limit_mismatch';
  return read !== true && isOwner ? 'no_upgrade' : undefined;
}

/** Whether a request need not wait: it gets the lock, or is refused. */
export function needNotWait(view: LockView, operation: LockOperation): boolean {
  return isFree(view, operation) || isOwnLease(view, operation) || misfitOf(view, operation) !== undefined;
}

/** Returns whether this operation continues the current lease. */
export function isOwnLease(view: LockView, operation: LockOperation): boolean {
  if (view.lease === undefined) return false;
  if (operation.extend !== undefined) return view.lease.fence === operation.extend;
  if (operation.owner === undefined || view.lease.owner !== operation.owner) return false;
  return misfitOf(view, operation) === undefined;
}

const exclusive = { mode: 'exclusive', limit: 1 } as const;

/** Returns the record after a grant or an extension, and the holder's lease in it. Only a new lease uses `fence`. */
export function grantLease(
  view: LockView,
  operation: LockOperation,
  fence: number,
  now: number,
): { record: ExclusiveRecord; lease: Lease } {
  const lease = nextLease(view, operation, fence, now);
  return { record: { ...exclusive, holders: [lease], ended: view.ended }, lease };
}

/** Returns the holder's lease after a grant or an extension. */
export function nextLease(view: LockView, operation: LockOperation, fence: number, now: number): Lease {
  const own = isOwnLease(view, operation) ? view.lease : undefined;
  const owner = own?.owner ?? operation.owner;
  const meta = operation.meta ?? own?.meta;
  return {
    fence: own?.fence ?? fence,
    ...(owner === undefined ? {} : { owner }),
    ...(meta === undefined ? {} : { meta }),
    since: own?.since ?? now,
    durMs: operation.durMs,
  };
}

/**
 * Returns the previous lease if its holder did not release it. An owner that asks again may have lost the reply, so it
 * is told again; an extension by fence has been told before.
 */
export function leaseToRecover(view: LockView, operation: LockOperation): EndedLease | undefined {
  const last = view.ended[0];
  return operation.extend === undefined && last !== undefined && last.why !== 'released' ? last : undefined;
}

/** `release`: end the lease. `done`: it was released before. `lost`: neither; `ended` says what became of it. */
export type UnlockAnswer =
  | { readonly kind: 'release'; readonly why: 'released' | 'forced' }
  | { readonly kind: 'done' }
  | { readonly kind: 'lost'; readonly ended?: EndedLease };

export function answerUnlock(view: LockView, operation: UnlockOperation): UnlockAnswer {
  if (operation.fence === undefined && operation.owner === undefined) {
    return view.lease === undefined && view.shared === undefined
      ? { kind: 'done' }
      : { kind: 'release', why: 'forced' };
  }
  const matches = (lease: { readonly fence: number; readonly owner?: string }): boolean =>
    operation.fence === undefined ? lease.owner === operation.owner : lease.fence === operation.fence;
  if (view.lease !== undefined && matches(view.lease)) return { kind: 'release', why: 'released' };
  const ended = view.ended.find(matches);
  if (ended?.why === 'released') return { kind: 'done' };
  return ended === undefined ? { kind: 'lost' } : { kind: 'lost', ended };
}

export function pushEnded(history: readonly EndedLease[], lease: Lease, why: Ending, at: number): EndedLease[] {
  const { fence, owner, meta } = lease;
  // Only the next holder needs the meta, to recover: older ones are dropped.
  const older = history.slice(0, lockHistoryMax - 1);
  for (let i = 0; i < older.length; i += 1) if (older[i]!.meta !== undefined) older[i] = withoutMeta(older[i]!);
  const newest: EndedLease = {
    fence,
    why,
    ...(owner === undefined ? {} : { owner }),
    ...(meta === undefined || why === 'released' ? {} : { meta }),
    at,
  };
  older.unshift(newest);
  return older;
}

function withoutMeta({ fence, why, owner, at, reason, shared }: EndedLease): EndedLease {
  const said = reason === undefined ? {} : { reason };
  const of = shared === undefined ? {} : { shared };
  return { fence, why, ...(owner === undefined ? {} : { owner }), at, ...said, ...of };
}
