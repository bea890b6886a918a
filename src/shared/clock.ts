/**
 * The server's only source of time.
 *
 * Wall time is read once, when the process starts; from then on a monotonic clock is added to it. A wall clock that
 * is set forwards or backwards under a running server therefore ends no lock early and keeps none too long. Across a
 * restart wall time is all there is: locks then get a grace period (see `leaseTill` in core/operations/lock.ts).
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, whole, never running backwards within one process. */
  now(): number;
}

/** Every thread of one process passes the same `origin`, so that all of them agree. */
export function systemClock(origin: number = performance.timeOrigin): Clock {
  const offset = performance.timeOrigin - origin;
  return { now: () => Math.floor(origin + offset + performance.now()) };
}

/**
 * Milliseconds of a monotonic clock that is the same for all threads, which `performance.now` is not: there each thread
 * counts from its own start.
 */
export function processMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Calls after so many milliseconds; returns how to take that back. */
export type After = (delayMs: number, run: () => void) => () => void;

export const systemAfter: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

/** Milliseconds of a monotonic clock that all processes of this machine share, since some moment in the past. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
