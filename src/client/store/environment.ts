/** What a store takes from the world around it: clocks, timers and chance. Tests put their own in its place. */
import { randomInt, randomUUID } from 'node:crypto';
import { systemLeaseClock, type LeaseClock } from '../lease-clock.ts';

export interface Environment {
  /**
   * Leases go by its monotonic time, and no two machines compare theirs. Its wall time is for the deadlines of pairs,
   * which other machines read.
   */
  readonly clock: LeaseClock;
  /** A text that nobody has had before, nor will. */
  nonce(): string;
  /** 0 ≤ x < 1, to spread out what would happen at once. */
  random(): number;
}

export const systemEnvironment: Environment = {
  clock: systemLeaseClock,
  nonce: () => randomUUID(),
  random: () => randomInt(2 ** 32) / 2 ** 32,
};

/** Resolves after so many milliseconds, or at once when the signal aborts. Who asks looks at the signal. */
export function pause(clock: LeaseClock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (isAborted(signal)) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.pause(delayMs, end);
    signal?.addEventListener('abort', end, { once: true });
  });
}

/** What the promise says, or an error when it takes too long. */
export function withTimeout<Result>(clock: LeaseClock, timeoutMs: number, promise: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => reject(new Error(`no answer within ${Math.round(timeoutMs)} ms`)));
    void promise.then(resolve, reject).finally(cancel);
  });
}

/** Asked again after each wait, which a compiler that remembers the first answer does not expect. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted ?? false;
}
