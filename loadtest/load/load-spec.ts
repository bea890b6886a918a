/** The input of a load generator and its result. */
import type { Target, Workload } from './types.ts';

export function originOf({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export interface LoadSpec {
  readonly target: Target;
  readonly connections: number;
  readonly workload: Workload;
  readonly seconds: number;
  /** Ours: commands of Dragon Lock over the protocol of Redis; absent: HTTP. */
  readonly door?: 'resp';
  /** Delay before each request, which simulates a network. */
  readonly latencyMs?: number;
  /**
   * Absent: a closed loop, in which each connection sends its next request when the last is answered. Otherwise an open
   * loop: this many requests a second fall due, answered or not, and each is timed from its due time.
   */
  readonly arrivalsPerSecond?: number;
}

export interface LoadResult {
  readonly seconds: number;
  readonly requests: number;
  /** Writes, pairs, …: the row's unit. */
  readonly units: number;
  readonly latency?: Latency;
  readonly generator: GeneratorUse;
}

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms?: number;
  readonly maxMs?: number;
  /** Distribution, ascending: [share of requests, 0 to 1, that took at most … ms], as far as the generator reports. */
  readonly points: readonly (readonly [share: number, ms: number])[];
}

/** Shares at which `points` are kept. */
export const shownShares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999] as const;

export interface GeneratorUse {
  readonly name: string;
  /** CPU seconds per second, over all its threads and processes. */
  readonly cores: number;
  /** The most that it could use: its number of working threads. */
  readonly coresMax: number;
  /** Open loop: time from due to sent, if a connection was free. */
  readonly lateP99Ms?: number;
}

/** Called before the first request and when counting ends, to read the server's counters at those moments. */
export interface LoadClock {
  started(): Promise<void>;
  ended(): Promise<void>;
}

export class LoadFailed extends Error {
  override name = 'LoadFailed';
}
