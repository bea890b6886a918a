/** Counters: a number for each key, 0 where there is none. */
import type { Performed, Turn } from './moment.ts';
import { nameOf, type NumberEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { CounterOperation } from '../../../src/protocol/operations/counter.ts';

export const counter = {
  /** Each operation sees those before it. */
  perform(turn: Turn, { format, counter: operations }: Batch): Performed {
    const Atomic = operations?.map((operation, i) => count(turn, `Atomic[${i}]`, operation));
    switch (format) {
      case 'counter.get':
        return { reply: numberAt(turn, operations![0]!.key) === undefined ? undefined : Atomic![0]! };
      case 'counter.add':
      case 'counter.reset':
        return { reply: Atomic![0]! };
      default:
        return { members: { Atomic } };
    }
  },
};

function count(turn: Turn, field: string, { key, op, n, ifEq, floor, ceil }: CounterOperation): object {
  const name = nameOf('counter', turn.account, key);
  const old = numberAt(turn, key);
  const from = old ?? 0;
  if (ifEq !== undefined && ifEq !== from) turn.fail(field, 'precondition_failed', { Key: key, Value: from });
  if (op === 'get') return { Key: key, Value: from };
  if (op === 'reset') {
    if (old !== undefined) turn.changes.set(name, undefined);
    return { Key: key, Value: 0, Old: old };
  }
  const value = { add: from + n, set: n, max: Math.max(from, n), min: Math.min(from, n) }[op];
  if (!Number.isSafeInteger(value)) turn.fail(field, 'overflow', { Key: key, Value: from });
  // An addition may start outside of its bounds, and come closer.
  const tooLow = floor !== undefined && value < Math.min(from, floor);
  const tooHigh = ceil !== undefined && value > Math.max(from, ceil);
  if (tooLow || tooHigh) turn.fail(field, 'out_of_bounds', { Key: key, Value: from });
  turn.changes.set(name, { n: value });
  return { Key: key, Value: value, Old: from };
}

function numberAt(turn: Turn, key: string): number | undefined {
  return (turn.latest(nameOf('counter', turn.account, key)) as NumberEntry | undefined)?.n;
}
