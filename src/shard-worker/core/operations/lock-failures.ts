/** What is said when a lock is busy or lost. The holder's fence and owner are secrets and never part of it. */
import { failure, type Failure } from '../../../protocol/errors.ts';
import type { EndedLease, LockView } from '../state/lease.ts';
import type { UnlockOperation } from '../../../protocol/operations/lock.ts';

export interface HolderInfo {
  readonly Meta?: unknown;
  readonly Till: number;
  readonly TillMs: number;
  readonly Since: number;
}

export function holderInfo(view: LockView): HolderInfo | undefined {
  if (view.lease === undefined) return undefined;
  const { meta, since } = view.lease;
  return {
    ...(meta === undefined ? {} : { Meta: JSON.parse(meta) as unknown }),
    Till: Math.ceil(view.till / 1000),
    TillMs: view.till,
    Since: since,
  };
}

export function heldByOther(id: string, view: LockView, waiters: number, waitMs: number): Failure {
  const how = waitMs === 0 ? 'is held by another' : `was not free within ${waitMs / 1000} s`;
  const holder = holderInfo(view);
  return failure('not_locked', `The lock ${JSON.stringify(id)} ${how}.`, {
    ...(holder === undefined ? {} : { Holder: holder }),
    Waiters: waiters,
  });
}

export function lockLost(
  verb: 'guard with' | 'unlock' | 'extend',
  presented: UnlockOperation,
  view: LockView,
  ended: EndedLease | undefined,
): Failure {
  const by = presented.fence === undefined ? 'this owner' : `fencing token ${presented.fence}`;
  const became =
    ended !== undefined
      ? `that lease ${ended.why === 'released' ? 'was released' : ended.why === 'forced' ? 'was ended by force' : 'expired'}`
      : view.lease !== undefined
        ? `it is held ${presented.fence === undefined ? 'by another owner' : 'with another fencing token'}`
        : 'it is not held, and no such lease is remembered';
  return failure('lock_lost', `Cannot ${verb} lock ${JSON.stringify(presented.id)} with ${by}: ${became}.`, {
    LockID: presented.id,
    Why: ended?.why ?? 'unknown',
    ...(ended === undefined ? {} : { EndedMs: ended.at }),
  });
}
