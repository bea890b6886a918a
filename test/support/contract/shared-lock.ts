/**
 * Locks that several hold, readers or holders of permits. Each lease is an entry of its own beside that of the lock, with
 * its own end and its own memory of it; how many there are is counted.
 */
import type { Span } from './expected.ts';
import { grant, leaseAt, lockMemoryMs, pushEnded, type LockNow } from './lease.ts';
import type { Contents, Moment, Turn } from './moment.ts';
import { nameOf, type Change, type Ended, type Lease, type LockEntry } from './state.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';

/** How long it is remembered how a shared lease ended. */
export const shareMemoryMs = 600_000;

/** The leases of a lock at one moment. */
export interface Shares {
  /** Those that last. */
  readonly leases: readonly Lease[];
  /** Absent: readers. */
  readonly limit: number | undefined;
}

export interface SharedNow extends LockNow {
  readonly shared?: Shares;
  /** Leases whose time is over, but nobody has written that down. */
  readonly lapsed: readonly { readonly name: string; readonly ended: Ended }[];
  readonly account: string;
  readonly id: string;
}

export function sharedAt(at: Moment, account: string, id: string): SharedNow {
  const lock = leaseAt(at, nameOf('lock', account, id));
  const leases: Lease[] = [];
  const lapsed: { name: string; ended: Ended }[] = [];
  for (const name of shareNames(at.state, account, id)) {
    const { lease } = leaseAt(at, name);
    if (lease !== undefined) leases.push(lease);
    else if ((at.state.get(name) as LockEntry).lease !== undefined)
      lapsed.push({ name, ended: leaseAt(at, name).ended[0]! });
  }
  lapsed.sort((a, b) => a.ended.at!.lo - b.ended.at!.lo);
  const ended = lapsed.reduce((all, share) => pushShare(all, share.ended), lock.ended);
  const { limit } = (at.state.get(nameOf('lock', account, id)) as LockEntry | undefined) ?? {};
  return { ...lock, ended, ...(leases.length === 0 ? {} : { shared: { leases, limit } }), lapsed, account, id };
}

/** Of shared leases only the newest stays among the ended of the lock. */
function pushShare(ended: readonly Ended[], share: Ended): Ended[] {
  return pushEnded(
    ended.filter(({ shared }) => shared !== true),
    { ...share, shared: true },
  );
}

function* shareNames(state: Contents, account: string, id: string): Generator<string> {
  for (const key of state.keys('share', account, `${id}\0`, undefined)) yield nameOf('share', account, key);
}

/** The lease that a request means: by its fence, otherwise by its owner. */
export function leaseOf(
  { lease, shared }: SharedNow,
  { fence, extend, owner }: { fence?: number | undefined; extend?: number | undefined; owner?: string | undefined },
): Lease | undefined {
  const by = fence ?? extend;
  const meant = (one: Lease): boolean =>
    by === undefined ? owner !== undefined && one.owner === owner : one.fence === by;
  const all = shared?.leases ?? (lease === undefined ? [] : [lease]);
  return all.find(meant);
}

/** How that lease ended, as the lock or the lease's own entry remembers it. */
export function endedOf(
  at: Moment,
  now: SharedNow,
  { fence, owner }: { fence?: number | undefined; owner?: string | undefined },
): Ended | undefined {
  const meant = (one: { fence: number; owner?: string }): boolean =>
    fence === undefined ? one.owner === owner : one.fence === fence;
  const first = now.ended.find(meant);
  if (first !== undefined && fence !== undefined) return first;
  // Of an owner the last lease counts, whatever became of it.
  const own = [...shareNames(at.state, now.account, now.id)]
    .map((name) => ({ ...leaseAt(at, name), name }))
    .filter(({ lease, ended }) => [lease, ended[0]].some((one) => one !== undefined && meant(one)));
  const last = own.toSorted((a, b) => fenceOf(b) - fenceOf(a))[0]?.ended[0];
  return first !== undefined && first.fence >= (last?.fence ?? 0) ? first : last;
}

function fenceOf({ lease, ended }: LockNow): number {
  return lease?.fence ?? ended[0]?.fence ?? 0;
}

export type Answer = 'own' | 'free' | 'busy' | 'limit_mismatch' | 'no_upgrade';

/** @param ahead how many stand in line before the request */
export function answerTo(now: SharedNow, operation: LockOperation, ahead: number): Answer {
  const { lease, shared } = now;
  const { read, limit } = operation;
  const own = leaseOf(now, operation) !== undefined;
  if (shared === undefined && lease === undefined) return ahead > 0 ? 'busy' : 'free';
  const heldLimit = shared === undefined ? 1 : shared.limit;
  if (limit !== undefined ? limit !== heldLimit : shared?.limit !== undefined) return 'limit_mismatch';
  if (limit === undefined && (read === true) !== (shared !== undefined)) return own ? 'no_upgrade' : 'busy';
  if (own) return 'own';
  if (shared === undefined || ahead > 0) return 'busy';
  return shared.limit === undefined || shared.leases.length < shared.limit ? 'free' : 'busy';
}

export function describeShares({ leases, limit }: Shares): object {
  const Holders = leases.length;
  return limit === undefined ? { RLock: true, Holders } : { LockLimit: limit, Holders, Free: limit - Holders };
}

/** Writes down what has ended by itself. */
function settle(turn: Turn, { lapsed }: SharedNow): void {
  for (const { name, ended } of lapsed) turn.changes.set(name, remembered(ended, ended.at!));
}

function remembered(ended: Ended, at: Span): LockEntry {
  return { ended: [ended], forget: at.plus(shareMemoryMs) };
}

/** @returns the lease, and the permits that are left */
export function takeShare(
  turn: Turn,
  now: SharedNow,
  operation: LockOperation,
): { lease: Lease; free: number | undefined } {
  const { at, account } = turn;
  const own = leaseOf(now, operation);
  const before: LockNow = own === undefined ? { ended: now.ended } : { lease: own, ended: now.ended };
  const { lease } = grant(at, before, operation, at.rev);
  const { limit } = now.shared ?? operation;
  const holders = (now.shared?.leases.length ?? 0) + (own === undefined ? 1 : 0);
  const name = nameOf('share', account, `${operation.id}\0${lease.fence}`);
  turn.changes.set(name, { lease, ended: [] });
  if (own === undefined) {
    settle(turn, now);
    turn.changes.set(nameOf('lock', account, operation.id), { ended: now.ended, ...limitOf(limit) });
  }
  return { lease, free: limit === undefined ? undefined : limit - holders };
}

export function releaseShare(turn: Turn, now: SharedNow, lease: Lease): void {
  const { account, id } = now;
  const { fence, owner, meta } = lease;
  const ended: Ended = { fence, owner: owner!, meta, why: 'released', at: turn.at.now, shared: true };
  settle(turn, now);
  turn.changes.set(nameOf('share', account, `${id}\0${fence}`), remembered({ ...ended, meta: undefined }, turn.at.now));
  const { limit, leases } = now.shared!;
  const left = leases.length > 1 ? limitOf(limit) : { forget: turn.at.now.plus(lockMemoryMs) };
  turn.changes.set(nameOf('lock', account, id), {
    ended: pushShare(now.ended, { ...ended, meta: undefined }),
    ...left,
  });
}

/** All of them end by force: when that was is not remembered, and nobody recovers them. */
export function forceShares(turn: Turn, now: SharedNow): void {
  const { account, id } = now;
  settle(turn, now);
  for (const { fence, owner, till, durMs } of now.shared!.leases) {
    const ended: Ended = { fence, owner: owner!, why: 'forced', shared: true };
    const entry = { ended: [ended], forced: { till, durMs }, forget: till.plus(shareMemoryMs) };
    turn.changes.set(nameOf('share', account, `${id}\0${fence}`), entry);
  }
  turn.changes.set(nameOf('lock', account, id), { ended: now.ended, forget: turn.at.now.plus(lockMemoryMs) });
}

function limitOf(limit: number | undefined): { readonly limit?: number } {
  return limit === undefined ? {} : { limit };
}

/** The time of a shared lease, or of its memory, has come. */
export function passShare(state: Contents, name: string, now: Span): Change[] {
  const { lease } = state.get(name) as LockEntry;
  if (lease === undefined) return [{ name }];
  const [, account, id] = /^h([^\0]*)\0([^\0]*)\0/.exec(name)!;
  const { fence, owner, meta } = lease;
  const ended: Ended = { fence, owner: owner!, meta, why: 'expired', at: lease.till, shared: true };
  const others = [...shareNames(state, account!, id!)].filter((other) => {
    return other !== name && (state.get(other) as LockEntry).lease !== undefined;
  });
  const lock = nameOf('lock', account!, id!);
  const { limit, ended: before = [] } = (state.get(lock) as LockEntry | undefined) ?? {};
  const left = others.length > 0 ? limitOf(limit) : { forget: now.plus(lockMemoryMs) };
  return [
    { name, entry: remembered({ ...ended, meta: undefined }, now) },
    { name: lock, entry: { ended: pushShare(before, ended), ...left } },
  ];
}
