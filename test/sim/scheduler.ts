/**
 * The one thing in a simulation that decides what happens next.
 *
 * Whatever a thread would do later stands in a line: the messages of one direction of one channel, the deferred work of
 * one thread. A line is first come, first served; which line moves next is drawn from the seed, and now and then one line
 * is made slow, so that messages arrive as late as threads could make them. Timers whose time has come are drawn among
 * the lines; time itself moves only when the simulator says so. All of it ends with `kill`: a process that has died does
 * nothing more, and neither does what it still tries to put into a line.
 */
import type { After } from '../../src/shared/clock.ts';
import type { MakeQueue } from '../support/in-process.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { Trace } from './trace.ts';

interface Line {
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
  /** Lines in which something waits. */
  readonly #ready: Line[] = [];
  #timers: Timer[] = [];
  #timerCount = 0;
  #slow: string | undefined;
  #dead = false;
  /** The line, or timer, that moved last. */
  current = '';
  /** Messages that were delivered although an older one of another line was waiting. */
  overtakings = 0;
  /** Steps of other threads within a disk call. */
  meanwhiles = 0;

  constructor(random: SeededRandom, trace: Trace, now: () => number) {
    this.#random = random;
    this.#trace = trace;
    this.#now = now;
  }

  readonly queue: MakeQueue = (name, deliver) => {
    const line: Line = { name, waiting: [] };
    return (message) => {
      if (this.#dead) return;
      line.waiting.push(() => deliver(message));
      if (line.waiting.length === 1) this.#ready.push(line);
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
   * Other threads go on while one waits for its disk: some of the lines that `others` names move, within the call. What
   * promises make of it comes later.
   */
  meanwhile(others: (line: string) => boolean, failed: (error: unknown) => void): void {
    for (let steps = this.#random.below(6); steps > 0; steps -= 1) {
      const ready = this.#ready.filter(({ name }) => others(name));
      const line = ready[this.#random.below(ready.length || 1)];
      if (line === undefined) return;
      const next = line.waiting.shift()!;
      if (line.waiting.length === 0) this.#ready.splice(this.#ready.indexOf(line), 1);
      this.#trace.note(`meanwhile ${line.name}`);
      this.meanwhiles += 1;
      try {
        next();
      } catch (error) {
        return failed(error);
      }
    }
  }

  /** Lets one line move, or one timer ring. False: nothing can happen at this moment. */
  step(): boolean {
    const due = this.#due();
    const count = this.#ready.length + due.length;
    if (count === 0) return false;
    if (this.#random.below(40) === 0) this.#slow = this.#ready[this.#random.below(this.#ready.length || 1)]?.name;
    let index = this.#random.below(count);
    if (this.#ready[index]?.name === this.#slow && this.#random.below(20) > 0) index = this.#random.below(count);
    const line = this.#ready[index];
    if (line === undefined) {
      const timer = due[index - this.#ready.length]!;
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.current = `timer ${timer.number}`;
      this.#trace.note(this.current);
      timer.run();
      return true;
    }
    if (index > 0) this.overtakings += 1;
    const next = line.waiting.shift()!;
    if (line.waiting.length === 0) this.#ready.splice(index, 1);
    this.current = line.name;
    this.#trace.note(line.name);
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

/** Whatever promises make of the last step has happened when this resolves; nothing else can happen meanwhile. */
export function promisesSettle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
