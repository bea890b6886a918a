/** The last slow requests of this front end, each as the log of requests would tell it: keys only with `log.keys`. */
import { slowRequestsMax } from '../shared/limits.ts';

export class SlowRequests<T> {
  readonly #ring: T[] = [];
  #next = 0;

  add(request: T): void {
    this.#ring[this.#next] = request;
    this.#next = (this.#next + 1) % slowRequestsMax;
  }

  /** The newest first. */
  all(): T[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)].toReversed();
  }
}
