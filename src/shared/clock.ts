/**
 * The server's only source of time.
 *
 * The server has a time of its own: wall time when its data directory was first used, and from then on what a
 * monotonic clock adds. So a wall clock that is set forwards or backwards, under a running server or between two
 * starts, ends no lock early and keeps nothing too long. One number in shared memory leads from the process's monotonic
 * clock to that time. `main/server-clock.ts` sets it at start and moves it slowly towards wall time.
 */
export interface Clock {
  /** Whole milliseconds, about those since the Unix epoch; never runs backwards within one thread. */
  now(): number;
}

/** Memory for one clock that all threads of the process read: at first it shows wall time. */
export function allocateClock(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  setClock(memory, clockDifference(wallMs, processMs), 0);
  return memory;
}

/** From now on all threads read `time`, and go on from there. Only one thread may set the clock. */
export function setClock(memory: SharedArrayBuffer, time: number, atProcessMs: number): void {
  Atomics.store(new BigInt64Array(memory), 0, BigInt(Math.round(time - atProcessMs)));
}

/** The time now, for those who look only now and then. */
export function readClock(memory: SharedArrayBuffer, atProcessMs = processMs()): number {
  return Math.floor(atProcessMs + Number(Atomics.load(new BigInt64Array(memory), 0)));
}

/** Moves the clock by whole milliseconds. A thread that has seen a later time sees time stand still meanwhile. */
export function shiftClock(memory: SharedArrayBuffer, byMs: number): void {
  Atomics.add(new BigInt64Array(memory), 0, BigInt(byMs));
}

/** The clock of this thread. Threads that pass the same memory agree. */
export function systemClock(memory: SharedArrayBuffer = allocateClock()): Clock {
  const cell = new BigInt64Array(memory);
  // `performance.now` is cheaper than `processMs`, but each thread counts from its own start.
  const threadStart = clockDifference(processMs, () => performance.now());
  let last = 0;
  return {
    now() {
      const at = threadStart + performance.now() + Number(Atomics.load(cell, 0));
      return (last = Math.max(last, Math.floor(at)));
    },
  };
}

/** Milliseconds since the Unix epoch as the machine sees it now. Nothing that must hold may depend on it. */
export function wallMs(): number {
  return Date.now();
}

/** Returns a time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`. */
export function httpDate(unixMs: number): string {
  return new Date(unixMs).toUTCString();
}

/** Returns what `httpDate` has written; NaN: it is no date. */
export function parseHttpDate(text: string): number {
  return Date.parse(text);
}

/** A moment for libraries that want one. */
export function dateOf(ms: number): Date {
  return new Date(ms);
}

/** A moment as people write it: `2026-11-26T08:00:00.000Z`. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/**
 * Milliseconds of a monotonic clock that all threads of the process share. `performance.now` counts from the start of
 * each thread.
 */
export function processMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Pairs of readings closer than this need no better pair. */
const closeMs = 0.02;
const readingsMax = 200;

/**
 * By how much `clock` is ahead of `base`, both in milliseconds. A thread may have to wait for a processor between two
 * readings, on a busy machine for tens of milliseconds, which would be the error of the difference for good. So `base`
 * is read before and after `clock`, and the pair that is closest together counts.
 */
export function clockDifference(clock: () => number, base: () => number): number {
  let closest = Infinity;
  let difference = 0;
  for (let reading = 0; reading < readingsMax && closest > closeMs; reading += 1) {
    const before = base();
    const at = clock();
    const after = base();
    if (after - before >= closest) continue;
    closest = after - before;
    difference = at - (before + after) / 2;
  }
  return difference;
}

/** Microseconds of a monotonic clock of this thread, since an arbitrary moment. */
export function threadMicros(): number {
  return performance.now() * 1000;
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

/** Calls `run` every `everyMs`, without keeping the process alive. Returns a function that ends that. */
export type Every = (everyMs: number, run: () => void) => () => void;

export const systemEvery: Every = (everyMs, run) => {
  const timer = setInterval(run, everyMs).unref();
  return () => clearInterval(timer);
};
