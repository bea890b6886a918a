/**
 * What the edge counts of its requests: plain numbers in typed arrays, because they are touched by every request.
 * `/metrics` turns them into Prometheus' form when it is asked (see `metrics-registry.ts`). Labels are the operation and
 * the status; never a key, an account or anything else that a client can make up.
 */
import type { Histogram } from '../protocol/stats.ts';

export const operations = [
  'batch',
  'batch_array',
  'kv_get',
  'kv_set',
  'kv_delete',
  'kv_list',
  'counter_get',
  'counter_add',
  'counter_reset',
  'sequence_get',
  'sequence_next',
  'sequence_reset',
  'lock_get',
  'lock_acquire',
  'lock_release',
  'lock_list',
  'mutex_lock',
  'mutex_unlock',
  'watch',
  'watch_stream',
  'server',
  'unknown',
] as const;

export type Operation = (typeof operations)[number];

/** Buckets double from 32 µs to about 268 s; the last one is +Inf. */
const firstBucketMicros = 32;
const bucketCount = 25;
const statusMax = 600;

interface OperationCounters {
  readonly byStatus: Float64Array;
  readonly byBucket: Float64Array;
  seconds: number;
}

export class RequestMetrics {
  /** Milliseconds of a monotonic clock, with fractions. */
  readonly now: () => number;
  /** Bodies that could not even be read as HTTP. */
  brokenConnections = 0;
  readonly #counters: ReadonlyMap<Operation, OperationCounters>;

  constructor(now: () => number) {
    this.now = now;
    this.#counters = new Map(operations.map((operation) => [operation, noneYet()]));
  }

  count(operation: Operation, status: number, startedAt: number): void {
    const counters = this.#counters.get(operation);
    if (counters === undefined) return;
    const ms = this.now() - startedAt;
    counters.byStatus[status] = (counters.byStatus[status] ?? 0) + 1;
    const bucket = bucketOf(ms * 1000);
    counters.byBucket[bucket] = (counters.byBucket[bucket] ?? 0) + 1;
    counters.seconds += ms / 1000;
  }

  /** Calls `visit` for each operation and status that has occurred. */
  forEachStatus(visit: (operation: Operation, status: number, count: number) => void): void {
    for (const [operation, { byStatus }] of this.#counters) {
      byStatus.forEach((count, status) => {
        if (count > 0) visit(operation, status, count);
      });
    }
  }

  /** Seconds from the request's head to its reply, waiting included; undefined for an operation that never occurred. */
  durations(operation: Operation): Histogram | undefined {
    const { byBucket, seconds } = this.#counters.get(operation) ?? noneYet();
    const counts: number[] = [];
    let count = 0;
    for (const inBucket of byBucket) counts.push((count += inBucket));
    return count === 0 ? undefined : { bounds: bucketBounds, counts, sum: seconds, count };
  }
}

function noneYet(): OperationCounters {
  return { byStatus: new Float64Array(statusMax), byBucket: new Float64Array(bucketCount), seconds: 0 };
}

const bucketBounds = Array.from({ length: bucketCount - 1 }, (_, i) => (firstBucketMicros * 2 ** i) / 1e6);

/** The first bucket whose bound is not below. */
function bucketOf(micros: number): number {
  if (micros <= firstBucketMicros) return 0;
  const doublings = 32 - Math.clz32(Math.min(Math.ceil(micros / firstBucketMicros) - 1, 0x7fffffff));
  return Math.min(doublings, bucketCount - 1);
}
