import type { Revision } from '../protocol/ids.ts';

/** Who waits for a revision to become durable: a checkpoint now and then, and the first commit after a start. */
export class DurabilityWaiters {
  #waiting: { readonly rev: Revision; readonly run: () => void }[] = [];

  add(rev: Revision, run: () => void): void {
    this.#waiting.push({ rev, run });
  }

  reached(durable: Revision): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ rev }) => rev > durable);
    for (const { rev, run } of waiting) if (rev <= durable) run();
  }
}
