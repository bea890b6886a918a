/** Counters: integers that only ever move within ±(2^53−1). */
import { hasLapsed } from '../../../protocol/entries.ts';
import { failure } from '../../../protocol/errors.ts';
import type { CounterList, CounterOperation } from '../../../protocol/operations/counter.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import { kinds } from '../../../protocol/record.ts';
import { quoted } from '../../../shared/text.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';
import { pageOfEntries } from './list.ts';

export const counterBehaviour: SectionBehaviour<'counter'> = {
  evaluate(evaluation, operation) {
    const { key, op, ifEq } = operation;
    const { writeSet } = evaluation;
    const before = counterBefore(evaluation, key);
    const old = before === undefined ? undefined : Number(before.value);
    const from = old ?? 0;
    if (ifEq !== undefined && ifEq !== from) {
      const message = `The counter ${JSON.stringify(key)} is ${from}; IfEq expected ${ifEq}.`;
      evaluation.fail(failure('precondition_failed', message, { Key: key, Value: from }));
    }
    if (op === 'get') return old === undefined ? {} : { value: old, ...tillOf(before!.till) };
    if (op === 'reset') {
      return { value: 0, ...(reset(evaluation, key) && old !== undefined ? { old } : {}) };
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
    const { ttlMs } = operation;
    const till = before !== undefined ? before.till : ttlMs === undefined ? 0 : evaluation.now + ttlMs;
    writeSet.put({ kind: kinds.counter, key, till, value: String(value) });
    return { value, old: from, ...tillOf(till) };
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

/** Returns the counter, including what the batch itself has done to it so far; undefined: there is none. */
function counterBefore(evaluation: BatchEvaluation, key: string): { value: string; till: number } | undefined {
  const pending = evaluation.writeSet.find(kinds.counter, key);
  if (pending === undefined) return evaluation.entry(kinds.counter, key);
  const { value, till } = pending;
  return value === undefined ? undefined : { value, till };
}

/** @returns whether there was one. One whose time is over, and whose end is not committed yet, ends as expired. */
function reset({ writeSet, state, batch, now }: BatchEvaluation, key: string): boolean {
  const stored = state.entries.get(kinds.counter, batch.account, key);
  const pending = writeSet.find(kinds.counter, key);
  if (stored === undefined && pending === undefined) return false;
  const lapsed = stored !== undefined && hasLapsed(stored, now);
  writeSet.put({
    kind: kinds.counter,
    key,
    till: 0,
    ...(lapsed && pending === undefined && { expired: true as const }),
  });
  return !lapsed || pending !== undefined;
}

function tillOf(till: number): { till?: number } {
  return till === 0 ? {} : { till };
}

export function listCounters({ state, now }: Turn, command: CounterList): Page {
  return pageOfEntries(state, kinds.counter, command, ({ key, entry }) => {
    if (hasLapsed(entry, now)) return undefined;
    const till = entry.till === 0 ? '' : `,"TillMs":${entry.till}`;
    return `{"Key":${JSON.stringify(key)},"Value":${entry.value}${till}}`;
  });
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
  const { value, old, till } = results.counter![i]!;
  const name = quoted(asked.counter![i]!.key);
  return `"Key":${name},"Value":${value ?? 0}${old === undefined ? '' : `,"Old":${old}`}${till === undefined ? '' : `,"TillMs":${till}`}`;
}
