/**
 * The server's only source of time.
 *
 * The process reads wall time once, when it starts, and adds a monotonic clock to it from then on. So a wall clock that
 * is set forwards or backwards under a running server ends no lock early and keeps none too long. Across a restart
 * there is only wall time: locks then get a grace period (see `leaseTill` in core/operations/lock.ts), and the
 * journal's times stand still until the clock has caught up (see `frame.ts`).
 */
export interface Clock {
  /** Whole milliseconds since the Unix epoch; never runs backwards within one process. */
  now(): number;
}

/** All threads of one process pass the same `origin`, so that they agree. */
export function systemClock(origin: number = performance.timeOrigin): Clock {
  const offset = performance.timeOrigin - origin;
  return { now: () => Math.floor(origin + offset + performance.now()) };
}

/**
 * Milliseconds of a monotonic clock that all threads of the process share. `performance.now` counts from the start of
 * each thread.
 */
export function processMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Microseconds of a monotonic clock of this thread, since an arbitrary moment. */
export function threadMicros(): number {
  return performance.now() * 1000;
}

/** Calls `run` after `delayMs`. Returns a function that cancels it. */
export type After = (delayMs: number, run: () => void) => () => void;

export const systemAfter: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

/** Milliseconds of a monotonic clock that all processes of this machine share, since an arbitrary moment. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
