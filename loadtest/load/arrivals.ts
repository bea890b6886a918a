/**
 * Schedules the requests of an open loop. Arrivals of many independent clients are a Poisson process: gaps are
 * exponential, so requests come in bursts, as in production. The schedule does not depend on replies: a server that
 * stalls does not get fewer requests, and each request is timed from its due time. (A closed loop sends nothing while
 * it waits, and so counts a stall once instead of for every request that it delays: "coordinated omission".)
 */
export interface Arrivals {
  /** Takes the next arrival. Returns its due time, in milliseconds since the start. */
  next(): number;
  /** Returns the due time of the next arrival without taking it. */
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

/**
 * Sends each due request over a free connection, or queues it until one is free; either way it is timed from its due
 * time.
 */
export class OpenLoop<Connection> {
  readonly #arrivals: Arrivals;
  readonly #send: (connection: Connection, dueMs: number) => void;
  readonly #free: Connection[];
  readonly #inFlight = new Map<Connection, number>();
  /** Due times without a free connection, oldest first; those before `#waitingFrom` have been taken. */
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

  /** Sends or queues every request that has fallen due by `nowMs`. */
  tick(nowMs: number): void {
    while (this.#arrivals.peek() <= nowMs) {
      const due = this.#arrivals.next();
      const connection = this.waiting === 0 ? this.#free.pop() : undefined;
      if (connection === undefined) this.#waiting.push(due);
      else this.#take(connection, due);
    }
  }

  /** Call when the connection has its reply. */
  release(connection: Connection): void {
    this.#inFlight.delete(connection);
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

  /** How long each request without an answer has waited since it fell due. */
  unanswered(nowMs: number): number[] {
    const due = [...this.#inFlight.values(), ...this.#waiting.slice(this.#waitingFrom)];
    return due.map((dueMs) => nowMs - dueMs);
  }

  #take(connection: Connection, dueMs: number): void {
    this.#inFlight.set(connection, dueMs);
    this.#send(connection, dueMs);
  }
}
