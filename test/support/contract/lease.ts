/** Leases, which locks and mutexes have in common: who holds one, how it ends, and what replies say of it. */
import { limitAfterStart } from './limit.ts';
import { Json, Span } from './expected.ts';
import type { Moment } from './moment.ts';
import type { ContractState, Ended, Lease, LimitEntry, LockEntry } from './state.ts';
import type { LockOperation, UnlockOperation } from '../../../src/protocol/operations/lock.ts';

/** How many ended leases a lock remembers, and for how long when it is free. */
const endedMax = 8;
export const lockMemoryMs = 3_600_000;
export const mutexMemoryMs = 10_000;
/** What a lease has left after a start, at least, unless it was shorter. */
const graceMs = 10_000;

/** A lock at one moment: a lease that has run out is among the ended. */
export interface LockNow {
  readonly lease?: Lease;
  readonly ended: readonly Ended[];
}

const freeLock: LockNow = { ended: [] };

export function leaseAt(at: Moment, name: string): LockNow {
  const entry = at.state.get(name) as LockEntry | undefined;
  if (entry === undefined) return freeLock;
  const till = entry.lease?.till ?? entry.forget;
  if (till === undefined) return entry;
  return lockNow(entry, at.over(name, entry, till, entry.lease?.maybeOver !== undefined));
}

export function lockNow(entry: LockEntry, over: boolean): LockNow {
  if (!over) return entry;
  // Without a lease this was only the memory of one.
  const { lease } = entry;
  if (lease === undefined) return freeLock;
  const at = lease.maybeOver === undefined ? lease.till : new Span(lease.maybeOver.lo, lease.till.hi);
  return { ended: push(entry.ended, lease, 'expired', at) };
}

/** Whether the operation is the holder's own: by the fence that it extends, otherwise by its owner. */
export function isOwn(lease: Lease | undefined, { extend, owner }: LockOperation): boolean {
  if (lease === undefined) return false;
  return extend === undefined ? owner !== undefined && owner === lease.owner : extend === lease.fence;
}

export function grant(
  at: Moment,
  before: LockNow,
  operation: LockOperation,
  fence: number,
): LockEntry & { readonly lease: Lease } {
  const { durMs } = operation;
  const now = grantedAt(at, durMs);
  const own = isOwn(before.lease, operation) ? before.lease : undefined;
  const owner = own?.owner ?? operation.owner;
  const meta = operation.meta === undefined ? own?.meta : new Json(operation.meta);
  const lease: Lease = {
    fence: own?.fence ?? fence,
    ...(owner === undefined ? {} : { owner }),
    ...(meta === undefined ? {} : { meta }),
    since: own?.since ?? now,
    durMs,
    till: now.plus(durMs),
  };
  return { lease, ended: before.ended };
}

/**
 * When a lease began. `Now` in the reply is the moment of the commit, and the lease begins in that moment, except in a
 * batch over several shards: there it counts from the turn of the lock's shard, a few messages before.
 */
function grantedAt({ now, said }: Moment, durMs: number): Span {
  const from = (said?.TillMs ?? NaN) - durMs;
  return from >= now.lo && from <= now.hi ? new Span(from, from) : now;
}

export function end(lock: LockNow, why: Ended['why'], now: Span, memoryMs: number): LockEntry {
  const ended = lock.lease === undefined ? lock.ended : push(lock.ended, lock.lease, why, now);
  return { ended, forget: now.plus(memoryMs) };
}

export function whatUnlockDoes(
  { lease, ended }: LockNow,
  { fence, owner }: UnlockOperation,
):
  | { readonly does: 'release'; readonly why: 'released' | 'forced' }
  | { readonly does: 'nothing' }
  | { readonly does: 'fail' } {
  if (fence === undefined && owner === undefined) {
    return lease === undefined ? { does: 'nothing' } : { does: 'release', why: 'forced' };
  }
  const meant = meantBy({ fence, owner });
  if (lease !== undefined && meant(lease)) return { does: 'release', why: 'released' };
  return ended.find(meant)?.why === 'released' ? { does: 'nothing' } : { does: 'fail' };
}

/** The server was down: mutexes are gone, and leases last a little longer. */
export function restart(
  state: ContractState,
  { downAt, startedAt, upAt }: { readonly downAt: number; readonly startedAt: number; readonly upAt: number },
  toleranceMs: number,
  names: Iterable<string> = state.entries.keys(),
): void {
  for (const name of names) {
    const entry = state.get(name) as LockEntry | undefined;
    if (entry === undefined) continue;
    if (name.startsWith('m')) state.apply([{ name }]);
    if (name.startsWith('g')) {
      const start = new Span(startedAt - toleranceMs, upAt + toleranceMs);
      state.apply([{ name, entry: limitAfterStart(state.get(name) as LimitEntry, start) }]);
    }
    const { lease, forced } = entry;
    if (name.startsWith('h') && forced !== undefined) {
      const till = afterStart(forced.till.lo, startedAt, forced.durMs);
      const later = { ...forced, till: new Span(till, afterStart(forced.till.hi, upAt, forced.durMs)) };
      if (forced.till.hi > downAt)
        state.apply([{ name, entry: { ...entry, forced: later, forget: later.till.plus(600_000) } }]);
    }
    if (!/^[lh]/.test(name) || lease === undefined) continue;
    const till = (before: number, start: number): number => afterStart(before, start, lease.durMs);
    const extended = new Span(till(lease.till.lo, startedAt - toleranceMs), till(lease.till.hi, upAt + toleranceMs));
    const maybeOver = lease.maybeOver ?? (lease.till.lo <= downAt + toleranceMs ? lease.till : undefined);
    const changed = { ...lease, till: extended, ...(maybeOver === undefined ? {} : { maybeOver }) };
    state.apply([{ name, entry: { ...entry, lease: changed } }]);
  }
}

/** When a lease ends that was granted before a start. */
function afterStart(till: number, start: number, durMs: number): number {
  return Math.min(Math.max(till, start + Math.min(durMs, graceMs)), start + durMs);
}

/** Details of `lock_lost`: why a fence or owner does not hold the lock. */
export function lost(
  lock: LockNow,
  id: string,
  by: { fence?: number | undefined; owner?: string | undefined },
): object {
  return lostTo(id, lock.ended.find(meantBy(by)));
}

export function lostTo(id: string, ended: Ended | undefined): object {
  return { LockID: id, Why: ended?.why ?? 'unknown', EndedMs: ended?.at };
}

/** Details of `not_locked`. */
export function busy(at: Moment, name: string, lease: Lease): object {
  return { Holder: holder(lease), Waiters: at.waiters(name) };
}

export function holder({ meta, till, since }: Lease): object {
  return { Meta: meta, Till: till.seconds(), TillMs: till, Since: since };
}

/** Members of a grant. An owner that asks again is told again whom it recovers from, an extension by fence is not. */
export function granted(
  { now, said }: Moment,
  before: LockNow,
  { fence, till, durMs }: Lease,
  { extend }: LockOperation,
): object {
  const [last] = before.ended;
  const Recover =
    extend === undefined && last !== undefined && last.why !== 'released'
      ? { Lock: last.fence, Meta: last.meta, Why: last.why }
      : undefined;
  const Extended = before.lease?.fence === fence ? true : undefined;
  const left = said?.TillMs === undefined || said.Now === undefined ? durMs : said.TillMs - said.Now;
  return { Lock: fence, Till: till.seconds(), TillMs: till, TTLMs: left, Extended, Recover, Now: now };
}

/** Leases of one fence; without a fence those of one owner. */
function meantBy({ fence, owner }: { fence?: number | undefined; owner?: string | undefined }) {
  return (lease: { readonly fence: number; readonly owner?: string }): boolean =>
    fence === undefined ? lease.owner === owner : lease.fence === fence;
}

/** Puts the lease first. Only the newest keeps its metadata, for the next holder. */
function push(ended: readonly Ended[], lease: Lease, why: Ended['why'], at: Span): Ended[] {
  const { fence, owner, meta } = lease;
  const kept = why === 'released' || meta === undefined ? {} : { meta };
  return pushEnded(ended, { fence, why, at, ...(owner === undefined ? {} : { owner }), ...kept });
}

export function pushEnded(ended: readonly Ended[], newest: Ended): Ended[] {
  return [newest, ...ended.slice(0, endedMax - 1).map((old) => ({ ...old, meta: undefined }))];
}
