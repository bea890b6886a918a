/**
 * Rates and latencies of the last minute, and a history of the last quarter of an hour: who is woken at three wants to see
 * when it began. The first front end reads the counts of all every five seconds, which costs less than a millisecond; it
 * does so whether or not anybody looks.
 */
import type { Histogram, ServerStats } from '../../../protocol/stats.ts';
import { operations, type Operation, type RequestMetrics } from '../../request-metrics.ts';

export const sampleEveryMs = 5000;
const samplesKept = 180;
const minuteSamples = 12;
/** Operations in the table of latencies. */
const operationsShown = 12;

/** These may wait for a lock, a message or a change, so how long they take says nothing about the server. */
const waiting =
  /^(watch|watch_stream|lock_acquire|mutex_lock|queue_take|limit_take|resp_.*(lock|take|block|blpop|brpop).*)$/;

export interface Sample {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly wallMs: number;
  readonly requests: number;
  readonly errors: number;
  readonly commits: number;
  readonly waiters: number;
  readonly connections: number;
  /** Requests that do not wait, by bucket of their duration, cumulative. */
  readonly served: readonly number[];
  /** The same of each operation; forgotten after a minute. */
  byOperation: ReadonlyMap<Operation, readonly number[]>;
  readonly syncs: Histogram;
  readonly groups: Histogram;
}

export interface Traffic {
  /** A second, over the seconds up to now. */
  readonly Requests: number;
  readonly Errors: number;
  readonly Commits: number;
}

export interface Latency {
  readonly P50Ms: number;
  readonly P99Ms: number;
}

export interface OperationTraffic extends Latency {
  readonly Operation: string;
  readonly PerSecond: number;
}

/** When, requests and errors and commits a second, p99 in ms, waiters, connections. */
export type Point = readonly [at: number, number, number, number, number, number, number];

export function takeSample(
  metrics: RequestMetrics,
  stats: ServerStats,
  times: { now: number; wallMs: number },
): Sample {
  let requests = 0;
  let errors = 0;
  metrics.forEachStatus((operation, status, count) => {
    if (operation === 'admin') return;
    requests += count;
    if (status >= 500) errors += count;
  });
  const byOperation = new Map<Operation, readonly number[]>();
  const served: number[] = [];
  for (const operation of operations) {
    const durations = operation === 'admin' ? undefined : metrics.durations(operation);
    if (durations === undefined) continue;
    byOperation.set(operation, durations.counts);
    if (!waiting.test(operation)) durations.counts.forEach((count, i) => (served[i] = (served[i] ?? 0) + count));
  }
  return {
    at: times.now,
    wallMs: times.wallMs,
    requests,
    errors,
    commits: stats.durable,
    waiters: stats.shards.reduce((sum, shard) => sum + shard.waiters, 0),
    connections: metrics.frontEnds(times.now).reduce((sum, frontEnd) => sum + frontEnd.connections, 0),
    served,
    byOperation,
    syncs: stats.journal.syncSeconds,
    groups: stats.journal.groupRecords,
  };
}

export class TrafficHistory {
  readonly #samples: Sample[] = [];
  readonly #bounds: readonly number[];

  /** @param bounds of the buckets of durations, in seconds */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  add(sample: Sample): void {
    this.#samples.push(sample);
    if (this.#samples.length > samplesKept) this.#samples.shift();
    const old = this.#samples.at(-minuteSamples - 2);
    if (old !== undefined) old.byOperation = new Map();
  }

  /** Rates since the newest sample that is at least half an interval old. */
  rates(now: Sample): Traffic {
    const before = this.#samples.findLast(({ at }) => now.at - at >= sampleEveryMs / 2) ?? this.#samples[0];
    return before === undefined ? { Requests: 0, Errors: 0, Commits: 0 } : ratesBetween(before, now);
  }

  /** Of the last minute, without requests that may wait. */
  latency(now: Sample): Latency {
    return this.#latencyBetween(this.#minuteAgo(), now);
  }

  operations(now: Sample): OperationTraffic[] {
    const before = this.#minuteAgo();
    if (before === undefined) return [];
    const seconds = (now.at - before.at) / 1000;
    const rows = [...now.byOperation].flatMap(
      ([operation, buckets]): (Omit<OperationTraffic, 'PerSecond'> & { count: number })[] => {
        const change = difference(buckets, before.byOperation.get(operation));
        const count = change.at(-1) ?? 0;
        if (count === 0 || seconds <= 0) return [];
        return [{ Operation: operation, ...this.#quantiles(change), count }];
      },
    );
    return rows
      .toSorted((a, b) => b.count - a.count)
      .slice(0, operationsShown)
      .map(({ count, ...row }) => ({ ...row, PerSecond: round(count / seconds) }));
  }

  /** How long one sync takes, and how many records it carries, in the last minute. */
  journal(now: Sample): { readonly SyncP50Ms: number; readonly SyncP99Ms: number; readonly GroupMean: number } {
    const before = this.#minuteAgo();
    const syncs = difference(now.syncs.counts, before?.syncs.counts);
    const records = now.groups.sum - (before?.groups.sum ?? 0);
    const groups = now.groups.count - (before?.groups.count ?? 0);
    return {
      SyncP50Ms: round(quantile(now.syncs.bounds, syncs, 0.5) * 1000),
      SyncP99Ms: round(quantile(now.syncs.bounds, syncs, 0.99) * 1000),
      GroupMean: groups === 0 ? 0 : round(records / groups),
    };
  }

  points(): Point[] {
    return this.#samples.slice(1).map((sample, i): Point => {
      const before = this.#samples[i]!;
      const { Requests, Errors, Commits } = ratesBetween(before, sample);
      const { P99Ms } = this.#latencyBetween(before, sample);
      return [Math.round(sample.wallMs), Requests, Errors, Commits, P99Ms, sample.waiters, sample.connections];
    });
  }

  #minuteAgo(): Sample | undefined {
    return this.#samples.at(-minuteSamples) ?? this.#samples[0];
  }

  #latencyBetween(before: Sample | undefined, now: Sample): Latency {
    return this.#quantiles(difference(now.served, before?.served));
  }

  #quantiles(buckets: readonly number[]): Latency {
    return {
      P50Ms: round(quantile(this.#bounds, buckets, 0.5) * 1000),
      P99Ms: round(quantile(this.#bounds, buckets, 0.99) * 1000),
    };
  }
}

function ratesBetween(before: Sample, now: Sample): Traffic {
  const seconds = Math.max(0.001, (now.at - before.at) / 1000);
  const rate = (of: 'requests' | 'errors' | 'commits'): number => round(Math.max(0, now[of] - before[of]) / seconds);
  return { Requests: rate('requests'), Errors: rate('errors'), Commits: rate('commits') };
}

/** Of cumulative counts. */
function difference(now: readonly number[], before: readonly number[] | undefined): number[] {
  return now.map((count, i) => count - (before?.[i] ?? 0));
}

/** Within a bucket, as if all its values were spread evenly. @param counts cumulative, the last for +Inf */
export function quantile(bounds: readonly number[], counts: readonly number[], share: number): number {
  const total = counts.at(-1) ?? 0;
  if (total === 0) return 0;
  const wanted = share * total;
  const bucket = counts.findIndex((count) => count >= wanted);
  const upper = bounds[bucket] ?? bounds.at(-1) ?? 0;
  const lower = bucket === 0 ? 0 : bounds[bucket - 1]!;
  const below = bucket === 0 ? 0 : counts[bucket - 1]!;
  const within = counts[bucket]! - below;
  return lower + ((upper - lower) * (wanted - below)) / Math.max(1, within);
}

function round(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
