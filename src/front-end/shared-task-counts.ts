/**
 * What the dispatcher counts of tasks, for `/metrics`. It is the only one to write, and front ends read. It is apart from
 * task-metrics.ts, so that the dispatcher does not load the library of metrics.
 *
 *     Float64: ok │ failed │ dead │ skipped │ in line or running │ requests under way │ seconds late │ runs by bucket
 */
import type { Histogram } from '../protocol/stats.ts';
import { bucketBounds, bucketCount, bucketOf } from './request-metrics.ts';

export const taskOutcomes = ['ok', 'failed', 'dead', 'skipped'] as const;
type Outcome = (typeof taskOutcomes)[number];
const dueAt = 4;
const sendingAt = 5;
const lateAt = 6;
const bucketsAt = 7;

export class SharedTaskCounts {
  readonly #cells: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Float64Array(memory);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer((bucketsAt + bucketCount) * Float64Array.BYTES_PER_ELEMENT);
  }

  ended(how: Exclude<Outcome, 'skipped'>): void {
    this.#cells[taskOutcomes.indexOf(how)]! += 1;
  }

  skipped(instants: number): void {
    this.#cells[taskOutcomes.indexOf('skipped')]! += instants;
  }

  late(ms: number): void {
    // One that was asked for begins ahead of its instant.
    const seconds = Math.max(0, ms) / 1000;
    this.#cells[lateAt]! += seconds;
    this.#cells[bucketsAt + bucketOf(seconds * 1e6)]! += 1;
  }

  inLine(tasks: number, sending: number): void {
    this.#cells[dueAt] = tasks;
    this.#cells[sendingAt] = sending;
  }

  outcome(how: Outcome): number {
    return this.#cells[taskOutcomes.indexOf(how)]!;
  }

  get due(): number {
    return this.#cells[dueAt]!;
  }

  get sending(): number {
    return this.#cells[sendingAt]!;
  }

  lateness(): Histogram {
    let count = 0;
    const counts = Array.from(this.#cells.subarray(bucketsAt), (runs) => (count += runs));
    return { bounds: bucketBounds, counts, sum: this.#cells[lateAt]!, count };
  }
}
