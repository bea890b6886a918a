/** What an account has. */
import type { Habits } from './habits.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export const usage = {
  'account.usage': (h: Habits): Command => ({ kind: 'account.usage', account: h.account }),
};
