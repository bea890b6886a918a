/** Mutexes, which are asked for as locks are. */
import type { Habits } from './habits.ts';
import { giveBack, takeAlone } from './lock.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export const mutex = {
  'mutex.lock': (h: Habits): Command => ({
    kind: 'mutex.lock',
    account: h.account,
    lock: { ...takeAlone(h), id: h.name('mutex') },
  }),
  'mutex.unlock': (h: Habits): Command => ({
    kind: 'mutex.unlock',
    account: h.account,
    unlock: giveBack(h, 'mutex'),
  }),
};
