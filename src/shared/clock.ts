/**
 * The server's only source of time.
 *
 * It reads wall time once, when the process starts, and adds a monotonic clock to it from then on. So setting the wall
 * clock under a running server, forwards or backwards, ends no lock early and keeps none too long. Across a restart
 * wall time is all there is: locks then get a grace period (see `leaseTill` in core/operations/lock.ts).
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, whole, never running backwards within one process. */
  now(): number;
}

/** Returns the clock of this thread. Every thread of a process must pass the same `origin`, so that all agree. */
export function systemClock(origin: number = performance.timeOrigin): Clock {
  const offset = performance.timeOrigin - origin;
  return { now: () => Math.floor(origin + offset + performance.now()) };
}

/**
 * Returns milliseconds of a monotonic clock that is the same for all threads. `performance.now` is not: it counts from
 * the start of each thread.
 */
export function processMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Calls `run` after `delayMs`. Returns a function that cancels it. */
export type After = (delayMs: number, run: () => void) => () => void;

export const systemAfter: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

/** Returns milliseconds of a monotonic clock that all processes of this machine share, from an arbitrary origin. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
