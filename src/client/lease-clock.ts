/**
 * Clock for leases. It must never show less time than has passed at the server.
 *
 * The monotonic clock stops while a computer sleeps. So this clock also reads the wall clock and takes whichever
 * advanced further. Setting the wall clock back changes nothing. Setting it forward may end a lease early, which costs
 * a renewal; the opposite mistake would cost mutual exclusion.
 */
import { startTimer, systemAfter } from '../shared/clock.ts';

export interface Mark {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface LeaseClock {
  mark(): Mark;
  /** Milliseconds since `mark`. */
  since(mark: Mark): number;
  /** Calls `run` after `delayMs` without keeping the process alive. Returns a function that cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /** Like `after`, but keeps the process alive, because a caller waits for it. */
  pause(delayMs: number, run: () => void): () => void;
}

export const systemLeaseClock: LeaseClock = {
  mark: () => ({ monotonicMs: performance.now(), wallMs: Date.now() }),
  since: ({ monotonicMs, wallMs }) => Math.max(performance.now() - monotonicMs, Date.now() - wallMs),
  after: (delayMs, run) => startTimer(delayMs, run, true),
  pause: systemAfter,
};
