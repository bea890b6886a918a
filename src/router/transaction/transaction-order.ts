/**
 * Keeps the order of arrival per key between a command over several shards and what this front end sends behind it. A
 * transaction reaches its later shards a few messages after it set out; a command that shares a key with it, and needs one
 * shard only, would be there first. So such a command waits here until the transaction is through, and whatever shares a key
 * with a waiting command waits behind it. Commands of other keys go on. With one shard none of this is ever used.
 */
import { FootprintSet, type Footprint } from '../../protocol/footprint.ts';
import type { SharedCount } from '../../shared/shared-count.ts';

interface Waiting {
  readonly scope: Footprint;
  readonly start: () => void;
}

export class TransactionOrder {
  readonly #underWay = new FootprintSet();
  #waiting: Waiting[] = [];
  readonly #waitingScopes = new FootprintSet();
  readonly #count: SharedCount;
  readonly #waitingMax: number;

  /** @param count of those who wait here, in all front ends together: at most `waitingMax` */
  constructor(count: SharedCount, waitingMax: number) {
    this.#count = count;
    this.#waitingMax = waitingMax;
  }

  /** Nothing is under way or waits: whatever comes may start. */
  get idle(): boolean {
    return this.#underWay.empty && this.#waiting.length === 0;
  }

  /**
   * Starts the command now, or when everything before it that shares a key has ended.
   *
   * @returns false when it would have to wait, and too many do already
   */
  admit(scope: Footprint, start: () => void): boolean {
    if (!this.#underWay.conflicts(scope) && !this.#waitingScopes.conflicts(scope)) {
      start();
      return true;
    }
    if (!this.#count.take(this.#waitingMax)) return false;
    this.#waiting.push({ scope, start });
    this.#waitingScopes.add(scope);
    return true;
  }

  /** A transaction sets out. Not for one that waits for a lock: nobody's order may depend on how long that takes. */
  begin(scope: Footprint): void {
    this.#underWay.add(scope);
  }

  end(scope: Footprint): void {
    this.#underWay.remove(scope);
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    const still = new FootprintSet();
    for (const item of waiting) {
      if (this.#underWay.conflicts(item.scope) || still.conflicts(item.scope)) {
        this.#waiting.push(item);
        still.add(item.scope);
        continue;
      }
      this.#waitingScopes.remove(item.scope);
      this.#count.give();
      item.start();
    }
  }
}
