/** Locks, alone or as part of a batch: taken, extended, given back, guarded by, looked at. */
import {
  busy,
  end,
  grant,
  granted,
  holder,
  isOwn,
  leaseAt,
  lockMemoryMs,
  lost,
  whatUnlockDoes,
  type LockNow,
} from './lease.ts';
import { done, refuse, type Moment, type Outcome, type Performed, type Turn } from './moment.ts';
import { page } from './page.ts';
import { nameOf } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { LockInspect, LockList, LockOperation, UnlockOperation } from '../../../src/protocol/operations/lock.ts';

export const lock = {
  /** A batch whose lock is held by somebody else is refused or waits, whatever else is in it. */
  early(at: Moment, { account, lock: operation }: Batch): Outcome | undefined {
    if (operation === undefined || operation.extend !== undefined) return undefined;
    const { lease } = lockAt(at, account, operation.id);
    if (lease === undefined || isOwn(lease, operation)) return undefined;
    return refuse('not_locked', busy(at, nameOf('lock', account, operation.id), lease));
  },

  perform(turn: Turn, { format, guard, unlock, lock: operation }: Batch): Performed {
    guard?.forEach(({ id, fence }, i) => {
      const guarded = lockAt(turn.at, turn.account, id);
      if (guarded.lease?.fence !== fence) turn.fail(`Guard[${i}]`, 'lock_lost', lost(guarded, id, { fence }));
    });
    if (unlock !== undefined) release(turn, unlock);
    const members = operation && take(turn, operation);
    if (format === 'lock.acquire') return { reply: members };
    return format === 'lock.release' ? { reply: {} } : { members: members ?? {} };
  },

  commands: {
    'lock.inspect': (at: Moment, { account, id, fence }: LockInspect): Outcome => {
      const now = lockAt(at, account, id);
      const { lease } = now;
      if (fence !== undefined && fence !== lease?.fence) return refuse('lock_lost', lost(now, id, { fence: fence }));
      const held = lease === undefined ? {} : holder(lease);
      return done(at, { Locked: lease !== undefined, ...held, Waiters: at.waiters(nameOf('lock', account, id)) });
    },
    'lock.list': (at: Moment, call: LockList): Outcome =>
      page(at, call, (id) => {
        const { lease } = lockAt(at, call.account, id);
        return lease && { LockID: id, ...holder(lease), Waiters: at.waiters(nameOf('lock', call.account, id)) };
      }),
  },
};

function release(turn: Turn, operation: UnlockOperation): void {
  const { id } = operation;
  const before = lockAt(turn.at, turn.account, id);
  const answer = whatUnlockDoes(before, operation);
  if (answer.does === 'fail') turn.fail('Unlock', 'lock_lost', lost(before, id, operation));
  if (answer.does !== 'release') return;
  turn.changes.set(nameOf('lock', turn.account, id), end(before, answer.why, turn.at.now, lockMemoryMs));
}

function take(turn: Turn, operation: LockOperation): object {
  const { at, account } = turn;
  const { id, extend } = operation;
  const before = lockAt(at, account, id);
  if (extend !== undefined && !isOwn(before.lease, operation)) {
    turn.fail('Unlock', 'lock_lost', lost(before, id, { fence: extend }));
  }
  const after = grant(at, before, operation, at.rev);
  turn.changes.set(nameOf('lock', account, id), after);
  return granted(at, before, after.lease, operation);
}

function lockAt(at: Moment, account: string, id: string): LockNow {
  return leaseAt(at, nameOf('lock', account, id));
}
