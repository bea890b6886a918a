/**
 * When a front end begins a request: parses it and hands it to the router. As long as the thread has little to do, that
 * is at once. In a busy turn of the event loop, what comes after the first milliseconds waits in a fair queue, which
 * the following turns work off, a few milliseconds each; the sockets are looked at in between. So the requests of an
 * account are begun soon, whatever the others have sent. Other work for one account that comes in pieces, such as the
 * slices of a large reply, takes its turn here too.
 */
import { FairQueue } from '../../shared/fair-queue.ts';

/** In one turn of the event loop, requests are begun at once for this long. */
const atOnceMicros = 3000;
/** The queue is worked off for this long at a time. */
const sliceMicros = 3000;

export interface RequestTurnsOptions {
  /** Returns the microseconds that this thread has worked, since an arbitrary moment. */
  readonly meter: () => number;
  /** Runs after the events that are waiting now. */
  readonly defer: (run: () => void) => void;
}

export class RequestTurns {
  readonly #options: RequestTurnsOptions;
  readonly #waiting = new FairQueue<() => void>();
  /** What this turn of the event loop has spent on requests that were begun at once. */
  #spent = 0;
  #scheduled = false;

  constructor(options: RequestTurnsOptions) {
    this.#options = options;
  }

  /** The number of requests that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Begins a request of the account now, or when it is the account's turn. `begin` must not throw. */
  run(account: string, begin: () => void): void {
    if (this.#waiting.size > 0 || this.#spent >= atOnceMicros) {
      this.#waiting.push(account, begin);
    } else {
      const start = this.#options.meter();
      begin();
      this.#spent += this.#options.meter() - start;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.defer(() => this.#slice());
  }

  #slice(): void {
    const { meter, defer } = this.#options;
    this.#spent = 0;
    this.#waiting.beginTurn();
    const start = meter();
    let before = start;
    while (before - start < sliceMicros) {
      // What is dear begins a slice of its own: requests that were begun before it are sent to their shards first.
      const left = before === start ? Infinity : sliceMicros - (before - start);
      const begin = this.#waiting.take(false, undefined, left);
      if (begin === undefined) {
        if (this.#waiting.isDear) break;
        this.#scheduled = false;
        return;
      }
      begin();
      const after = meter();
      this.#waiting.charge(after - before, false);
      before = after;
    }
    defer(() => this.#slice());
  }
}
