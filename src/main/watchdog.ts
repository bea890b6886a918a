/**
 * Tells the service manager that the server is alive, as long as every thread answers: each front end, each shard and the
 * journal. One that stands still for `patienceMs` is not answered for, and the service manager restarts the server.
 */
import type { After } from '../shared/clock.ts';

export interface WatchdogOptions {
  /** Asks every thread for an answer. Rejects never. */
  readonly ask: () => Promise<unknown>;
  readonly alive: () => void;
  /** The service manager expects a sign of life within this time. */
  readonly withinMs: number;
  readonly after: After;
  readonly onSilence: (ms: number) => void;
}

/** How long an answer may take. */
const patienceMs = 5000;
/** Signs of life within the time that is allowed. */
const signs = 3;

export class Watchdog {
  readonly #options: WatchdogOptions;
  #end: (() => void) | undefined;
  #stopped = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    void this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#end?.();
  }

  async #look(): Promise<void> {
    const { ask, alive, withinMs, after, onSilence } = this.#options;
    const patience = Math.min(patienceMs, withinMs / 2);
    const { promise: late, resolve: isLate } = Promise.withResolvers<'late'>();
    const endPatience = after(patience, () => isLate('late'));
    const answers = ask();
    const first = await Promise.race([answers, late]);
    endPatience();
    if (this.#stopped) return;
    if (first === 'late') {
      onSilence(patience);
      // The next question only when this one is answered: a thread that stands still collects no questions.
      await answers;
      if (this.#stopped) return;
    }
    alive();
    this.#end = after(withinMs / signs, () => void this.#look());
  }
}
