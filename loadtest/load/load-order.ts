import type { Workload } from './workloads.ts';

/** A closed loop: each connection sends its next request when the last is answered. */
export interface LoadOrder {
  readonly port: number;
  readonly connections: number;
  readonly workload: Workload;
  readonly seconds: number;
}

export interface LoadResult {
  readonly seconds: number;
  readonly requests: number;
  readonly units: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** Told when the first request goes out and when counting ends, so that the server's CPU time is read just then. */
export interface LoadClock {
  started(): void;
  ended(): void;
}

export class LoadFailed extends Error {
  override name = 'LoadFailed';
}
