/** Accounts as a whole: `wipe` leaves nothing of one, `load` puts the lines of an export. */
import { anyNumber, Json, Span } from './expected.ts';
import type { Performed, Turn } from './moment.ts';
import { nameOf, type Kind, type NumberEntry } from './state.ts';
import type { LoadOperation } from '../../../src/protocol/operations/account-lines.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

const all: readonly Kind[] = [
  'kv',
  'counter',
  'sequence',
  'lock',
  'share',
  'mutex',
  'stored',
  'limit',
  'queue',
  'script',
];

export const account = {
  perform(turn: Turn, { wipe, load }: Batch): Performed {
    if (wipe !== undefined) {
      const names = all.flatMap((kind) =>
        Array.from(turn.at.state.keys(kind, turn.account, '', undefined), (key) => nameOf(kind, turn.account, key)),
      );
      for (const name of names) turn.changes.set(name, undefined);
      return { reply: { Entries: anyNumber } };
    }
    if (load === undefined) return { members: {} };
    const loaded = load.filter((operation) => put(turn, operation)).length;
    return { reply: { Loaded: loaded, Ended: load.length - loaded, Unmatched: 0 } };
  },
};

/** @returns whether its time is not over. Messages are none of the model's. */
function put(turn: Turn, operation: LoadOperation): boolean {
  const { at, account: of, changes } = turn;
  if (operation.kind === 'sequence') {
    const name = nameOf('sequence', of, operation.key);
    const before = (turn.latest(name) as NumberEntry | undefined)?.n ?? 0;
    if (operation.value > before) changes.set(name, { n: operation.value });
    return true;
  }
  if (operation.kind !== 'kv' && operation.kind !== 'counter') return true;
  const { kind, key, value, till } = operation;
  const name = nameOf(kind, of, key);
  if (value === undefined) {
    changes.set(name, undefined);
    return true;
  }
  if (till !== 0 && till <= at.now.lo) return false;
  const ends = till === 0 ? {} : { till: new Span(till, till) };
  changes.set(
    name,
    kind === 'kv' ? { version: at.rev, value: new Json(value), ...ends } : { n: Number(value), ...ends },
  );
  return true;
}
