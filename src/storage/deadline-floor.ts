/**
 * Where to look for the next deadline. Deadlines that have passed leave a trail of tombstones until the next
 * checkpoint, and a walk over it for each question would be quadratic. So no live deadline key is below the floor: it
 * moves up when a scan finds the first live one, and down when an earlier deadline is added.
 */
import { mergeLayers, type Layer } from './layer-merge.ts';
import { deadlineEnd, deadlinePrefix, tillOf, type StorageKey } from './storage-key.ts';

export class DeadlineFloor {
  #key: StorageKey = deadlinePrefix;
  /** The floor is itself a live deadline key. */
  #isLive = false;

  get key(): StorageKey {
    return this.#key;
  }

  /** The lowest till; Infinity: there is none. */
  next(deadlines: readonly Layer<true>[]): number {
    if (!this.#isLive && this.#key !== deadlineEnd) {
      const [first] = mergeLayers(deadlines, this.#key, deadlineEnd);
      this.#key = first === undefined ? deadlineEnd : first[0];
      this.#isLive = first !== undefined;
    }
    return this.#isLive ? tillOf(this.#key) : Infinity;
  }

  added(deadline: StorageKey): void {
    if (deadline > this.#key) return;
    this.#key = deadline;
    this.#isLive = true;
  }

  removed(deadline: StorageKey): void {
    if (deadline === this.#key) this.#isLive = false;
  }
}
