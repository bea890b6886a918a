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

/** Calls `run` after `delayMs`. Returns a function that cancels it. */
export type After = (delayMs: number, run: () => void) => () => void;

export const systemAfter: After = (delayMs, run) => startTimer(delayMs, run);

/** `setTimeout` runs at once when it is asked for a longer delay. */
const timerMsMax = 2 ** 31 - 1;

/** Calls `run` after `delayMs`, however long that is. With `unref` the timer does not keep the process alive. */
export function startTimer(delayMs: number, run: () => void, unref = false): () => void {
  const restMs = delayMs - timerMsMax;
  let clearRest: (() => void) | undefined;
  const next =
    restMs <= 0
      ? run
      : () => {
          clearRest = startTimer(restMs, run, unref);
        };
  const timer = setTimeout(next, Math.min(delayMs, timerMsMax));
  if (unref) timer.unref();
  return () => {
    clearTimeout(timer);
    clearRest?.();
  };
}

/** Milliseconds of a monotonic clock that all processes of this machine share, since an arbitrary moment. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
