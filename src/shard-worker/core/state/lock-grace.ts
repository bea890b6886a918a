/**
 * After a restore the server does not know which locks were granted in the lost time, and their holders still work. So for
 * a while nobody is granted a lock that he did not hold in the restored state: as long as a lease of that lock, as it was
 * seen before, may still last. Requests wait, and are served in their order when the grace is over.
 */
import { nameOf } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { RestoredState } from '../../../protocol/restored.ts';

export class LockGrace {
  readonly #all: number;
  readonly #single = new Map<string, number>();
  readonly #last: number;

  constructor(since: number, { graceMs, longer }: Pick<RestoredState, 'graceMs' | 'longer'>) {
    this.#all = since + graceMs;
    let last = this.#all;
    for (const [account, id, durMs] of longer) {
      this.#single.set(nameOf(account as AccountId, id), since + durMs);
      last = Math.max(last, since + durMs);
    }
    this.#last = last;
  }

  /** Until when this lock is not granted; 0: it may be granted. */
  till(account: AccountId, id: string, now: number): number {
    if (now >= this.#last) return 0;
    const till = Math.max(this.#all, this.#single.get(nameOf(account, id)) ?? 0);
    return till > now ? till : 0;
  }
}

export function lockGraceOf(restored: RestoredState | undefined): LockGrace | undefined {
  return restored?.since === undefined || restored.graceMs === 0 ? undefined : new LockGrace(restored.since, restored);
}
