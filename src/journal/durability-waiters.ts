import type { Revision } from '../protocol/ids.ts';

/** Callbacks that wait for a revision to become durable: checkpoints, and the first commit after a start. */
export class DurabilityWaiters {
  #waiting: { readonly rev: Revision; readonly run: () => void }[] = [];

  /** Calls `run` once `rev` is durable. */
  add(rev: Revision, run: () => void): void {
    this.#waiting.push({ rev, run });
  }

  /** Everything up to `durable` is on disk. */
  reached(durable: Revision): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ rev }) => rev > durable);
    for (const { rev, run } of waiting) if (rev <= durable) run();
  }
}
