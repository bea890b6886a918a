import type { Histogram } from './stats.ts';

export const groupRecordsBounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384];
export const syncSecondsBounds = [
  0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
];
export const turnSecondsBounds = [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 1];
export const checkpointSecondsBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** Of locks: up to five minutes in line, and up to days as their holder. */
export const lockSecondsBounds = [0.001, 0.01, 0.1, 1, 5, 15, 60, 300, 1800, 7200, 86_400];

/** Counts values in fixed buckets. `observe` costs a short search and allocates nothing. */
export class BucketCounter {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? Infinity)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
    this.#count += 1;
  }

  snapshot(): Histogram {
    let below = 0;
    const counts = Array.from(this.#counts, (count) => {
      below += count;
      return below;
    });
    return { bounds: this.#bounds, counts, sum: this.#sum, count: this.#count };
  }
}
