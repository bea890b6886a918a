/** How many entries all queues of a shard together have, by letter and state. A counter keeps the total of its sort. */
import type { PartTotal } from '../protocol/entries.ts';

export interface Total extends PartTotal {
  entries: number;
}

export class PartTotals {
  /** By letter and state. */
  readonly #totals = new Map<string, Total>();

  /** Of the sort of this part, see `partOf`. */
  of(part: string): Total {
    const letter = part.charAt(part.indexOf('\0') + 1);
    const state = part.at(-1)!;
    let total = this.#totals.get(letter + state);
    if (total === undefined) this.#totals.set(letter + state, (total = { letter, state, entries: 0 }));
    return total;
  }

  all(): Iterable<PartTotal> {
    return this.#totals.values();
  }
}
