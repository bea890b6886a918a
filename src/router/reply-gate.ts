/**
 * Holds each reply until the revision that it depends on is on disk: the promise of the whole server in one place.
 * Replies that wait leave in the order in which their shard sent them. A reply whose revision is durable already leaves
 * at once, so that the commits of others never delay a mutex, which has no disk in its path.
 */
import type { Revision } from '../protocol/ids.ts';

interface Held {
  readonly rev: Revision;
  readonly release: () => void;
}

export class ReplyGate {
  #durable: Revision;
  readonly #queues: { held: Held[]; head: number }[];
  readonly #onHeld: () => void;
  #held = 0;

  /** @param onHeld called when it holds something that came while it held nothing */
  constructor(queues: number, durable: Revision, onHeld: () => void) {
    this.#durable = durable;
    this.#onHeld = onHeld;
    this.#queues = Array.from({ length: queues }, () => ({ held: [], head: 0 }));
  }

  get isEmpty(): boolean {
    return this.#held === 0;
  }

  /** Calls `release` once `rev` is durable, which may be at once. */
  pass(queue: number, rev: Revision, release: () => void): void {
    if (rev <= this.#durable) return release();
    this.#queues[queue]!.held.push({ rev, release });
    this.#held += 1;
    if (this.#held === 1) this.#onHeld();
  }

  advance(durable: Revision): void {
    if (durable <= this.#durable) return;
    this.#durable = durable;
    for (const queue of this.#queues) this.#drain(queue);
  }

  #drain(queue: { held: Held[]; head: number }): void {
    while (queue.head < queue.held.length && queue.held[queue.head]!.rev <= this.#durable) {
      const { release } = queue.held[queue.head]!;
      queue.head += 1;
      this.#held -= 1;
      release();
    }
    if (queue.head === queue.held.length) {
      queue.held = [];
      queue.head = 0;
    } else if (queue.head > 1024) {
      queue.held = queue.held.slice(queue.head);
      queue.head = 0;
    }
  }
}
