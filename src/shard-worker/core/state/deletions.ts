/** Accounts that are being deleted: how far the sweep of each has come. The entry `x` of each lasts as long as it does. */
import type { AccountId } from '../../../protocol/ids.ts';
import type { Waiter } from './wait-queue.ts';

export interface Deletion {
  readonly account: AccountId;
  /** Index of the kind of entries that is swept, and the last key that is gone. */
  kind: number;
  after: string | undefined;
  /** Those who waited for something of the account when it was marked, and its mutexes by name. */
  readonly waiters: Waiter[];
  readonly mutexes: string[];
  /** The turn that marked it sweeps a little, too. */
  begun: boolean;
}

export class Deletions {
  readonly #byAccount = new Map<AccountId, Deletion>();

  /** Zero nearly always: ask this first. */
  get size(): number {
    return this.#byAccount.size;
  }

  has(account: AccountId): boolean {
    return this.#byAccount.has(account);
  }

  add(deletion: Deletion): void {
    this.#byAccount.set(deletion.account, deletion);
  }

  remove(account: AccountId): void {
    this.#byAccount.delete(account);
  }

  /** The deletion whose turn it is; the next call returns another one. */
  next(): Deletion | undefined {
    const first = this.#byAccount.values().next().value;
    if (first === undefined) return undefined;
    this.#byAccount.delete(first.account);
    this.#byAccount.set(first.account, first);
    return first;
  }

  /** One that was marked just now. */
  fresh(): Deletion | undefined {
    for (const deletion of this.#byAccount.values()) if (!deletion.begun) return deletion;
    return undefined;
  }
}
