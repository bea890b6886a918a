/**
 * Locks that several hold: read, held with permits, and taken as a set. They have names of their own (`sharedNames`),
 * so that a checker of shares (checkers/share-ledger.ts) judges them, and the contract model the rest.
 */
import type { ReplyBody } from '../reply-body.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { Sharing } from '../../../src/protocol/operations/lock-sharing.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';

export const sharedNames = ['s-1', 's-2', 's-3'];

export function isSharedName(id: string): boolean {
  return id.startsWith('s-');
}

/** Whether a command takes, gives back, extends or looks at such a lock. It does nothing else. */
export function isOfSharedLocks(call: Command): boolean {
  if (call.kind !== 'batch') return false;
  const { lock, unlock, locks, unlocks, guard } = call;
  return [lock, unlock, ...(locks ?? []), ...(unlocks ?? []), ...(guard ?? [])].some(
    (each) => each !== undefined && isSharedName(each.id),
  );
}

interface Held {
  readonly account: string;
  readonly ids: readonly string[];
  readonly fence: number;
}

export interface SharedTimes {
  durMs(): number;
  waitMs(): number;
}

const heldMax = 12;

export class SharedLocks {
  readonly #random: SeededRandom;
  readonly #times: SharedTimes;
  /** The newest is last. */
  readonly #held: Held[] = [];
  #owners = 0;

  constructor(random: SeededRandom, times: SharedTimes) {
    this.#random = random;
    this.#times = times;
  }

  next(account: Batch['account']): Batch {
    const batch = { kind: 'batch', account, format: 'batch' } as const;
    const dice = this.#random.below(100);
    if (dice < 48) return { ...batch, lock: this.#take() };
    if (dice < 60) return { ...batch, locks: this.#takeSet() };
    const { ids, fence } = this.#known(account);
    const [id] = ids as [string];
    if (dice < 64) return { ...batch, guard: ids.map((each) => ({ id: each, fence })) };
    if (dice < 72) return { ...batch, ...this.#extend(ids, fence) };
    if (dice < 76) return { ...batch, unlock: { id } };
    if (dice < 80) return { ...batch, unlock: { id, fence }, lock: { ...this.#take(), id: otherThan(id) } };
    if (ids.length > 1 && dice < 95) return { ...batch, unlocks: ids.map((each) => ({ id: each, fence })) };
    return { ...batch, unlock: { id, fence } };
  }

  learn(call: Command, { Lock }: Pick<ReplyBody, 'Lock'>): void {
    if (call.kind !== 'batch' || !isOfSharedLocks(call) || Lock === undefined) return;
    const taken = call.locks ?? (call.lock === undefined ? [] : [call.lock]);
    if (taken.length === 0) return;
    this.#held.push({ account: call.account, ids: taken.map(({ id }) => id), fence: Lock });
    if (this.#held.length > heldMax) this.#held.shift();
  }

  /** Now and then an owner asks again. */
  #owner(): string {
    const again = this.#owners > 0 && this.#random.below(12) === 0;
    if (!again) this.#owners += 1;
    return `share${this.#owners}`;
  }

  #take(): LockOperation {
    const id = this.#name();
    const how: readonly Sharing[] = [{ read: true }, { read: true }, { limit: 2 }, { limit: 3 }, {}];
    // Each name has a mode of its own, mostly: otherwise nearly all are refused.
    const usual: Sharing = id === 's-2' ? { limit: 2 } : this.#random.below(3) === 0 ? {} : { read: true };
    const sharing = this.#random.below(8) === 0 ? how[this.#random.below(how.length)]! : usual;
    return { id, durMs: this.#times.durMs(), waitMs: this.#times.waitMs(), owner: this.#owner(), ...sharing };
  }

  #takeSet(): LockOperation[] {
    const terms = { durMs: this.#times.durMs(), waitMs: this.#times.waitMs(), owner: this.#owner() };
    const ids = this.#random.below(3) === 0 ? sharedNames : ['s-1', 's-3'];
    return ids.map((id) => ({ id, ...terms }));
  }

  #extend(ids: readonly string[], extend: number): Partial<Batch> {
    const terms = { durMs: this.#times.durMs(), waitMs: 0, extend };
    if (ids.length > 1) return { locks: ids.map((id) => ({ id, ...terms })) };
    return { lock: { id: ids[0]!, ...terms } };
  }

  #known(account: string): Held {
    const own = this.#held.filter((held) => held.account === account);
    return own.at(-1 - this.#random.below(4)) ?? own.at(-1) ?? { account, ids: [this.#name()], fence: 1 };
  }

  #name(): string {
    return sharedNames[this.#random.below(sharedNames.length)]!;
  }
}

function otherThan(id: string): string {
  return sharedNames.find((name) => name !== id)!;
}
