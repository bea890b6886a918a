/**
 * Holds back what depends on a revision until that revision is on disk: the promise of the whole server in one place.
 * What must wait leaves in the order in which its shard sent it; what is durable already waits for nobody, so that a
 * mutex, which has no disk in its path, is not held up by the commits of others.
 */
import type { Revision } from '../protocol/ids.ts';

interface Held {
  readonly rev: Revision;
  readonly release: () => void;
}

export class ReplyGate {
  #durable: Revision;
  readonly #lanes: { held: Held[]; head: number }[];

  /** One lane a shard. */
  constructor(lanes: number, durable: Revision) {
    this.#durable = durable;
    this.#lanes = Array.from({ length: lanes }, () => ({ held: [], head: 0 }));
  }

  get durable(): Revision {
    return this.#durable;
  }

  /** Calls `release` once `rev` is durable: maybe at once. */
  pass(lane: number, rev: Revision, release: () => void): void {
    if (rev <= this.#durable) release();
    else this.#lanes[lane]!.held.push({ rev, release });
  }

  advance(durable: Revision): void {
    if (durable <= this.#durable) return;
    this.#durable = durable;
    for (const lane of this.#lanes) this.#drain(lane);
  }

  #drain(lane: { held: Held[]; head: number }): void {
    while (lane.head < lane.held.length && lane.held[lane.head]!.rev <= this.#durable) {
      const { release } = lane.held[lane.head]!;
      lane.head += 1;
      release();
    }
    if (lane.head === lane.held.length) {
      lane.held = [];
      lane.head = 0;
    } else if (lane.head > 1024) {
      lane.held = lane.held.slice(lane.head);
      lane.head = 0;
    }
  }
}
