/** Counters: a number for each key, 0 where there is none. */
import type { Moment, Outcome, Performed, Turn } from './moment.ts';
import { page } from './page.ts';
import { nameOf, type NumberEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { CounterList, CounterOperation } from '../../../src/protocol/operations/counter.ts';

export const counter = {
  /** Each operation sees those before it. */
  perform(turn: Turn, { format, counter: operations }: Batch): Performed {
    const Atomic = operations?.map((operation, i) => count(turn, `Atomic[${i}]`, operation));
    switch (format) {
      case 'counter.get':
        return { reply: latest(turn, operations![0]!.key) === undefined ? undefined : Atomic![0]! };
      case 'counter.add':
      case 'counter.reset':
        return { reply: Atomic![0]! };
      default:
        return { members: { Atomic } };
    }
  },

  commands: {
    'counter.list': (at: Moment, call: CounterList): Outcome =>
      page(at, call, (key) => {
        const entry = numberAt(at, call.account, key);
        return entry && { Key: key, Value: entry.n, TillMs: entry.till };
      }),
  },
};

function count(turn: Turn, field: string, { key, op, n, ifEq, floor, ceil, ttlMs }: CounterOperation): object {
  const name = nameOf('counter', turn.account, key);
  const before = latest(turn, key);
  const old = before?.n;
  const from = old ?? 0;
  if (ifEq !== undefined && ifEq !== from) turn.fail(field, 'precondition_failed', { Key: key, Value: from });
  if (op === 'get') return { Key: key, Value: from, TillMs: before?.till };
  if (op === 'reset') {
    if (old !== undefined) turn.changes.set(name, undefined);
    return { Key: key, Value: 0, Old: old };
  }
  const value = { add: from + n, set: n, max: Math.max(from, n), min: Math.min(from, n) }[op];
  if (!Number.isSafeInteger(value)) turn.fail(field, 'overflow', { Key: key, Value: from });
  // An addition may start outside of its bounds, and come closer.
  const tooLow = floor !== undefined && n < 0 && value < floor;
  const tooHigh = ceil !== undefined && n > 0 && value > ceil;
  if (tooLow || tooHigh) turn.fail(field, 'out_of_bounds', { Key: key, Value: from });
  // Only who makes it says when it ends.
  const till = before !== undefined ? before.till : ttlMs === undefined ? undefined : turn.at.now.plus(ttlMs);
  turn.changes.set(name, { n: value, ...(till && { till }) });
  return { Key: key, Value: value, Old: from, TillMs: till };
}

function latest(turn: Turn, key: string): NumberEntry | undefined {
  const name = nameOf('counter', turn.account, key);
  return turn.changes.has(name)
    ? (turn.changes.get(name) as NumberEntry | undefined)
    : numberAt(turn.at, turn.account, key);
}

export function numberAt(at: Moment, account: string, key: string): NumberEntry | undefined {
  const name = nameOf('counter', account, key);
  const entry = at.state.get(name) as NumberEntry | undefined;
  if (entry?.till === undefined) return entry;
  return at.over(name, entry, entry.till, false) ? undefined : entry;
}
