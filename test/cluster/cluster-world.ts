/**
 * Time, machines and the network of a simulated cluster. Everything happens in one queue of events, ordered by time. A
 * machine has a monotonic clock of its own rate; while it is paused, what happens to it waits; what a dead one would have
 * done never happens.
 */
import type { SeededRandom } from '../support/seeded-random.ts';

/** Runs when all promises have gone on that can: ticks come when there is no other such job. */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

interface Event {
  readonly at: number;
  readonly number: number;
  readonly machine: Machine | undefined;
  readonly run: () => void;
}

export class ClusterWorld {
  readonly random: SeededRandom;
  /** Milliseconds of nobody's clock. */
  now = 0;
  steps = 0;
  #events: Event[] = [];
  #count = 0;

  constructor(random: SeededRandom) {
    this.random = random;
  }

  /** @param machine on which it happens; undefined: in the network, the engine or a client */
  after(delayMs: number, run: () => void, machine?: Machine): void {
    if (delayMs === Infinity) return;
    this.#count += 1;
    this.#insert({ at: this.now + delayMs, number: this.#count, machine, run });
  }

  /** With a probability of one in `oneIn`. */
  chance(oneIn: number): boolean {
    return this.random.below(oneIn) === 0;
  }

  /** A number from `from` to `to`, whole milliseconds and a fraction. */
  between(from: number, to: number): number {
    return from + (this.random.below(1_000_000) / 1_000_000) * (to - from);
  }

  async runUntil(end: number): Promise<void> {
    for (;;) {
      const event = this.#events.at(-1);
      if (event === undefined || event.at > end) break;
      this.#events.pop();
      const { machine, at } = event;
      this.now = at;
      if (machine !== undefined && machine.isDead) continue;
      if (machine !== undefined && machine.pausedUntil > at) {
        this.#insert({ ...event, at: machine.pausedUntil });
        continue;
      }
      this.steps += 1;
      event.run();
      await settled();
    }
    this.now = end;
  }

  /** The next event is the last element. */
  #insert(event: Event): void {
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#events[middle]!;
      if (other.at > event.at || (other.at === event.at && other.number > event.number)) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }
}

/** One start of a node's process. */
export class Machine {
  readonly world: ClusterWorld;
  readonly #rate: number;
  readonly #offset: number;
  isDead = false;
  pausedUntil = 0;

  constructor(world: ClusterWorld, rate: number) {
    this.world = world;
    this.#rate = rate;
    this.#offset = world.between(0, 1e9);
  }

  /** Its monotonic clock. */
  readonly monotonic = (): number => this.#offset + this.world.now * this.#rate;

  /** Of all machines about the same. */
  readonly clusterTime = (): number => 1_800_000_000_000 + this.world.now + (this.#offset % 200);

  /** By its own clock. */
  after(delayMs: number, run: () => void): void {
    this.world.after(delayMs / this.#rate, run, this);
  }

  /** Never resolves when the machine dies. */
  readonly pause = (delayMs: number): Promise<void> => new Promise((resolve) => this.after(delayMs, resolve));
}
