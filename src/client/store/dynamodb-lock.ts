/**
 * One lock in DynamoDB. DynamoDB hands no lock over, so a waiter polls, and takes the lock by a conditional write.
 *
 *     free ──take: fence + 1, owner, beat──► held ──renew: a new beat──► held
 *      ▲                                     │  │
 *      └──────release: no owner──────────────┘  └─the same beat for a whole lease──► taken over: fence + 1, owner, beat
 *
 * No machine trusts the clock of another. A waiter remembers the heartbeat (the attribute `beat`) that it saw, and
 * when, on its own monotonic clock. It takes over only after it has seen the same heartbeat for a whole lease, on the
 * condition that the heartbeat is still the same. The holder's lease began before its heartbeat was written, so before
 * any waiter saw it: by then the holder has given up (the client's `lease.ts`). A locker keeps what it saw between
 * calls, so a locker that does not poll can take over too when it is called again.
 *
 * A take names the fence that was seen; a renewal and a release name the owner. A request that arrives after its sender
 * gave up finds another state and does nothing, so no client comes to own a lock that it has stopped waiting for.
 */
import { LockLostError } from '../errors.ts';
import type { Mark } from '../lease-clock.ts';
import type { Item } from './dynamodb-calls.ts';
import { numberOf, textOf, type ItemChange, type ItemChangeResult, type DynamoDbTable } from './dynamodb-table.ts';
import type { LockGrant, LockBackend } from './locker.ts';
import { isAborted, pause, withTimeout, type Environment } from './environment.ts';

export interface DynamoDbLockOptions {
  readonly key: string;
  readonly ttlMs: number;
  readonly pollMs: number;
  readonly partition: string;
  readonly table: DynamoDbTable;
  readonly environment: Environment;
  /** Writes and deletes the pair that shows the holder while this fence holds the lock. */
  readonly shown?: { put(fence: number, ttlMs: number): Promise<void>; delete(fence: number): Promise<void> };
}

/** A holder's heartbeat, and when it was first seen. */
interface SeenHeartbeat {
  readonly heartbeat: string;
  readonly leaseMs: number;
  readonly sinceMs: number;
}

export class DynamoDbLock implements LockBackend {
  readonly #options: DynamoDbLockOptions;
  #seen: SeenHeartbeat | undefined;

  constructor(options: DynamoDbLockOptions) {
    this.#options = options;
  }

  async acquire(wait: boolean, signal: AbortSignal | undefined): Promise<LockGrant | 'busy'> {
    const { key, partition, table, pollMs, environment } = this.#options;
    while (!isAborted(signal)) {
      const item = await table.read(locksOf(partition), key);
      const freeInMs = this.#freeInMs(item);
      if (freeInMs > 0) {
        if (!wait) return 'busy';
        const pollInMs = pollMs * (0.5 + environment.random());
        await pause(environment.clock, Math.min(pollInMs, freeInMs), signal);
      } else if (!isAborted(signal)) {
        const grant = await this.#take(item);
        if (grant !== undefined) return grant;
        // Another client was faster: read the new state.
      }
    }
    return 'busy';
  }

  /** Milliseconds until the lock may be taken: 0 when it is free, or its holder has been silent for a whole lease. */
  #freeInMs(item: Item | undefined): number {
    const heartbeat = textOf(item, 'beat');
    if (heartbeat === undefined) return 0;
    const nowMs = this.#options.environment.clock.mark().monotonicMs;
    if (this.#seen?.heartbeat !== heartbeat) {
      this.#seen = { heartbeat, leaseMs: numberOf(item, 'lease') ?? this.#options.ttlMs, sinceMs: nowMs };
    }
    return Math.max(0, this.#seen.sinceMs + this.#seen.leaseMs - nowMs);
  }

  /** Takes a lock that is free or expired, if it is still in the state that was read. */
  async #take(item: Item | undefined): Promise<LockGrant | undefined> {
    const { ttlMs, environment, shown } = this.#options;
    const owner = environment.nonce();
    const heartbeat = environment.nonce();
    const sentAt = environment.clock.mark();
    const seenFence = numberOf(item, 'fence');
    const fence = (seenFence ?? 0) + 1;
    const changed = await this.#options.table.change({
      id: locksOf(this.#options.partition),
      name: this.#options.key,
      set: { owner: { S: owner }, beat: { S: heartbeat }, lease: { N: String(ttlMs) }, fence: { N: String(fence) } },
      remove: [],
      ...conditionOnSeen(seenFence, textOf(item, 'beat')),
      isDone: (now) => textOf(now, 'owner') === owner,
    });
    if (changed.kind === 'refused') return undefined;
    const held = new HeldDynamoDbLock(this.#options, { owner, fence, heartbeat, sentAt });
    try {
      await shown?.put(fence, ttlMs);
    } catch (error) {
      // The caller never learns of this lease. If the release fails too, the lease expires.
      await held.release().catch(() => undefined);
      throw error;
    }
    return held;
  }
}

/** One acquisition of the lock, until it is released or lost. */
class HeldDynamoDbLock implements LockGrant {
  readonly fence: number;
  readonly #options: DynamoDbLockOptions;
  readonly #owner: string;
  #heartbeat: string;
  #sentAt: Mark;

  constructor(options: DynamoDbLockOptions, taken: { owner: string; fence: number; heartbeat: string; sentAt: Mark }) {
    this.#options = options;
    this.fence = taken.fence;
    this.#owner = taken.owner;
    this.#heartbeat = taken.heartbeat;
    this.#sentAt = taken.sentAt;
  }

  get sentAt(): Mark {
    return this.#sentAt;
  }

  renew(timeoutMs: number): Promise<Mark> {
    return withTimeout(this.#options.environment.clock, timeoutMs, this.#renew());
  }

  async release(): Promise<void> {
    const { shown, environment, ttlMs } = this.#options;
    await shown?.delete(this.fence);
    const changed = await this.#change({
      set: {},
      remove: ['owner', 'beat', 'lease'],
      condition: '#owner = :me',
      values: { me: { S: this.#owner } },
      // Only the holder can free the lock without a higher fence.
      isDone: (item) => textOf(item, 'owner') === undefined && numberOf(item, 'fence') === this.fence,
    });
    if (changed.kind === 'done') return;
    // A reply was lost. Within our lease, another client can have taken the lock only after our release.
    if (!changed.sure && environment.clock.since(this.#sentAt) < ttlMs) return;
    throw this.#lost();
  }

  async #renew(): Promise<Mark> {
    const { environment, ttlMs, shown } = this.#options;
    const heartbeat = environment.nonce();
    const sentAt = environment.clock.mark();
    const changed = await this.#change({
      set: { beat: { S: heartbeat } },
      remove: [],
      condition: '#owner = :me AND #beat = :last',
      values: { me: { S: this.#owner }, last: { S: this.#heartbeat } },
      isDone: (item) => textOf(item, 'beat') === heartbeat,
    });
    if (changed.kind === 'done') {
      this.#heartbeat = heartbeat;
      this.#sentAt = sentAt;
      await shown?.put(this.fence, ttlMs);
      return sentAt;
    }
    if (textOf(changed.item, 'owner') !== this.#owner) throw this.#lost();
    // An earlier renewal timed out here, but DynamoDB applied it.
    this.#heartbeat = textOf(changed.item, 'beat') ?? this.#heartbeat;
    return await this.#renew();
  }

  #change(change: Omit<ItemChange, 'id' | 'name'>): Promise<ItemChangeResult> {
    const { table, partition, key } = this.#options;
    return table.change({ id: locksOf(partition), name: key, ...change });
  }

  #lost(): LockLostError {
    return new LockLostError(
      'lock_lost',
      `The lock "${this.#options.key}" is not held with fence ${this.fence} any more.`,
    );
  }
}

/** The partition for the locks of a store. */
function locksOf(partition: string): string {
  return `${partition}#locks`;
}

/** The condition that a lock is still in the state that was read. */
function conditionOnSeen(
  fence: number | undefined,
  heartbeat: string | undefined,
): Pick<ItemChange, 'condition' | 'values'> {
  if (fence === undefined) return { condition: 'attribute_not_exists(#fence)' };
  const seen = { seen: { N: String(fence) } };
  if (heartbeat === undefined) return { condition: '#fence = :seen AND attribute_not_exists(#beat)', values: seen };
  return { condition: '#fence = :seen AND #beat = :same', values: { ...seen, same: { S: heartbeat } } };
}
