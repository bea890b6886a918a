/** Whatever a load test waits for has an end: a step that takes too long ends the whole of it. */

/** A step was not done in its time. */
export class TooLate extends Error {
  override name = 'TooLate';
}

/** @throws TooLate, and what `work` throws */
export async function within<Result>(what: string, ms: number, work: Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new TooLate(`${what}: not done within ${Math.round(ms / 1000)} s`)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    // Whoever was late may still fail, and nobody waits for that.
    work.catch(() => undefined);
  }
}

/** Ends the process with exit code 1 after so long, whatever it waits for. The timer itself keeps no process alive. */
export function endAfter(ms: number, tell: (text: string) => void): void {
  setTimeout(() => {
    tell(`Not done within ${Math.round(ms / 60_000)} minutes; given up.`);
    process.exit(1);
  }, ms).unref();
}
