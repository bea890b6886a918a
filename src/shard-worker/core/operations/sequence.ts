/** Sequences: each number is given out once. */
import { failure } from '../../../protocol/errors.ts';
import { kinds } from '../../../protocol/record.ts';
import { integerMax } from '../../../shared/limits.ts';
import { quoted } from '../../../shared/text.ts';
import type { FormatBehaviour, SectionBehaviour } from './behaviour.ts';

export const sequenceBehaviour: SectionBehaviour<'sequence'> = {
  evaluate(evaluation, { key, op, n }) {
    const { writeSet, state, batch } = evaluation;
    const entry = state.entries.get(kinds.sequence, batch.account, key);
    const last = entry === undefined ? undefined : Number(entry.value);
    if (op === 'get') return last === undefined ? {} : { to: last };
    if (op === 'reset') {
      if (last !== undefined) writeSet.put({ kind: kinds.sequence, key, till: 0 });
      return {};
    }
    const from = last ?? 0;
    if (n > integerMax - from) {
      const message = `The sequence ${JSON.stringify(key)} is at ${from}; ${n} more leave the range up to 2^53−1.`;
      evaluation.fail(failure('overflow', message, { Key: key, Value: from }));
    }
    writeSet.put({ kind: kinds.sequence, key, till: 0, value: String(from + n) });
    return { from: from + 1, to: from + n };
  },
};

export const sequenceFormats = {
  'sequence.get': {
    members: ({ asked, results }) => `"Key":${quoted(asked.sequence!.key)},"Value":${results.sequence!.to},`,
    missing: ({ asked, results }) =>
      results.sequence!.to === undefined
        ? `Nothing was taken from the sequence ${quoted(asked.sequence!.key)} yet.`
        : undefined,
  },
  'sequence.next': {
    members({ asked, results }) {
      const { from, to } = results.sequence!;
      return `"Key":${quoted(asked.sequence!.key)},"Value":${to},"From":${from},"To":${to},`;
    },
  },
  'sequence.reset': { members: ({ asked }) => `"Key":${quoted(asked.sequence!.key)},"Value":0,` },
} satisfies Record<string, FormatBehaviour>;
