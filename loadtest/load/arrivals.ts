/**
 * When requests of an open loop fall due. Arrivals of many independent clients are a Poisson process: gaps are
 * exponential, so that bunches come as they do in life. The schedule is fixed before anything is sent, and knows nothing
 * of replies: a server that stalls does not get fewer requests, and those that fall due meanwhile are timed from then.
 * (A closed loop sends nothing while it waits, and so measures a stall once instead of for everyone whom it hit:
 * "coordinated omission".)
 */
export interface Arrivals {
  /** Milliseconds since the start at which the next request falls due; it is then the turn of the one behind it. */
  next(): number;
  /** The same without taking it. */
  peek(): number;
}

export function poissonArrivals(perSecond: number, random: () => number): Arrivals {
  const meanMs = 1000 / perSecond;
  let dueMs = 0;
  const advance = (): void => {
    // 1 - random() is never 0.
    dueMs -= meanMs * Math.log(1 - random());
  };
  advance();
  return {
    peek: () => dueMs,
    next() {
      const due = dueMs;
      advance();
      return due;
    },
  };
}

/** Whoever is due is taken by a free connection, or waits in line for one; both ways it is timed from its due time. */
export class OpenLoop<Connection> {
  readonly #arrivals: Arrivals;
  readonly #send: (connection: Connection, dueMs: number) => void;
  readonly #free: Connection[];
  readonly #underWay = new Map<Connection, number>();
  /** Due times nobody was free for, oldest first, from `#waitingFrom` on. */
  #waiting: number[] = [];
  #waitingFrom = 0;

  constructor(
    arrivals: Arrivals,
    connections: readonly Connection[],
    send: (connection: Connection, dueMs: number) => void,
  ) {
    this.#arrivals = arrivals;
    this.#send = send;
    this.#free = [...connections];
  }

  get waiting(): number {
    return this.#waiting.length - this.#waitingFrom;
  }

  /** Everything that has fallen due up to `nowMs`. */
  tick(nowMs: number): void {
    while (this.#arrivals.peek() <= nowMs) {
      const due = this.#arrivals.next();
      const connection = this.waiting === 0 ? this.#free.pop() : undefined;
      if (connection === undefined) this.#waiting.push(due);
      else this.#take(connection, due);
    }
  }

  /** The connection has its reply. */
  release(connection: Connection): void {
    this.#underWay.delete(connection);
    if (this.waiting === 0) {
      this.#free.push(connection);
      return;
    }
    const due = this.#waiting[this.#waitingFrom++]!;
    if (this.#waitingFrom === this.#waiting.length) {
      this.#waiting = [];
      this.#waitingFrom = 0;
    }
    this.#take(connection, due);
  }

  /** For how long those have waited that fell due and are not answered. */
  unanswered(nowMs: number): number[] {
    const due = [...this.#underWay.values(), ...this.#waiting.slice(this.#waitingFrom)];
    return due.map((dueMs) => nowMs - dueMs);
  }

  #take(connection: Connection, dueMs: number): void {
    this.#underWay.set(connection, dueMs);
    this.#send(connection, dueMs);
  }
}
