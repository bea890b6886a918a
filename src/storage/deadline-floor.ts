/**
 * Where to look for the next deadline. Deadlines that have passed leave a trail of tombstones until the next
 * checkpoint, and a walk over it for each question would be quadratic. So no live deadline key is below the floor: it
 * moves up when a scan finds the first live one, and down when an earlier deadline is added.
 */
import { mergeLayers, type Layer } from './layer-merge.ts';
import { tillOf, type StorageKey } from './storage-key.ts';

export class DeadlineFloor {
  #key: StorageKey;
  readonly #end: StorageKey;
  /** The floor is itself a live deadline key. */
  #isLive = false;

  /** Of the index whose keys are from `start` to `end`. */
  constructor(start: StorageKey, end: StorageKey) {
    this.#key = start;
    this.#end = end;
  }

  get key(): StorageKey {
    return this.#key;
  }

  /** The lowest till; Infinity: there is none. */
  next(deadlines: readonly Layer<true>[]): number {
    if (!this.#isLive && this.#key !== this.#end) {
      const [first] = mergeLayers(deadlines, this.#key, this.#end);
      this.#key = first === undefined ? this.#end : first[0];
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
