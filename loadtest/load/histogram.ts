/**
 * Counts latencies in buckets that grow with the latency. Each power of two has 32 buckets, so a quantile of any size
 * is off by 3 % at most. Histograms of several processes can be added up, unlike the one in node:perf_hooks.
 */
const perDoubling = 32;
const shiftBits = 5;
/** Up to 2^36 µs: 19 hours. */
const doublings = 36;

/** The form that crosses processes: [µs at the bucket's upper end, count]. */
export type Buckets = readonly (readonly [upToMicros: number, count: number])[];

export class LatencyHistogram {
  readonly #counts = new Float64Array(perDoubling * (doublings + 1));
  #total = 0;
  #max = 0;

  get total(): number {
    return this.#total;
  }

  record(micros: number): void {
    const whole = Math.max(0, Math.round(micros));
    const at = indexOf(whole);
    this.#counts[at] = this.#counts[at]! + 1;
    this.#total += 1;
    if (whole > this.#max) this.#max = whole;
  }

  add(buckets: Buckets): void {
    for (const [upTo, count] of buckets) {
      const at = indexOf(upTo);
      this.#counts[at] = this.#counts[at]! + count;
      this.#total += count;
      if (upTo > this.#max) this.#max = upTo;
    }
  }

  /** Returns microseconds, at least the true quantile `q`; 0 if nothing was recorded. */
  quantile(q: number): number {
    const rank = Math.max(1, Math.ceil(this.#total * q));
    let seen = 0;
    for (let at = 0; at < this.#counts.length; at++) {
      seen += this.#counts[at]!;
      if (seen >= rank) return Math.min(this.#max, upperEnd(at));
    }
    return this.#max;
  }

  buckets(): Buckets {
    const found: [number, number][] = [];
    this.#counts.forEach((count, at) => {
      if (count > 0) found.push([upperEnd(at), count]);
    });
    return found;
  }
}

/** Below 32 each µs has its own bucket. */
function indexOf(micros: number): number {
  if (micros < perDoubling) return micros;
  const doubling = Math.min(doublings - 1, Math.floor(Math.log2(micros)) - shiftBits);
  const within = Math.min(perDoubling - 1, Math.floor(micros / 2 ** doubling) - perDoubling);
  return perDoubling * (doubling + 1) + within;
}

/** The largest whole µs in the bucket. */
function upperEnd(at: number): number {
  if (at < perDoubling) return at;
  const doubling = Math.floor(at / perDoubling) - 1;
  return (perDoubling + (at % perDoubling) + 1) * 2 ** doubling - 1;
}
