/** Rate limits. The parameters follow from the name, as in a program; now and then a call has others. */
import type { Habits } from './habits.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import type { LimitOperation } from '../../../src/protocol/operations/limit.ts';

type Parameters = Pick<LimitOperation, 'rateThousandths' | 'perMs' | 'burst'>;

const usual: readonly Parameters[] = [
  { rateThousandths: 3000, perMs: 1000, burst: 4 },
  { rateThousandths: 700, perMs: 1500, burst: 3 },
  { rateThousandths: 7_000_000, perMs: 1000, burst: 2 },
];
const others: readonly Parameters[] = [
  { rateThousandths: 1000, perMs: 100, burst: 1 },
  { rateThousandths: 3_000_000_001, perMs: 1, burst: 7 },
];

/** Those that a key is used with, unless something else is wanted. */
export function parametersOf(key: string): Parameters {
  return usual[Number(/\d+$/.exec(key)?.[0] ?? 0) % usual.length]!;
}

/** Does not wait: what a batch waits for, it waits for before it begins. */
export function takeFrom(h: Habits, key: string): LimitOperation {
  const parameters = h.chance(h.otherLimits) ? h.one(others) : parametersOf(key);
  const cost = h.chance(10) ? 0 : h.chance(15) ? parameters.burst : 1;
  return { key, ...parameters, cost, waitMs: 0 };
}

export const limit = {
  'limit.take': (h: Habits): Command => {
    const operation = { ...takeFrom(h, h.name('limit')), waitMs: h.heldMs() };
    return { kind: 'batch', account: h.account, format: 'limit.take', limit: [operation] };
  },
};
