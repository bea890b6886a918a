/** Counters: integers that only ever move within ±(2^53−1). */
import { failure } from '../../../protocol/errors.ts';
import type { CounterOperation } from '../../../protocol/operations/counter.ts';
import { kinds } from '../../../protocol/record.ts';
import { quoted } from '../../../shared/text.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';

export const counterBehaviour: SectionBehaviour<'counter'> = {
  evaluate(evaluation, operation) {
    const { key, op, ifEq } = operation;
    const { writeSet } = evaluation;
    const old = valueBefore(evaluation, key);
    const from = old ?? 0;
    if (ifEq !== undefined && ifEq !== from) {
      const message = `The counter ${JSON.stringify(key)} is ${from}; IfEq expected ${ifEq}.`;
      evaluation.fail(failure('precondition_failed', message, { Key: key, Value: from }));
    }
    if (op === 'get') return old === undefined ? {} : { value: old };
    if (op === 'reset') {
      if (old !== undefined) writeSet.put({ kind: kinds.counter, key, till: 0 });
      return { value: 0, ...(old === undefined ? {} : { old }) };
    }
    const value = moved(from, operation);
    if (!Number.isSafeInteger(value)) {
      const message = `The counter ${JSON.stringify(key)} is ${from}; adding ${operation.n} leaves the range ±(2^53−1).`;
      evaluation.fail(failure('overflow', message, { Key: key, Value: from }));
    }
    const crossed = boundCrossed(operation, value);
    if (crossed !== undefined) {
      const message = `The counter ${JSON.stringify(key)} is ${from}; adding ${operation.n} takes it ${crossed}.`;
      evaluation.fail(failure('out_of_bounds', message, { Key: key, Value: from }));
    }
    writeSet.put({ kind: kinds.counter, key, till: 0, value: String(value) });
    return { value, old: from };
  },
  members: (answered) =>
    `"Atomic":[${answered.asked.counter!.map((_, i) => `{${counterMembers(answered, i)}}`).join(',')}],`,
};

function moved(from: number, { op, n }: CounterOperation): number {
  return op === 'add' ? from + n : op === 'set' ? n : op === 'max' ? Math.max(from, n) : Math.min(from, n);
}

/** The bound that an `add` ends beyond. One that starts outside may come closer, and need not reach the range. */
function boundCrossed({ n, floor, ceil }: CounterOperation, value: number): string | undefined {
  if (floor !== undefined && n < 0 && value < floor) return `below ${floor}, its floor`;
  if (ceil !== undefined && n > 0 && value > ceil) return `above ${ceil}, its ceil`;
  return undefined;
}

/** Returns the counter's value, including what the batch itself has done to it so far. */
function valueBefore({ writeSet, state, batch }: BatchEvaluation, key: string): number | undefined {
  const pending = writeSet.find(kinds.counter, key);
  const text = pending === undefined ? state.entries.get(kinds.counter, batch.account, key)?.value : pending.value;
  return text === undefined ? undefined : Number(text);
}

const oneCounter: FormatBehaviour = { members: (answered) => `${counterMembers(answered, 0)},` };

export const counterFormats = {
  'counter.get': {
    ...oneCounter,
    missing: ({ asked, results }) =>
      results.counter![0]!.value === undefined ? `There is no counter ${quoted(asked.counter![0]!.key)}.` : undefined,
  },
  'counter.add': oneCounter,
  'counter.reset': oneCounter,
} satisfies Record<string, FormatBehaviour>;

function counterMembers({ asked, results }: Answered, i: number): string {
  const { value, old } = results.counter![i]!;
  const name = quoted(asked.counter![i]!.key);
  return `"Key":${name},"Value":${value ?? 0}${old === undefined ? '' : `,"Old":${old}`}`;
}
