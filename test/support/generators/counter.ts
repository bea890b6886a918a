/** Counters. */
import type { Habits } from './habits.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import type { CounterOperation } from '../../../src/protocol/operations/counter.ts';

/** What a batch of clients may have; `reset` only alone. */
export const batchCounterOps = ['add', 'add', 'set', 'max', 'min'] as const;

export function count(
  h: Habits,
  key: string,
  ops: readonly CounterOperation['op'][] = batchCounterOps,
): CounterOperation {
  const op = h.one(ops);
  const ifEq = h.ifEq(key, op);
  return { key, op, n: h.number(), ...ifEq, ...h.bounds(op), ...h.counterTtl() };
}

const call = (h: Habits, op: 'get' | 'add' | 'reset', n: number): Command => ({
  kind: 'batch',
  account: h.account,
  format: `counter.${op}`,
  counter: [{ key: h.name('counter'), op, n, ...h.bounds(op) }],
});

export const counter = {
  'counter.list': (h: Habits): Command => {
    const prefix = h.one(h.prefixes);
    return { kind: 'counter.list', account: h.account, prefix, limit: 1 + h.below(h.limitMax) };
  },
  'counter.get': (h: Habits): Command => call(h, 'get', 0),
  'counter.add': (h: Habits): Command => call(h, 'add', 1),
  'counter.reset': (h: Habits): Command => call(h, 'reset', 0),
};
