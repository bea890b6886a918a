/** How long to wait after failures that follow each other: 1 to 60 seconds, with full jitter. */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random returns 0 to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): number {
    const most = Math.min(firstMs * 2 ** this.#failures, mostMs);
    this.#failures += 1;
    return leastMs + this.#random() * (most - leastMs);
  }
}

const leastMs = 100;
const firstMs = 1000;
const mostMs = 60_000;
