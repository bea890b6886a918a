/** What a generator is told, and what it tells. */
import type { Target, Workload } from './types.ts';

export function originOf({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export interface LoadOrder {
  readonly target: Target;
  readonly connections: number;
  readonly workload: Workload;
  readonly seconds: number;
  /** A delay of so many ms before each request: a network that is not there. */
  readonly latencyMs?: number;
  /**
   * Absent: a closed loop, each connection sends its next request when the last is answered. Else an open one: so many
   * requests a second fall due whether or not any was answered, and each is timed from when it fell due.
   */
  readonly arrivalsPerSecond?: number;
}

export interface LoadResult {
  readonly seconds: number;
  readonly requests: number;
  /** Of the row's unit: writes, pairs, … */
  readonly units: number;
  readonly latency?: Latency;
  readonly generator: GeneratorUse;
}

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms?: number;
  readonly maxMs?: number;
  /** The distribution: [share of the requests, 0 to 1, that took at most … ms], ascending; as far as the generator tells. */
  readonly points: readonly (readonly [share: number, ms: number])[];
}

/** Shares at which distributions are kept. */
export const shownShares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999] as const;

export interface GeneratorUse {
  readonly name: string;
  /** CPU seconds for each second, over all its threads and processes. */
  readonly cores: number;
  /** How many it could use at most: its threads that work. */
  readonly coresMax: number;
  /** Open loop: from when a request fell due until it was sent, where a connection was free. */
  readonly lateP99Ms?: number;
}

/** Told before the first request goes out and when counting ends, so that the server's counters are read just then. */
export interface LoadClock {
  started(): Promise<void>;
  ended(): Promise<void>;
}

export class LoadFailed extends Error {
  override name = 'LoadFailed';
}
