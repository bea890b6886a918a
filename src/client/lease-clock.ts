/**
 * The clock that leases are measured with. It must never show less time than has passed at the server.
 *
 * The monotonic clock stands still while a computer sleeps, so the wall clock is looked at too, and the one that has gone
 * further counts. A wall clock that is set back changes nothing; one that is set forwards may end a lease early, which
 * costs a renewal, where the other mistake would cost the exclusion.
 */
import { systemAfter } from '../shared/clock.ts';

export interface Mark {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface LeaseClock {
  mark(): Mark;
  /** Milliseconds. */
  since(mark: Mark): number;
  /** Calls `run` after so many milliseconds, and keeps no process alive for it. @returns how to take that back */
  after(delayMs: number, run: () => void): () => void;
  /** The same for what somebody waits for: the process stays. */
  pause(delayMs: number, run: () => void): () => void;
}

export const systemLeaseClock: LeaseClock = {
  mark: () => ({ monotonicMs: performance.now(), wallMs: Date.now() }),
  since: ({ monotonicMs, wallMs }) => Math.max(performance.now() - monotonicMs, Date.now() - wallMs),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  pause: systemAfter,
};
