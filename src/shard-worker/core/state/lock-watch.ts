/**
 * Watching a lock: who watches is told when somebody gets it and when a lease of it ends, and not when one is extended.
 *
 * The version of a lock is that of its last ended lease: twice its fence, and one more while the lock is held. So it
 * differs from one state to the next, and does not tell the fence under which the lock is held.
 */
import { watchName } from '../../../protocol/footprint.ts';
import type { CommitRecord, Effect } from '../../../protocol/record.ts';
import type { LockRecord, LockView } from './lease.ts';
import { decodeLockRecord } from './lock-record.ts';
import type { Outbox } from './outbox.ts';
import { sharedInfo } from './shared-lease.ts';
import type { ShardState } from './state.ts';

/** Tells watchers of a lock of its change, if it is one for them. */
export function announceLock(state: ShardState, record: CommitRecord, effect: Effect, out: Outbox): void {
  // A free lock that is forgotten looks as it did.
  if (effect.value === undefined) return;
  const { account, rev } = record;
  const key = effect.key;
  const name = watchName({ account, key, lock: true });
  if (!state.watched.has(name)) return;
  const view = viewOfRecord(decodeLockRecord(effect.value));
  const version = lockVersion(view);
  let body: string | undefined;
  for (const router of state.watched.takeLock(name, version)) {
    body ??= lockState(key, view);
    out.event(router, { account, key, lock: true, rev, version, body });
  }
}

type LockState = Pick<LockView, 'lease' | 'ended' | 'shared'>;

function viewOfRecord(record: LockRecord): LockState {
  if (record.mode === 'exclusive') {
    const [lease] = record.holders;
    return lease === undefined ? { ended: record.ended } : { lease, ended: record.ended };
  }
  return record.count === 0 ? { ended: record.ended } : { ended: record.ended, shared: record };
}

export function lockVersion({ lease, ended, shared }: LockState): number {
  const isHeld = lease !== undefined || shared !== undefined;
  return 2 * (ended[0]?.fence ?? 0) + (isHeld ? 1 : 0);
}

export function lockState(id: string, view: LockState): string {
  const { lease, shared } = view;
  const Locked = lease !== undefined || shared !== undefined;
  const meta = lease?.meta === undefined ? {} : { Meta: JSON.parse(lease.meta) as unknown };
  const since = lease === undefined ? {} : { Since: lease.since };
  const shares = shared === undefined ? {} : sharedInfo(shared);
  return JSON.stringify({ LockID: id, Version: lockVersion(view), Locked, ...meta, ...since, ...shares });
}
