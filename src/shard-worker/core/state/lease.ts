/**
 * One lock, as a value, and the moves it can make. Durable locks and in-memory mutexes share this file; they differ in
 * where the value is kept and where fences come from.
 *
 *              grant                     release(fence | owner)
 *      free ───────────► held ──────────────────────────────────► free, ended[0] = released
 *                        │  ▲
 *                        │  └─ extend(fence) / grant to the same owner: same fence, later till
 *                        ├─ till passes ────────────────────────► free, ended[0] = expired
 *                        └─ force ──────────────────────────────► free, ended[0] = forced
 *
 * The fence is the fencing token: the revision of the commit that granted the lock, so that it only ever grows. How
 * the last leases ended is kept with the lock, which lets a repeated unlock be told "that worked" and a late one "you
 * had lost it": those two must never be confused.
 */
import { lockHistoryMax } from '../../../shared/limits.ts';
import type { LockOperation, UnlockOperation } from '../../../protocol/operations/lock.ts';

export type Ending = 'released' | 'expired' | 'forced';

export interface EndedLease {
  readonly fence: number;
  readonly why: Ending;
  readonly owner?: string;
  readonly meta?: string;
  /** Wall-clock milliseconds. */
  readonly at: number;
}

export interface Lease {
  readonly fence: number;
  readonly owner?: string;
  /** JSON text. */
  readonly meta?: string;
  readonly since: number;
  readonly durMs: number;
}

/** What a lock's entry holds; `lock-record.ts` has its text. */
export interface LockRecord {
  readonly mode: LockMode;
  readonly limit: number;
  /** Empty: the lock is free and this is only its memory. When a lease ends is the entry's `till`. */
  readonly holders: readonly Lease[];
  /** Newest first, at most `lockHistoryMax`. */
  readonly ended: readonly EndedLease[];
}

export type LockMode = 'exclusive';

/** A lock as it stands at one moment: its lease, if that has not run out, and its history with the one that has. */
export interface LockView {
  readonly lease?: Lease;
  readonly till: number;
  readonly ended: readonly EndedLease[];
}

export const freeLock: LockView = { till: 0, ended: [] };

/** A lease whose time has passed counts as ended, whether or not its expiry was committed yet. */
export function viewLock({ holders, ended }: LockRecord, till: number, now: number): LockView {
  const [lease] = holders;
  if (lease === undefined) return { till: 0, ended };
  if (till > now) return { lease, till, ended };
  return { till: 0, ended: pushEnded(ended, lease, 'expired', till) };
}

/** The record after the current lease, if there is one, has ended. */
export function endLease(view: LockView, why: Ending, now: number): LockRecord {
  const ended = view.lease === undefined ? view.ended : pushEnded(view.ended, view.lease, why, now);
  return { ...exclusive, holders: [], ended };
}

/** Whether this operation continues the lease that is held. */
export function isOwnLease(view: LockView, operation: LockOperation): boolean {
  if (view.lease === undefined) return false;
  if (operation.extend !== undefined) return view.lease.fence === operation.extend;
  return operation.owner !== undefined && view.lease.owner === operation.owner;
}

const exclusive = { mode: 'exclusive', limit: 1 } as const;

/** The record after a grant or an extension, and the holder's lease in it. `fence` is used only for a new lease. */
export function grantLease(
  view: LockView,
  operation: LockOperation,
  fence: number,
  now: number,
): { record: LockRecord; lease: Lease } {
  const own = isOwnLease(view, operation) ? view.lease : undefined;
  const owner = own?.owner ?? operation.owner;
  const meta = operation.meta ?? own?.meta;
  const lease: Lease = {
    fence: own?.fence ?? fence,
    ...(owner === undefined ? {} : { owner }),
    ...(meta === undefined ? {} : { meta }),
    since: own?.since ?? now,
    durMs: operation.durMs,
  };
  return { record: { ...exclusive, holders: [lease], ended: view.ended }, lease };
}

/**
 * What the previous holder left behind when it did not release cleanly. An owner that operations again, since it may have lost
 * the reply, is told again; an extension by fence has been told.
 */
export function leaseToRecover(view: LockView, operation: LockOperation): EndedLease | undefined {
  const last = view.ended[0];
  return operation.extend === undefined && last !== undefined && last.why !== 'released' ? last : undefined;
}

/** `release`: end the lease. `done`: it was released before, nothing to do. `lost`: neither, and what became of it. */
export type UnlockAnswer =
  | { readonly kind: 'release'; readonly why: 'released' | 'forced' }
  | { readonly kind: 'done' }
  | { readonly kind: 'lost'; readonly ended?: EndedLease };

export function answerUnlock(view: LockView, operation: UnlockOperation): UnlockAnswer {
  if (operation.fence === undefined && operation.owner === undefined) {
    return view.lease === undefined ? { kind: 'done' } : { kind: 'release', why: 'forced' };
  }
  const matches = (lease: { readonly fence: number; readonly owner?: string }): boolean =>
    operation.fence === undefined ? lease.owner === operation.owner : lease.fence === operation.fence;
  if (view.lease !== undefined && matches(view.lease)) return { kind: 'release', why: 'released' };
  const ended = view.ended.find(matches);
  if (ended?.why === 'released') return { kind: 'done' };
  return ended === undefined ? { kind: 'lost' } : { kind: 'lost', ended };
}

function pushEnded(history: readonly EndedLease[], lease: Lease, why: Ending, at: number): EndedLease[] {
  const { fence, owner, meta } = lease;
  // What to recover concerns the next holder only, so that older metas need not be kept.
  const older = history.slice(0, lockHistoryMax - 1).map(withoutMeta);
  const newest: EndedLease = {
    fence,
    why,
    ...(owner === undefined ? {} : { owner }),
    ...(meta === undefined || why === 'released' ? {} : { meta }),
    at,
  };
  return [newest, ...older];
}

function withoutMeta({ fence, why, owner, at }: EndedLease): EndedLease {
  return { fence, why, ...(owner === undefined ? {} : { owner }), at };
}
