/** Locks, alone or as part of a batch: taken, extended, given back, guarded by, looked at. */
import { busy, end, grant, granted, holder, lockMemoryMs, lostTo, whatUnlockDoes } from './lease.ts';
import { done, refuse, type Moment, type Outcome, type Performed, type Turn } from './moment.ts';
import { page } from './page.ts';
import {
  answerTo,
  describeShares,
  endedOf,
  forceShares,
  leaseOf,
  releaseShare,
  sharedAt,
  takeShare,
  type SharedNow,
} from './shared-lock.ts';
import { nameOf } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { LockInspect, LockList, LockOperation, UnlockOperation } from '../../../src/protocol/operations/lock.ts';

export const lock = {
  /** A batch whose lock is held by somebody else is refused or waits, whatever else is in it. */
  early(at: Moment, { account, lock: operation }: Batch): Outcome | undefined {
    if (operation === undefined || operation.extend !== undefined) return undefined;
    const now = sharedAt(at, account, operation.id);
    const name = nameOf('lock', account, operation.id);
    if (answerTo(now, operation, at.ahead(name)) !== 'busy') return undefined;
    const { lease, shared } = now;
    if (shared !== undefined)
      return refuse('not_locked', { Holder: describeShares(shared), Waiters: at.waiters(name) });
    return refuse('not_locked', lease === undefined ? { Waiters: at.waiters(name) } : busy(at, name, lease));
  },

  perform(turn: Turn, { format, guard, unlock, unlocks, lock: operation, locks }: Batch): Performed {
    guard?.forEach(({ id, fence }, i) => {
      const now = sharedAt(turn.at, turn.account, id);
      if (leaseOf(now, { fence }) === undefined)
        turn.fail(`Guard[${i}]`, 'lock_lost', lostTo(id, endedOf(turn.at, now, { fence })));
    });
    if (unlock !== undefined) release(turn, unlock);
    unlocks?.forEach((each, i) => release(turn, each, `UnlockIDs[${i}]`));
    const members = (operation && take(turn, operation)) ?? (locks && takeSet(turn, locks));
    if (format === 'lock.acquire') return { reply: members };
    return format === 'lock.release' ? { reply: {} } : { members: members ?? {} };
  },

  commands: {
    'lock.inspect': (at: Moment, { account, id, fence }: LockInspect): Outcome => {
      const now = sharedAt(at, account, id);
      const lease = fence === undefined ? now.lease : leaseOf(now, { fence });
      if (fence !== undefined && lease === undefined) {
        const found = endedOf(at, now, { fence });
        return refuse('lock_lost', lostTo(id, found));
      }
      const held = lease === undefined ? {} : holder(lease);
      const shares = now.shared === undefined ? {} : describeShares(now.shared);
      const Locked = (lease ?? now.shared) !== undefined;
      return done(at, { Locked, ...shares, ...held, Waiters: at.waiters(nameOf('lock', account, id)) });
    },
    'lock.list': (at: Moment, call: LockList): Outcome =>
      page(at, call, (id) => {
        const { lease, shared } = sharedAt(at, call.account, id);
        const held = shared === undefined ? lease && holder(lease) : describeShares(shared);
        return held && { LockID: id, ...held, Waiters: at.waiters(nameOf('lock', call.account, id)) };
      }),
  },
};

function release(turn: Turn, operation: UnlockOperation, field = 'Unlock'): void {
  const { at, account } = turn;
  const { id, fence, owner } = operation;
  const now = sharedAt(at, account, id);
  const isForce = fence === undefined && owner === undefined;
  if (now.shared !== undefined && isForce) return forceShares(turn, now);
  const share = now.shared === undefined || isForce ? undefined : leaseOf(now, operation);
  if (share !== undefined) return releaseShare(turn, now, share);
  const answer = whatUnlockDoes(now, operation);
  if (answer.does !== 'release' && !isForce) {
    const ended = endedOf(at, now, operation);
    if (ended?.why !== 'released') turn.fail(field, 'lock_lost', lostTo(id, ended));
  }
  if (answer.does !== 'release') return;
  turn.changes.set(nameOf('lock', account, id), end(now, answer.why, at.now, lockMemoryMs));
}

/** All of them, under one fence: whoever has them all already has them for longer. */
function takeSet(turn: Turn, locks: readonly LockOperation[]): object {
  const held = locks.map((each) => leaseOf(sharedAt(turn.at, turn.account, each.id), each)?.fence);
  const extend = held.every((fence) => fence === held[0]) ? held[0] : undefined;
  const own = extend === undefined ? {} : { extend };
  const taken = locks.map((each, i) => take(turn, { ...each, ...own }, `LockIDs[${i}]`) as Taken);
  const Recover = taken.flatMap(({ Recover: lost }, i) =>
    lost === undefined ? [] : [{ LockID: locks[i]!.id, ...lost }],
  );
  return { ...taken[0], Recover: Recover.length === 0 ? undefined : Recover };
}

interface Taken {
  readonly Recover?: object;
}

function take(turn: Turn, operation: LockOperation, field = 'LockID'): object {
  const { at, account } = turn;
  const { id, extend, read, limit } = operation;
  const now = sharedAt(at, account, id);
  if (extend !== undefined && leaseOf(now, operation) === undefined)
    turn.fail('Unlock', 'lock_lost', lostTo(id, endedOf(at, now, { fence: extend })));
  const answer = extend === undefined ? answerTo(now, operation, 0) : 'own';
  const Holder = now.shared && describeShares(now.shared);
  if (answer === 'limit_mismatch') turn.fail(field, answer, { LockID: id, Holder });
  if (answer === 'no_upgrade') turn.fail(field, 'not_locked', { Why: 'no_upgrade' });
  if (turn.failed.length > 0) return {};
  if (now.shared !== undefined || read === true || limit !== undefined) return takeShared(turn, now, operation);
  const after = grant(at, now, operation, at.rev);
  turn.changes.set(nameOf('lock', account, id), { lease: after.lease, ended: after.ended });
  return granted(at, now, after.lease, operation);
}

function takeShared(turn: Turn, now: SharedNow, operation: LockOperation): object {
  const own = leaseOf(now, operation);
  const before = own === undefined ? { ended: now.ended } : { lease: own, ended: now.ended };
  const { lease, free: Free } = takeShare(turn, now, operation);
  return { ...granted(turn.at, before, lease, operation), Free };
}
