/** Scripts that move money, and whether each was one guarded batch, run alone on what stood before it: I28 and I29. */
import { kinds, type CommitRecord } from '../../../src/protocol/record.ts';
import { Violation } from '../trace.ts';

export const balances = ['b0', 'b1', 'b2', 'b3'];
export const opening = 20;

/** Marks each call, so that a second run under its idempotency id would be seen. */
export const transferSource = `export default (tx, { from, to, amount, mark }) => {
  const before = tx.get(from);
  if (before < amount) tx.fail('insufficient', before);
  const other = tx.get(to);
  tx.set(from, before - amount);
  tx.set(to, other + amount);
  tx.set('mark/' + mark, (tx.get('mark/' + mark) ?? 0) + 1);
  return before - amount;
}`;
/** Reads two lists, which are not of one moment: its commit must notice. */
export const auditSource = `export default (tx) => {
  const rows = [...tx.list('b', { limit: 2 }), ...tx.list('b', { after: 'b1', limit: 2 })];
  return rows.reduce((sum, { value }) => sum + value, 0);
}`;
export const runSource = `export default (tx, id) => tx.set('ran/' + id, (tx.get('ran/' + id) ?? 0) + 1)`;

export interface Transfer {
  readonly from: string;
  readonly to: string;
  readonly amount: number;
  readonly mark: string;
}

export type TransferEnd =
  | { readonly kind: 'done'; readonly rev: number; readonly result: number }
  | { readonly kind: 'refused' };

export class Transfers {
  readonly #asked = new Map<string, Transfer>();
  readonly #ends = new Map<string, TransferEnd>();

  asked(transfer: Transfer): void {
    this.#asked.set(transfer.mark, transfer);
  }

  /** Those without an answer: whether they have happened, only a call under the same id can tell. */
  unanswered(): Transfer[] {
    return [...this.#asked.values()].filter(({ mark }) => !this.#ends.has(mark));
  }

  ended(mark: string, end: TransferEnd): void {
    const before = this.#ends.get(mark);
    if (before?.kind === 'done') throw new Violation(`the transfer ${mark} was answered before`);
    this.#ends.set(mark, end);
  }

  /** @returns how many transfers were committed, by the commits of the whole log */
  check(commits: Iterable<CommitRecord>): number {
    const now = new Map<string, number>();
    const done = new Set<string>();
    for (const { rev, effects } of commits) {
      const written = new Map(
        effects.flatMap(({ kind, key, value }) =>
          kind === kinds.kv && value !== undefined ? [[key, Number(value)] as const] : [],
        ),
      );
      const mark = [...written.keys()].find((key) => key.startsWith('mark/'))?.slice('mark/'.length);
      if (mark !== undefined) {
        this.#checkCommit(mark, rev, { before: now, written });
        done.add(mark);
      }
      for (const [key, value] of written) if (balances.includes(key)) now.set(key, value);
      const sum = [...now.values()].reduce((all, balance) => all + balance, 0);
      if (sum !== 0 && sum !== balances.length * opening)
        throw new Violation(`I28: the sum is ${sum} at revision ${rev}`);
    }
    for (const [mark, end] of this.#ends)
      if (end.kind === 'done' && !done.has(mark)) throw new Violation(`I1: the transfer ${mark} is lost`);
    return done.size;
  }

  #checkCommit(mark: string, rev: number, { before, written }: Commit): void {
    const { from, to, amount } = this.#asked.get(mark) ?? { from: '', to: '', amount: 0 };
    const expected = new Map([
      [from, before.get(from)! - amount],
      [to, before.get(to)! + amount],
      [`mark/${mark}`, 1],
    ]);
    const same = written.size === expected.size && [...expected].every(([key, value]) => written.get(key) === value);
    if (!same || expected.get(from)! < 0)
      throw new Violation(
        `I28: the transfer ${mark} commits ${[...written].join(' ')} at ${rev}, a run alone ${[...expected].join(' ')}`,
      );
    const end = this.#ends.get(mark);
    if (end === undefined) return;
    if (end.kind === 'refused') throw new Violation(`I29: the transfer ${mark} was refused, and has happened`);
    if (end.rev !== rev || end.result !== expected.get(from))
      throw new Violation(
        `I28: the transfer ${mark} was told ${JSON.stringify(end)}, and is ${expected.get(from)} at ${rev}`,
      );
  }
}

interface Commit {
  readonly before: ReadonlyMap<string, number>;
  readonly written: ReadonlyMap<string, number>;
}
