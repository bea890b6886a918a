/** Sequences: `next` reserves the numbers after those that were given before. */
import type { Performed, Turn } from './moment.ts';
import { nameOf, type NumberEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

export const sequence = {
  perform(turn: Turn, { sequence: operation }: Batch): Performed {
    // Only the sequence's own formats have one: the body of a batch has no member for it.
    if (operation === undefined) return { members: {} };
    const { key, op, n } = operation;
    const name = nameOf('sequence', turn.account, key);
    const last = (turn.latest(name) as NumberEntry | undefined)?.n;
    if (op === 'get') return { reply: last === undefined ? undefined : { Key: key, Value: last } };
    if (op === 'reset') {
      if (last !== undefined) turn.changes.set(name, undefined);
      return { reply: { Key: key, Value: 0 } };
    }
    const from = last ?? 0;
    const to = from + n;
    if (!Number.isSafeInteger(to)) turn.fail('n', 'overflow', { Key: key, Value: from });
    turn.changes.set(name, { n: to });
    return { reply: { Key: key, Value: to, From: from + 1, To: to } };
  },
};
