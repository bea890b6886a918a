/** What a store needs of its environment: clocks, timers and randomness. Tests pass their own. */
import { randomInt, randomUUID } from 'node:crypto';
import { systemLeaseClock, type LeaseClock } from '../lease-clock.ts';

/** Clocks and randomness of a store. */
export interface Environment {
  /**
   * Leases use its monotonic time, which machines never compare. Deadlines of pairs use its wall time, because other
   * machines read them.
   */
  readonly clock: LeaseClock;
  /** Returns a string that is unique across all machines and time. */
  nonce(): string;
  /** Returns 0 ≤ x < 1, to spread out polls. */
  random(): number;
}

export const systemEnvironment: Environment = {
  clock: systemLeaseClock,
  nonce: () => randomUUID(),
  random: () => randomInt(2 ** 32) / 2 ** 32,
};

/** Resolves after `delayMs`, or at once when the signal aborts. The caller checks the signal. */
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

/** Settles as the promise does, or rejects after `timeoutMs`. */
export function withTimeout<Result>(clock: LeaseClock, timeoutMs: number, promise: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => reject(new Error(`no answer within ${Math.round(timeoutMs)} ms`)));
    void promise.then(resolve, reject).finally(cancel);
  });
}

/** A function, so that the compiler does not narrow `aborted` to its value before an `await`. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted ?? false;
}
