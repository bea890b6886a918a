/**
 * Epochs: where the fencing tokens of mutexes come from. Mutexes are in memory only, and their tokens must grow over
 * restarts all the same.
 *
 *   fence = epoch × 2^20 + a count from 1 on
 *
 * The journal counts epochs, under the server's own account. Each start takes the next one. All shards begin with it: a
 * fence only has to grow for one mutex, which lives in one shard. A shard that has given out half of its fences asks for
 * another epoch, which is durable before it is used. So a grant never waits for the disk.
 *
 * Room. Fences stay below 2^53, so there are 2^33 epochs: one each second for 272 years, be it for a start or for a
 * million grants.
 *
 * The entry once held the number of starts, and a fence was number × 2^32 + a count. Such numbers are below 2^21, as
 * their fences were below 2^53, and no epoch is below 2^22. The first epoch after a number begins above all its fences.
 */
import type { Effect } from './record.ts';
import { kinds } from './record.ts';

/** Under it, the server's own account has the last epoch that was taken. */
export const bootKey = 'boot';

export const fencesPerEpoch = 2 ** 20;
const firstEpoch = 2 ** 22;
/** Of a start, when the journal counted starts. */
const epochsPerNumber = 2 ** 32 / fencesPerEpoch;

/** @param stored the content of the entry; 0: there is none */
export function nextEpoch(stored: number): number {
  return stored < firstEpoch ? firstEpoch + (stored + 1) * epochsPerNumber : stored + 1;
}

export function epochEffect(epoch: number): Effect {
  return { kind: kinds.boot, key: bootKey, till: 0, value: String(epoch) };
}

/** Gives out the fences of its epochs, each once, ascending. */
export class Fences {
  #last: number;
  #end: number;
  #further: number | undefined;

  constructor(epoch: number) {
    this.#last = epoch * fencesPerEpoch;
    this.#end = this.#last + fencesPerEpoch;
  }

  /** Whether it is time to `add` an epoch. */
  get low(): boolean {
    return this.#further === undefined && this.#end - this.#last <= fencesPerEpoch / 2;
  }

  /** Adds an epoch, for when this one is used up. It must be durable. */
  add(epoch: number): void {
    this.#further = epoch;
  }

  /** Undefined: all are used up, and there is no further epoch yet. */
  next(): number | undefined {
    if (this.#last + 1 === this.#end) {
      if (this.#further === undefined) return undefined;
      this.#last = this.#further * fencesPerEpoch;
      this.#end = this.#last + fencesPerEpoch;
      this.#further = undefined;
    }
    this.#last += 1;
    return this.#last;
  }
}
