/** A lease clock that a test moves. It can also show a sleeping computer: wall time passes, monotonic time does not. */
import type { LeaseClock, Mark } from '../../src/client/lease-clock.ts';

export class FakeClock implements LeaseClock {
  #monotonicMs = 1_000;
  #wallMs = 1_795_000_000_000;
  #timers: { readonly at: number; readonly run: () => void }[] = [];

  mark(): Mark {
    return { monotonicMs: this.#monotonicMs, wallMs: this.#wallMs };
  }

  since({ monotonicMs, wallMs }: Mark): number {
    return Math.max(this.#monotonicMs - monotonicMs, this.#wallMs - wallMs);
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#monotonicMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  pause(delayMs: number, run: () => void): () => void {
    return this.after(delayMs, run);
  }

  /** Milliseconds until the next timer is due. */
  get nextMs(): number | undefined {
    return this.#timers.length === 0 ? undefined : Math.min(...this.#timers.map(({ at }) => at)) - this.#monotonicMs;
  }

  /** Lets time pass while nothing runs, as in a blocked event loop or a stopped process. */
  passBlocked(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }

  /** Lets time pass while the computer sleeps. */
  passAsleep(ms: number): void {
    this.#wallMs += ms;
  }

  /** Lets time pass, runs each timer when it is due, and waits until the work that it starts is blocked. */
  async pass(ms: number): Promise<void> {
    const end = this.#monotonicMs + ms;
    for (;;) {
      await settled();
      const due = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.passBlocked(Math.max(0, due.at - this.#monotonicMs));
      due.run();
    }
    this.passBlocked(end - this.#monotonicMs);
    await settled();
  }
}

/** Resolves once no promise can proceed without time or the network. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
