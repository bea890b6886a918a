/** Sequences. */
import type { Habits } from './habits.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

const call = (h: Habits, op: 'get' | 'next' | 'reset', n: number): Command => ({
  kind: 'batch',
  account: h.account,
  format: `sequence.${op}`,
  sequence: { key: h.name('sequence'), op, n },
});

export const sequence = {
  'sequence.get': (h: Habits): Command => call(h, 'get', 1),
  'sequence.next': (h: Habits): Command => call(h, 'next', h.count()),
  'sequence.reset': (h: Habits): Command => call(h, 'reset', 1),
};
