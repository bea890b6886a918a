/** Locks and mutexes as the contract has them: who holds one, how it ends, and what replies say of it. */
import type { Body } from './history.ts';
import { anyNumber, Json, Span } from './expected.ts';
import type { Ended, Lease, LockEntry } from './model-state.ts';
import type { LockOperation, UnlockOperation } from '../../../src/protocol/operations/lock.ts';

/** How many ended leases a lock remembers, and for how long when it is free. */
const endedMax = 8;
export const lockMemoryMs = 3_600_000;
export const mutexMemoryMs = 10_000;
/** What a lease has left after a start, at least, unless it was shorter. */
export const graceMs = 10_000;

/** A lock at one moment: a lease that has run out is among the ended. */
export interface LockNow {
  readonly lease?: Lease;
  readonly ended: readonly Ended[];
}

export const freeLock: LockNow = { ended: [] };

export function lockNow(entry: LockEntry, over: boolean): LockNow {
  if (!over) return entry;
  // Without a lease this was only the memory of one.
  const { lease } = entry;
  if (lease === undefined) return freeLock;
  const at = lease.maybeOver === undefined ? lease.till : new Span(lease.maybeOver.lo, lease.till.hi);
  return { ended: push(entry.ended, lease, 'expired', at) };
}

export function isOwn(lock: LockNow, ask: LockOperation): boolean {
  if (lock.lease === undefined) return false;
  return ask.extend === undefined
    ? ask.owner !== undefined && ask.owner === lock.lease.owner
    : ask.extend === lock.lease.handle;
}

export function grant(
  lock: LockNow,
  ask: LockOperation,
  handle: number,
  now: Span,
): LockEntry & { readonly lease: Lease } {
  const own = isOwn(lock, ask) ? lock.lease : undefined;
  const owner = own?.owner ?? ask.owner;
  const meta = ask.meta === undefined ? own?.meta : new Json(ask.meta);
  const lease: Lease = {
    handle: own?.handle ?? handle,
    ...(owner === undefined ? {} : { owner }),
    ...(meta === undefined ? {} : { meta }),
    since: own?.since ?? now,
    durMs: ask.durMs,
    till: now.plus(ask.durMs),
  };
  return { lease, ended: lock.ended };
}

/**
 * When a lease began. `Now` is the moment of the commit, which is that of the grant, but for a batch over several shards:
 * there the lease counts from the turn of the lock's shard, a few messages before.
 */
export function grantedAt(now: Span, durMs: number, said: Body | undefined): Span {
  const from = (said?.TillMs ?? NaN) - durMs;
  return from >= now.lo && from <= now.hi ? new Span(from, from) : now;
}

export function end(lock: LockNow, why: Ended['why'], now: Span, memoryMs: number): LockEntry {
  const ended = lock.lease === undefined ? lock.ended : push(lock.ended, lock.lease, why, now);
  return { ended, forget: now.plus(memoryMs) };
}

export function whatUnlockDoes(
  lock: LockNow,
  { handle, owner }: UnlockOperation,
):
  | { readonly does: 'release'; readonly why: 'released' | 'forced' }
  | { readonly does: 'nothing' }
  | { readonly does: 'fail' } {
  const { lease, ended } = lock;
  if (handle === undefined && owner === undefined) {
    return lease === undefined ? { does: 'nothing' } : { does: 'release', why: 'forced' };
  }
  const meant = meantBy({ handle, owner });
  if (lease !== undefined && meant(lease)) return { does: 'release', why: 'released' };
  return ended.find(meant)?.why === 'released' ? { does: 'nothing' } : { does: 'fail' };
}

/** Why a handle or owner does not hold the lock. */
export function lost(
  lock: LockNow,
  id: string,
  by: { handle?: number | undefined; owner?: string | undefined },
): object {
  const ended = lock.ended.find(meantBy(by));
  return { Code: 'lock_lost', LockID: id, Why: ended?.why ?? 'unknown', EndedMs: ended?.at };
}

/** `extending`: by handle, which is told nothing new; an owner that asks again is told again whom it recovers from. */
export function grantMembers(
  before: LockNow,
  after: { readonly lease: Lease },
  extending: boolean,
  now: Span,
  said: Body | undefined,
): object {
  const { handle, till, durMs } = after.lease;
  const [last] = before.ended;
  const recover =
    !extending && last !== undefined && last.why !== 'released'
      ? { Lock: last.handle, Meta: last.meta, Why: last.why }
      : undefined;
  const left = said?.TillMs === undefined || said.Now === undefined ? durMs : said.TillMs - said.Now;
  return { Lock: handle, Till: till.seconds(), TillMs: till, TTLMs: left, Recover: recover, Now: now };
}

export function holder(lease: Lease): object {
  return { Meta: lease.meta, Till: lease.till.seconds(), TillMs: lease.till, Since: lease.since };
}

export function busy(lease: Lease): object {
  return { Code: 'not_locked', Holder: holder(lease), Waiters: anyNumber };
}

function meantBy({ handle, owner }: { handle?: number | undefined; owner?: string | undefined }) {
  return (lease: { readonly handle: number; readonly owner?: string }): boolean =>
    handle === undefined ? lease.owner === owner : lease.handle === handle;
}

function push(ended: readonly Ended[], lease: Lease, why: Ended['why'], at: Span): Ended[] {
  const { handle, owner, meta } = lease;
  const older = ended.slice(0, endedMax - 1).map((old) => ({ ...old, meta: undefined }));
  const kept = why === 'released' || meta === undefined ? {} : { meta };
  return [{ handle, why, at, ...(owner === undefined ? {} : { owner }), ...kept }, ...older];
}
