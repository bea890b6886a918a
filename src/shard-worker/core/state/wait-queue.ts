/**
 * Who waits for a lock or a mutex: strictly first come, first served. Waiters leave from the middle when they vanish or
 * run out of time, so the line is an insertion-ordered Map: joining, leaving and taking the head are all O(1).
 *
 * A line can stand before a free lock in two cases only: its head is a batch over several shards for which the lock is
 * reserved while the other shards are asked, or the head's batch needs a key that such a batch holds. Nobody overtakes.
 */
import type { AccountId } from '../../../protocol/ids.ts';
import type { Batch, LockOperation, MutexLock } from '../../../protocol/commands.ts';
import type { Deadline } from './timers.ts';
import type { RequestRef } from './outbox.ts';

export interface Waiter {
  readonly ref: RequestRef;
  readonly account: AccountId;
  readonly operation: LockOperation;
  /** What to do when the lock is free: settle the batch, hand out the mutex, or tell the transaction that it has the lock. */
  readonly work: Batch | MutexLock | Reserve;
  /** The place in line. */
  readonly ticket: number;
  /** When LockWait runs out. Absent once the lock is reserved. */
  deadline?: Deadline<Timed>;
  /** The lock is kept for this waiter, which is a transaction. */
  reserved: boolean;
}

export interface Reserve {
  readonly kind: 'reserve';
  readonly transaction: string;
}

/** What a deadline in memory is about. */
export type Timed =
  | { readonly kind: 'waiter'; readonly waiter: Waiter }
  | { readonly kind: 'mutex'; readonly account: AccountId; readonly id: string }
  /** A lease ends before the time that its entry is filed under. */
  | { readonly kind: 'lock'; readonly account: AccountId; readonly id: string };

export class WaitQueue {
  readonly #line = new Map<number, Waiter>();
  readonly #owners = new Map<string, Waiter>();

  get size(): number {
    return this.#line.size;
  }

  head(): Waiter | undefined {
    return this.#line.values().next().value;
  }

  /** A waiter with a ticket that is already in line takes that place over. */
  join(waiter: Waiter): void {
    this.#line.set(waiter.ticket, waiter);
    if (waiter.operation.owner !== undefined) this.#owners.set(waiter.operation.owner, waiter);
  }

  leave(waiter: Waiter): void {
    this.#line.delete(waiter.ticket);
    const owner = waiter.operation.owner;
    if (owner !== undefined && this.#owners.get(owner) === waiter) this.#owners.delete(owner);
  }

  /** The waiter of the same lock instance: an earlier try, whose connection the client may have lost. */
  sameOwner(operation: LockOperation): Waiter | undefined {
    return operation.owner === undefined ? undefined : this.#owners.get(operation.owner);
  }

  /** Everyone, first in line first. */
  waiters(): Iterable<Waiter> {
    return this.#line.values();
  }
}
