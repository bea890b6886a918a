/**
 * The wait queue of one resource, a lock, a mutex or the messages of a queue: strictly first come, first served. Waiters leave from the middle
 * when their client disconnects or their time runs out, so the queue is an insertion-ordered Map: joining, leaving and
 * taking the head are all O(1).
 *
 * A free lock has a queue in two cases only: the lock is reserved for the head, a batch over several shards that still
 * visits the other shards, or the head needs a key that such a batch holds. Nobody overtakes.
 */
import { nameOf } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { LockOperation } from '../../../protocol/operations/lock.ts';
import type { MutexLock } from '../../../protocol/operations/mutex.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import type { RequestRef } from './outbox.ts';
import type { Timer } from './timers.ts';

/** The kinds of resources that requests can wait for. */
export type ResourceKind = 'lock' | 'mutex' | 'queue';

export interface Waiter {
  readonly queue: WaitQueue;
  readonly ref: RequestRef;
  readonly operation: LockOperation;
  /** The work to do once the resource is free: execute the batch, grant the mutex, or tell the transaction. */
  readonly work: Batch | MutexLock | Reserve;
  /** The place in the queue. */
  readonly ticket: number;
  /** The end of LockWait. Absent once the lock is reserved. */
  timer?: Timer;
  /** The lock is reserved for this waiter, which is a transaction. */
  reserved: boolean;
}

export interface Reserve {
  readonly kind: 'reserve';
  readonly transaction: string;
  /** The end of its LockWait. */
  readonly deadline: number;
}

export class WaitQueue {
  readonly kind: ResourceKind;
  readonly account: AccountId;
  readonly id: string;
  readonly #waiters = new Map<number, Waiter>();
  readonly #owners = new Map<string, Waiter>();
  /** For a lock: falls due when the current lease ends, or before. */
  leaseTimer?: Timer;

  constructor(kind: ResourceKind, account: AccountId, id: string) {
    this.kind = kind;
    this.account = account;
    this.id = id;
  }

  /** The name of the resource in holds and footprints. */
  get name(): string {
    return nameOf(this.account, this.id);
  }

  get size(): number {
    return this.#waiters.size;
  }

  head(): Waiter | undefined {
    return this.#waiters.values().next().value;
  }

  /** Adds a waiter. If its ticket is already in the queue, it takes that place over. */
  join(waiter: Waiter): void {
    this.#waiters.set(waiter.ticket, waiter);
    if (waiter.operation.owner !== undefined) this.#owners.set(waiter.operation.owner, waiter);
  }

  leave(waiter: Waiter): void {
    this.#waiters.delete(waiter.ticket);
    const { owner } = waiter.operation;
    if (owner !== undefined && this.#owners.get(owner) === waiter) this.#owners.delete(owner);
  }

  /** Returns the waiter of the same lock instance: an earlier try, whose connection the client may have lost. */
  sameOwner(operation: LockOperation): Waiter | undefined {
    return operation.owner === undefined ? undefined : this.#owners.get(operation.owner);
  }

  /** All waiters, the head first. */
  waiters(): Iterable<Waiter> {
    return this.#waiters.values();
  }
}

/** All wait queues of a shard. */
export class WaitQueues {
  readonly #queues = {
    lock: new Map<string, WaitQueue>(),
    mutex: new Map<string, WaitQueue>(),
    queue: new Map<string, WaitQueue>(),
  } satisfies Record<ResourceKind, Map<string, WaitQueue>>;
  /** Every waiter, by `refName`. */
  readonly #byRequest = new Map<string, Waiter>();
  /** Queues whose resource may have become free within this command: they are served before it ends. */
  readonly grantable = new Set<WaitQueue>();
  /** Queues whose head needs a key that a transaction holds. Accounts share no keys. */
  readonly #blocked = new Map<AccountId, Set<WaitQueue>>();
  readonly #waiters: Record<ResourceKind, number> = { lock: 0, mutex: 0, queue: 0 };
  #tickets = 0;

  /** How many wait for resources of this kind. */
  waitersOf(kind: ResourceKind): number {
    return this.#waiters[kind];
  }

  /** The number of waiters in all queues. */
  get size(): number {
    return this.#byRequest.size;
  }

  get openQueues(): number {
    return this.#queues.lock.size + this.#queues.mutex.size + this.#queues.queue.size;
  }

  find(kind: ResourceKind, account: AccountId, id: string): WaitQueue | undefined {
    const queues = this.#queues[kind];
    return queues.size === 0 ? undefined : queues.get(nameOf(account, id));
  }

  length(kind: ResourceKind, account: AccountId, id: string): number {
    return this.find(kind, account, id)?.size ?? 0;
  }

  open(kind: ResourceKind, account: AccountId, id: string): WaitQueue {
    let queue = this.find(kind, account, id);
    if (queue === undefined) {
      queue = new WaitQueue(kind, account, id);
      this.#queues[kind].set(queue.name, queue);
    }
    return queue;
  }

  nextTicket(): number {
    this.#tickets += 1;
    return this.#tickets;
  }

  join(waiter: Waiter): void {
    const { queue } = waiter;
    const { size } = queue;
    queue.join(waiter);
    // One that takes over a place is no further waiter.
    this.#waiters[queue.kind] += queue.size - size;
    this.#byRequest.set(refName(waiter.ref), waiter);
  }

  waiterOf(ref: RequestRef): Waiter | undefined {
    return this.#byRequest.size === 0 ? undefined : this.#byRequest.get(refName(ref));
  }

  waiterNamed(name: string): Waiter | undefined {
    return this.#byRequest.get(name);
  }

  /** Forgets the request. Its place in the queue stays, for a request that takes it over. */
  forget(waiter: Waiter): void {
    this.#byRequest.delete(refName(waiter.ref));
  }

  leave(waiter: Waiter): void {
    const { queue } = waiter;
    const { size } = queue;
    queue.leave(waiter);
    this.#waiters[queue.kind] -= size - queue.size;
    if (queue.size === 0) this.#queues[queue.kind].delete(queue.name);
    this.forget(waiter);
  }

  waiters(): Iterable<Waiter> {
    return this.#byRequest.values();
  }

  /** All queues of a kind, in the order in which they began. */
  lines(kind: ResourceKind): Iterable<WaitQueue> {
    return this.#queues[kind].values();
  }

  /** The head of the queue needs a key that a transaction holds. */
  block(queue: WaitQueue): void {
    const blocked = this.#blocked.get(queue.account);
    if (blocked === undefined) this.#blocked.set(queue.account, new Set([queue]));
    else blocked.add(queue);
  }

  /** A transaction of the account has released its keys. */
  unblock(account: AccountId): void {
    for (const queue of this.#blocked.get(account) ?? []) this.grantable.add(queue);
    this.#blocked.delete(account);
  }

  get blockedQueues(): number {
    return this.#blocked.values().reduce((sum, { size }) => sum + size, 0);
  }

  /** Notes that the resource may have become free. */
  noteGrantable(kind: ResourceKind, account: AccountId, id: string): void {
    const queue = this.find(kind, account, id);
    if (queue !== undefined) this.grantable.add(queue);
  }
}

/** Returns the name of a request among waiters. */
export function refName(ref: RequestRef): string {
  return `${ref.router}:${ref.id}`;
}
