/**
 * What the dispatcher counts of tasks, for `/metrics`. It is the only one to write, and front ends read.
 *
 *     Float64: ok │ failed │ dead │ skipped │ in line or running │ requests under way │ seconds late │ runs by bucket
 */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { Histogram } from '../protocol/stats.ts';
import { addHistogram } from './histograms.ts';
import { bucketBounds, bucketCount, bucketOf } from './request-metrics.ts';

const outcomes = ['ok', 'failed', 'dead', 'skipped'] as const;
type Outcome = (typeof outcomes)[number];
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
    this.#cells[outcomes.indexOf(how)]! += 1;
  }

  skipped(instants: number): void {
    this.#cells[outcomes.indexOf('skipped')]! += instants;
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
    return this.#cells[outcomes.indexOf(how)]!;
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

export function addTaskMetrics(registry: Registry, refreshers: (() => void)[], counts: SharedTaskCounts): void {
  const runs = new Counter({
    name: 'dragonlock_task_runs_total',
    help: 'Tries of tasks, and instants that were passed over, by what came of them',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const due = new Gauge({
    name: 'dragonlock_task_due',
    help: 'Tasks that are due and stand in line, or run',
    registers: [registry],
  });
  const requests = new Gauge({
    name: 'dragonlock_task_requests',
    help: 'Requests of tasks under way',
    registers: [registry],
  });
  refreshers.push(() => {
    runs.reset();
    for (const outcome of outcomes) runs.inc({ outcome }, counts.outcome(outcome));
    due.set(counts.due);
    requests.set(counts.sending);
  });
  addHistogram(registry, 'dragonlock_task_late_seconds', 'From the instant of a run to its beginning', () => [
    { labels: {}, histogram: counts.lateness() },
  ]);
}
