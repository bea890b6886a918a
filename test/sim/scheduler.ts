/**
 * Decides, alone, what happens next in a simulation.
 *
 * All deferred work waits in queues: one for the messages of each direction of a channel, one for the deferred work of
 * each thread. Each queue is FIFO. The seed decides which queue moves next, and now and then makes one queue slow, so
 * that messages arrive as late as threads could make them. Due timers are drawn among the queues; time itself moves
 * only when the simulator moves it. `kill` ends everything: a dead process does nothing more, and all that it still
 * tries to put into a queue is dropped.
 */
import type { After } from '../../src/shared/clock.ts';
import type { MakeQueue } from '../support/in-process.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { Trace } from './trace.ts';

interface Queue {
  readonly name: string;
  readonly waiting: (() => void)[];
}

interface Timer {
  readonly at: number;
  readonly number: number;
  readonly run: () => void;
}

export class Scheduler {
  readonly #random: SeededRandom;
  readonly #trace: Trace;
  readonly #now: () => number;
  /** Queues that are not empty. */
  readonly #ready: Queue[] = [];
  #timers: Timer[] = [];
  #timerCount = 0;
  #slow: string | undefined;
  #dead = false;
  /** The queue, or timer, that moved last. */
  current = '';
  /** Messages that were delivered before an older one of another queue. */
  overtakings = 0;
  /** Steps of other threads within a disk call. */
  meanwhiles = 0;

  constructor(random: SeededRandom, trace: Trace, now: () => number) {
    this.#random = random;
    this.#trace = trace;
    this.#now = now;
  }

  readonly queue: MakeQueue = (name, deliver) => {
    const queue: Queue = { name, waiting: [] };
    return (message) => {
      if (this.#dead) return;
      queue.waiting.push(() => deliver(message));
      if (queue.waiting.length === 1) this.#ready.push(queue);
    };
  };

  readonly after: After = (delayMs, run) => {
    if (this.#dead) return () => {};
    this.#timerCount += 1;
    const timer: Timer = { at: this.#now() + delayMs, number: this.#timerCount, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  /**
   * Lets other threads go on while one waits for its disk: some of the queues that `others` accepts move within the
   * call. Promises that this settles run later.
   */
  meanwhile(others: (queue: string) => boolean, failed: (error: unknown) => void): void {
    for (let steps = this.#random.below(6); steps > 0; steps -= 1) {
      const ready = this.#ready.filter(({ name }) => others(name));
      const queue = ready[this.#random.below(ready.length || 1)];
      if (queue === undefined) return;
      const next = queue.waiting.shift()!;
      if (queue.waiting.length === 0) this.#ready.splice(this.#ready.indexOf(queue), 1);
      this.#trace.note(`meanwhile ${queue.name}`);
      this.meanwhiles += 1;
      try {
        next();
      } catch (error) {
        return failed(error);
      }
    }
  }

  /** Moves one queue, or fires one timer. @returns false when nothing can happen at this moment */
  step(): boolean {
    const due = this.#due();
    const count = this.#ready.length + due.length;
    if (count === 0) return false;
    if (this.#random.below(40) === 0) this.#slow = this.#ready[this.#random.below(this.#ready.length || 1)]?.name;
    let index = this.#random.below(count);
    if (this.#ready[index]?.name === this.#slow && this.#random.below(20) > 0) index = this.#random.below(count);
    const queue = this.#ready[index];
    if (queue === undefined) {
      const timer = due[index - this.#ready.length]!;
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.current = `timer ${timer.number}`;
      this.#trace.note(this.current);
      timer.run();
      return true;
    }
    if (index > 0) this.overtakings += 1;
    const next = queue.waiting.shift()!;
    if (queue.waiting.length === 0) this.#ready.splice(index, 1);
    this.current = queue.name;
    this.#trace.note(queue.name);
    next();
    return true;
  }

  get idle(): boolean {
    return this.#ready.length === 0 && this.#due().length === 0;
  }

  /** Infinity when there is no timer. */
  nextTimer(): number {
    let next = Infinity;
    for (const { at } of this.#timers) if (at < next) next = at;
    return next;
  }

  kill(): void {
    this.#dead = true;
    this.#ready.length = 0;
    this.#timers = [];
  }

  #due(): Timer[] {
    const now = this.#now();
    return this.#timers.filter(({ at }) => at <= now);
  }
}

/** Resolves when all promises that the last step has settled have run; nothing else can happen meanwhile. */
export function promisesSettle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
