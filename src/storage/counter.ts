/** The counter of one kind of an account, or of one sort of the entries of a queue; counts.ts says how it counts. */
import { countedOf, type CountedAs, type Usage } from './account-usage.ts';
import type { EntryCount } from './checkpoint-store.ts';
import type { Total } from './part-totals.ts';

export interface Counter extends EntryCount {
  /** Of its sort in all queues; a kind has none. */
  readonly total: Total | undefined;
  entries: number;
  bytes: number;
  /** The number of freezes before its last change; −1: it has not changed since the start. */
  changedAfter: number;
  entriesBefore: number;
  bytesBefore: number;
  /** The counter of another kind of the same account, or of another sort of the same queue. */
  next: Counter | undefined;
  readonly usage: Usage;
  readonly counted: CountedAs;
}

type Named = Pick<Counter, 'account' | 'kind' | 'part' | 'total'>;

export function newCounter(of: Named, usage: Usage, next: Counter | undefined): Counter {
  const { account, kind, part, total } = of;
  const zero = { entries: 0, bytes: 0, changedAfter: -1, entriesBefore: 0, bytesBefore: 0 };
  return { account, kind, part, total, ...zero, next, usage, counted: countedOf(of) };
}
