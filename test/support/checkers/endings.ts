/** What ends by itself takes a revision that nobody asked for: which those may be, for `revision-gaps.ts`. */
import type { Span } from './expected.ts';
import type { Change, Entry, KvEntry, LockEntry } from './model-state.ts';
import type { Explainer } from './revision-gaps.ts';

interface Ending {
  readonly from: number;
  readonly tillLo: number;
  count: number;
}

export class Endings {
  readonly #written = new Map<string, number>();
  readonly #open = new Map<string, Ending>();
  readonly #past: Explainer[] = [];

  /** At which revision a name was last changed. */
  lastWrite(name: string): number | undefined {
    return this.#written.get(name);
  }

  /** `now`: when these changes were made; undefined if nobody knows. */
  changed(changes: readonly Change[], rev: number, now: Span | undefined): void {
    for (const { name, entry } of changes) {
      this.#written.set(name, rev);
      const before = this.#open.get(name);
      if (before !== undefined) {
        // What was replaced in time did not end by itself.
        if (before.tillLo <= (now?.hi ?? Infinity))
          this.#past.push({ from: before.from, to: rev, count: before.count });
        this.#open.delete(name);
      }
      const till = entry === undefined ? undefined : tillOf(entry);
      if (till !== undefined) this.#open.set(name, { from: rev, tillLo: till.lo, count: 1 });
    }
  }

  /** A start takes a revision; and where a lease gets its grace, that may be written down. */
  restarted(from: number, to: number, starts: number): void {
    this.#past.push({ from, to, count: starts });
    for (const [name, ending] of this.#open) if (name.startsWith('l')) ending.count += starts;
  }

  /** `until`: the last moment of the history. */
  explainers(until: number): Explainer[] {
    const open = [...this.#open.values()].filter(({ tillLo }) => tillLo <= until);
    return [...this.#past, ...open.map(({ from, count }) => ({ from, to: Infinity, count }))];
  }
}

function tillOf(entry: Entry): Span | undefined {
  const { till } = entry as KvEntry;
  if (till !== undefined) return till;
  const { lease, forget } = entry as LockEntry;
  return lease?.till ?? forget;
}
