/**
 * What ends at a time and lives in memory: waits whose LockWait runs out, mutexes, the memory of free mutexes. A timer
 * is a row: when, of which kind, and whose. Entries on disk have an index of their own (`Entries.due`); the actor sleeps
 * until the earlier of the two.
 */
import BTree from 'sorted-btree';

/**
 * wait: a request, by `refName`. mutex: a mutex, by `nameOf`. lock: a lock, by `nameOf`, whose lease ends before the time
 * that its entry is filed under.
 */
export type TimerKind = 'wait' | 'mutex' | 'lock';

export interface Timer {
  /** Milliseconds on the server's clock. */
  readonly at: number;
  /** Tells equal times apart, in the order in which they were set. */
  readonly seq: number;
  readonly kind: TimerKind;
  readonly key: string;
}

export class Timers {
  readonly #rows = new BTree.default<Timer, true>(undefined, (a, b) => a.at - b.at || a.seq - b.seq);
  #seq = 0;

  set(at: number, kind: TimerKind, key: string): Timer {
    this.#seq += 1;
    const timer = { at, seq: this.#seq, kind, key };
    this.#rows.set(timer, true);
    return timer;
  }

  clear(timer: Timer): void {
    this.#rows.delete(timer);
  }

  /** Infinity when there is none. */
  next(): number {
    return this.#rows.minKey()?.at ?? Infinity;
  }

  /** Takes out the earliest that has passed. */
  shiftDue(now: number): Timer | undefined {
    const first = this.#rows.minKey();
    if (first === undefined || first.at > now) return undefined;
    this.#rows.delete(first);
    return first;
  }

  get size(): number {
    return this.#rows.size;
  }
}
