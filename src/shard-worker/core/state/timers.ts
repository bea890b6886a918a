/**
 * Things in memory that end at a time: waiters whose LockWait runs out, mutexes, and the memory of free mutexes.
 * Entries on disk have an index of their own (`Entries.due`); the actor sleeps until the earlier of the two.
 */
import BTree from 'sorted-btree';

export interface Deadline<Item> {
  /** Milliseconds on the server's clock. */
  readonly at: number;
  /** Tells equal times apart, in the order in which they were set. */
  readonly seq: number;
  readonly item: Item;
}

export class Deadlines<Item> {
  readonly #tree = new BTree.default<Deadline<Item>, true>(undefined, (a, b) => a.at - b.at || a.seq - b.seq);
  #seq = 0;

  set(at: number, item: Item): Deadline<Item> {
    this.#seq += 1;
    const deadline = { at, seq: this.#seq, item };
    this.#tree.set(deadline, true);
    return deadline;
  }

  clear(deadline: Deadline<Item>): void {
    this.#tree.delete(deadline);
  }

  /** Infinity when there is none. */
  next(): number {
    return this.#tree.minKey()?.at ?? Infinity;
  }

  /** Takes out the earliest that has passed. */
  shiftDue(now: number): Item | undefined {
    const first = this.#tree.minKey();
    if (first === undefined || first.at > now) return undefined;
    this.#tree.delete(first);
    return first.item;
  }

  get size(): number {
    return this.#tree.size;
  }
}
