/** Failures of busy and lost locks. The holder's fence and owner are secrets and never part of them. */
import { failure, type Failure } from '../../../protocol/errors.ts';
import type { EndedLease, LockView, Misfit } from '../state/lease.ts';
import { sharedInfo, type SharedInfo } from '../state/shared-lease.ts';
import type { LockOperation, UnlockOperation } from '../../../protocol/operations/lock.ts';

/** Of one lease; of a lock that several hold also how many, and without a lease only that. */
export interface HolderInfo extends Partial<SharedInfo> {
  readonly Meta?: unknown;
  readonly Till?: number;
  readonly TillMs?: number;
  readonly Since?: number;
}

export function holderInfo(view: LockView): HolderInfo | undefined {
  const shared = view.shared === undefined ? undefined : sharedInfo(view.shared);
  if (view.lease === undefined) return shared;
  const { meta, since } = view.lease;
  return {
    ...shared,
    ...(meta === undefined ? {} : { Meta: JSON.parse(meta) as unknown }),
    Till: Math.ceil(view.till / 1000),
    TillMs: view.till,
    Since: since,
  };
}

/** Why a request gets no lock that is held as this one is, however long it waits. */
export function doesNotFit({ id, limit, read }: LockOperation, view: LockView, misfit: Misfit): Failure {
  const name = JSON.stringify(id);
  if (misfit === 'no_upgrade') {
    const [has, asks] = read === true ? ['alone', 'a share'] : ['as a reader', 'all of it'];
    const message = `This owner holds the lock ${name} ${has} and asks for ${asks}; give it back first: a lease keeps its mode.`;
    return failure('not_locked', message, { Why: 'no_upgrade' });
  }
  const { shared } = view;
  const permits = shared?.mode === 'permits' ? `with ${shared.limit} permits` : undefined;
  const held = permits ?? (shared === undefined ? 'by one alone' : 'by readers');
  const asked = limit === undefined ? 'one without LockLimit' : `one of ${limit} permits`;
  const message = `The lock ${name} is held ${held}; got a request for ${asked}. As long as it is held, that stays.`;
  return failure('limit_mismatch', message, {
    LockID: id,
    ...(shared === undefined ? {} : { Holder: sharedInfo(shared) }),
  });
}

/** How a lease ended, as far as it is known. */
export type LostLease = Pick<EndedLease, 'why' | 'at' | 'reason'> | { readonly why: 'restored' };

export interface BusyLock {
  readonly waiters: number;
  readonly waitMs: number;
  readonly now: number;
}

export function heldByOther(id: string, view: LockView, { waiters, waitMs, now }: BusyLock): Failure {
  if (view.closedTill !== undefined) return closedByRestore(id, view.closedTill - now, waiters);
  const how = waitMs === 0 ? 'is held by another' : `was not free within ${waitMs / 1000} s`;
  // Its own lease may have ended within this turn.
  const holder = view.shared === undefined ? holderInfo(view) : sharedInfo(view.shared);
  return failure('not_locked', `The lock ${JSON.stringify(id)} ${how}.`, {
    ...(holder === undefined ? {} : { Holder: holder }),
    Waiters: waiters,
  });
}

function closedByRestore(id: string, leftMs: number, waiters: number): Failure {
  const message =
    `The server was restored from a backup, and somebody who it does not know of may hold the lock ${JSON.stringify(id)}; ` +
    `it is granted again in ${Math.ceil(leftMs / 1000)} s.`;
  return failure('not_locked', message, { Waiters: waiters, Why: 'restored', RetryAfterMs: leftMs });
}

const endings = {
  restored: 'was lost when the server was restored from a backup',
  released: 'was released',
  forced: 'was ended by force',
  expired: 'expired',
} as const;

export function lockLost(
  verb: 'guard with' | 'unlock' | 'extend',
  presented: UnlockOperation,
  view: LockView,
  ended: LostLease | undefined,
): Failure {
  const by = presented.fence === undefined ? 'this owner' : `fencing token ${presented.fence}`;
  const became =
    ended !== undefined
      ? `that lease ${endings[ended.why]}`
      : view.lease !== undefined || view.shared !== undefined
        ? `it is held ${presented.fence === undefined ? 'by another owner' : 'with another fencing token'}`
        : 'it is not held, and no such lease is remembered';
  return failure('lock_lost', `Cannot ${verb} lock ${JSON.stringify(presented.id)} with ${by}: ${became}.`, {
    LockID: presented.id,
    Why: ended?.why ?? 'unknown',
    ...(ended === undefined || ended.why === 'restored' || ended.at === 0 ? {} : { EndedMs: ended.at }),
    ...(ended?.why === 'forced' && ended.reason !== undefined ? { Reason: ended.reason } : {}),
  });
}
