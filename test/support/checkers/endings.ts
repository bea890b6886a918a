/**
 * What ends by itself takes a revision that nobody asked for: which those may be, for `revision-gaps.ts`. An end comes
 * after all that was told before its time.
 */
import type { Span } from '../contract/expected.ts';
import { lockMemoryMs } from '../contract/lease.ts';
import { limitMemoryMs } from '../contract/limit.ts';
import { tillOf, type Change } from '../contract/state.ts';
import type { Explainer } from './revision-gaps.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

interface Ending {
  readonly from: number;
  readonly tillLo: number;
  count: number;
}

export class Endings {
  readonly #written = new Map<string, number>();
  readonly #open = new Map<string, Ending>();
  readonly #past: Explainer[] = [];
  readonly #toldBefore: (time: number) => number;

  /** `toldBefore`: the highest revision that anybody had been told by then. */
  constructor(toldBefore: (time: number) => number) {
    this.#toldBefore = toldBefore;
  }

  /** At which revision a name was last changed. */
  lastWrite(name: string): number | undefined {
    return this.#written.get(name);
  }

  /** `now`: when these changes were made; undefined: they are only a guess, and what was there may have ended later. */
  changed(changes: readonly Change[], rev: number, now: Span | undefined): void {
    for (const { name, entry } of changes) {
      this.#written.set(name, rev);
      const before = this.#open.get(name);
      if (before !== undefined) {
        // What was replaced in time did not end by itself.
        if (before.tillLo <= (now?.hi ?? Infinity))
          this.#past.push(this.#explainer(before, now === undefined ? Infinity : rev));
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
    return [...this.#past, ...open.map((ending) => this.#explainer(ending, Infinity))];
  }

  /** Ends of what a command left, of which nobody knows whether it happened; its own revision is not among them. */
  ofUnknown(call: Command, sentAt: number, from: number, until: number, starts: number): Explainer[] {
    const ends = endsLeftBy(call).filter(({ afterMs }) => sentAt + afterMs <= until);
    return ends.map(({ afterMs, lease }) => {
      const count = lease ? 1 + starts : 1;
      return this.#explainer({ from, tillLo: sentAt + afterMs, count }, Infinity);
    });
  }

  #explainer({ from, tillLo, count }: Ending, to: number): Explainer {
    // Of a lease that got its grace at a start that may be written down before it ends.
    return { from: count > 1 ? from : Math.max(from, this.#toldBefore(tillLo)), to, count };
  }
}

/** When what a command leaves behind may end at the earliest, after it was sent. */
function endsLeftBy(call: Command): { readonly afterMs: number; readonly lease?: true }[] {
  if (call.kind !== 'batch') return [];
  const { lock, unlock, idempotency, limit = [], set = [] } = call;
  const ends: { afterMs: number; lease?: true }[] = set.flatMap(({ ttlMs }) =>
    ttlMs === undefined ? [] : [{ afterMs: ttlMs }],
  );
  for (const { ttlMs } of call.counter ?? []) if (ttlMs !== undefined) ends.push({ afterMs: ttlMs });
  for (const { cost } of limit) if (cost > 0) ends.push({ afterMs: limitMemoryMs });
  if (idempotency !== undefined) for (const _ of idempotency.ids) ends.push({ afterMs: idempotency.ttlMs });
  // A lease may end early: it is taken back when its client is found to be gone.
  if (lock !== undefined) ends.push({ afterMs: 0, lease: true });
  if (lock !== undefined || unlock !== undefined) ends.push({ afterMs: lockMemoryMs });
  return ends;
}
