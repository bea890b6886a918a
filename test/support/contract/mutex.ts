/** Mutexes: locks that are in memory only. Their fences are numbers of their own, not revisions. */
import { busy, end, grant, granted, isOwn, leaseAt, lost, mutexMemoryMs, whatUnlockDoes } from './lease.ts';
import { done, refuse, type Moment, type Outcome } from './moment.ts';
import { nameOf } from './state.ts';
import type { MutexLock, MutexUnlock } from '../../../src/protocol/operations/mutex.ts';

export const mutex = {
  commands: {
    'mutex.lock': (at: Moment, { account, lock }: MutexLock): Outcome => {
      const name = nameOf('mutex', account, lock.id);
      const before = leaseAt(at, name);
      if (before.lease !== undefined && !isOwn(before.lease, lock))
        return refuse('not_locked', busy(at, name, before.lease));
      const entry = grant(at, before, lock, at.mutexHandle);
      return done(at, granted(at, before, entry.lease, lock), [{ name, entry }]);
    },
    'mutex.unlock': (at: Moment, { account, unlock }: MutexUnlock): Outcome => {
      const name = nameOf('mutex', account, unlock.id);
      const before = leaseAt(at, name);
      const answer = whatUnlockDoes(before, unlock);
      if (answer.does === 'fail') return refuse('lock_lost', lost(before, unlock.id, unlock));
      if (answer.does === 'nothing') return done(at, {});
      return done(at, {}, [{ name, entry: end(before, answer.why, at.now, mutexMemoryMs) }]);
    },
  },
};
