/**
 * Timers of what lives in memory only: LockWait, the leases of mutexes, the history of free mutexes. A timer is a row:
 * a time, a kind and a key. Entries on disk have an index of their own (`Entries.due`); the actor sleeps until the
 * earlier of the two.
 */
import BTree from 'sorted-btree';

/**
 * wait: a request, by `refName`. mutex: a mutex, by `nameOf`. lock: a lock that requests wait for, by `nameOf`, when its
 * lease ends.
 */
export type TimerKind = 'wait' | 'mutex' | 'lock';

export interface Timer {
  /** Milliseconds on the server's clock. */
  readonly at: number;
  /** Orders timers with equal times as they were set. */
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

  /** Returns the earliest time; Infinity without timers. */
  next(): number {
    return this.#rows.minKey()?.at ?? Infinity;
  }

  /** Removes and returns the earliest timer that is due. */
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
