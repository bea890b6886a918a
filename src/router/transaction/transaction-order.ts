/**
 * Keeps the order of arrival, per key, between a transaction and the later commands of this front end. A transaction
 * reaches its later shards a few messages after it starts; a command for one shard that shares a key with it would
 * overtake it. So such a command waits here until the transaction has ended, and so does every later command that
 * shares a key with a waiting one. Commands on other keys go on. With one shard none of this is ever used.
 */
import { FootprintSet, type Footprint } from '../../protocol/footprint.ts';
import type { SharedCount } from '../../shared/shared-count.ts';

interface Waiting {
  readonly footprint: Footprint;
  readonly start: () => void;
}

export class TransactionOrder {
  readonly #underWay = new FootprintSet();
  #waiting: Waiting[] = [];
  readonly #waitingFootprints = new FootprintSet();
  readonly #count: SharedCount;
  readonly #waitingMax: number;

  /** @param count of commands that wait here, in all front ends together: at most `waitingMax` */
  constructor(count: SharedCount, waitingMax: number) {
    this.#count = count;
    this.#waitingMax = waitingMax;
  }

  /** Nothing is under way and nothing waits: any command may start. */
  get idle(): boolean {
    return this.#underWay.empty && this.#waiting.length === 0;
  }

  /**
   * Starts the command now, or when all earlier commands that share a key with it have ended.
   *
   * @returns false when it would have to wait, and too many already do
   */
  admit(footprint: Footprint, start: () => void): boolean {
    if (!this.#underWay.conflicts(footprint) && !this.#waitingFootprints.conflicts(footprint)) {
      start();
      return true;
    }
    if (!this.#count.take(this.#waitingMax)) return false;
    this.#waiting.push({ footprint, start });
    this.#waitingFootprints.add(footprint);
    return true;
  }

  /** A transaction starts. It ends here when it has to wait for its lock: no command may depend on how long that takes. */
  begin(footprint: Footprint): void {
    this.#underWay.add(footprint);
  }

  end(footprint: Footprint): void {
    this.#underWay.remove(footprint);
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    const still = new FootprintSet();
    for (const item of waiting) {
      if (this.#underWay.conflicts(item.footprint) || still.conflicts(item.footprint)) {
        this.#waiting.push(item);
        still.add(item.footprint);
        continue;
      }
      this.#waitingFootprints.remove(item.footprint);
      this.#count.give();
      item.start();
    }
  }
}
