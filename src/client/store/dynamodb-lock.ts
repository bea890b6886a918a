/**
 * One lock in DynamoDB, where nobody hands it over: whoever wants it looks, and takes it with a condition.
 *
 *     free ──take: fence + 1, owner, beat──► held ──renew: a new beat──► held
 *      ▲                                     │  │
 *      └──────release: no owner──────────────┘  └─the same beat for a whole lease──► taken over: fence + 1, owner, beat
 *
 * Nobody trusts another's clock. Whoever waits remembers which beat it saw and when, on its own monotonic clock; only
 * when it has seen the same beat for as long as the lease says does it take over, on the condition that it is still this
 * beat. The holder's lease began before its beat was written, so before anyone saw it: by then the holder has given up
 * (the client's `lease.ts`). What was seen is kept between calls, so that a locker that does not poll can take
 * over too when it comes back.
 *
 * To take names the fence that was seen, to renew and release names the owner. A request that arrives late, after its
 * sender gave up, finds another state and does nothing: nobody comes to own a lock that it has stopped waiting for.
 */
import { LockLostError } from '../errors.ts';
import type { Mark } from '../lease-clock.ts';
import { numberOf, textOf, type Change, type Changed, type DynamoDbTable, type Item } from './dynamodb-table.ts';
import type { Grant, LockBackend } from './locker.ts';
import { isAborted, pause, within, type Surroundings } from './environment.ts';

export interface DynamoDbLockOptions {
  readonly key: string;
  readonly ttlMs: number;
  readonly pollMs: number;
  readonly partition: string;
  readonly table: DynamoDbTable;
  readonly surroundings: Surroundings;
  /** Writes and deletes the pair that is shown while this fence holds the lock. */
  readonly shown?: { put(fence: number, ttlMs: number): Promise<void>; delete(fence: number): Promise<void> };
}

/** Somebody's beat, and when it was first seen. */
interface Seen {
  readonly beat: string;
  readonly leaseMs: number;
  readonly sinceMs: number;
}

export class DynamoDbLock implements LockBackend {
  readonly #options: DynamoDbLockOptions;
  #seen: Seen | undefined;

  constructor(options: DynamoDbLockOptions) {
    this.#options = options;
  }

  async acquire(wait: boolean, signal: AbortSignal | undefined): Promise<Grant | 'busy'> {
    const { key, partition, table, pollMs, surroundings } = this.#options;
    while (!isAborted(signal)) {
      const item = await table.read(locksOf(partition), key);
      const overInMs = this.#overIn(item);
      if (overInMs > 0) {
        if (!wait) return 'busy';
        const pollInMs = pollMs * (0.5 + surroundings.random());
        await pause(surroundings.clock, Math.min(pollInMs, overInMs), signal);
      } else if (!isAborted(signal)) {
        const grant = await this.#take(item);
        if (grant !== undefined) return grant;
        // Another was faster: there is something new to see.
      }
    }
    return 'busy';
  }

  /** In how many milliseconds it may be taken: 0 when it is free, or its holder has been silent for a whole lease. */
  #overIn(item: Item | undefined): number {
    const beat = textOf(item, 'beat');
    if (beat === undefined) return 0;
    const nowMs = this.#options.surroundings.clock.mark().monotonicMs;
    if (this.#seen?.beat !== beat) {
      this.#seen = { beat, leaseMs: numberOf(item, 'lease') ?? this.#options.ttlMs, sinceMs: nowMs };
    }
    return Math.max(0, this.#seen.sinceMs + this.#seen.leaseMs - nowMs);
  }

  /** Takes what is free or over, in the state in which it was seen. */
  async #take(item: Item | undefined): Promise<Grant | undefined> {
    const { ttlMs, surroundings, shown } = this.#options;
    const owner = surroundings.nonce();
    const beat = surroundings.nonce();
    const sentAt = surroundings.clock.mark();
    const seenFence = numberOf(item, 'fence');
    const fence = (seenFence ?? 0) + 1;
    const changed = await this.#options.table.change({
      id: locksOf(this.#options.partition),
      name: this.#options.key,
      set: { owner: { S: owner }, beat: { S: beat }, lease: { N: String(ttlMs) }, fence: { N: String(fence) } },
      remove: [],
      ...still(seenFence, textOf(item, 'beat')),
      isDone: (now) => textOf(now, 'owner') === owner,
    });
    if (changed.kind === 'refused') return undefined;
    const tenure = new Tenure(this.#options, { owner, fence, beat, sentAt });
    try {
      await shown?.put(fence, ttlMs);
    } catch (error) {
      // Nobody is told of this lease. If it cannot be given back, its time will end it.
      await tenure.release().catch(() => undefined);
      throw error;
    }
    return tenure;
  }
}

/** The time for which one acquisition has the lock. */
class Tenure implements Grant {
  readonly fence: number;
  readonly #options: DynamoDbLockOptions;
  readonly #owner: string;
  #beat: string;
  #sentAt: Mark;

  constructor(options: DynamoDbLockOptions, taken: { owner: string; fence: number; beat: string; sentAt: Mark }) {
    this.#options = options;
    this.fence = taken.fence;
    this.#owner = taken.owner;
    this.#beat = taken.beat;
    this.#sentAt = taken.sentAt;
  }

  get sentAt(): Mark {
    return this.#sentAt;
  }

  renew(timeoutMs: number): Promise<Mark> {
    return within(this.#options.surroundings.clock, timeoutMs, this.#renew());
  }

  async release(): Promise<void> {
    const { shown, surroundings, ttlMs } = this.#options;
    await shown?.delete(this.fence);
    const changed = await this.#change({
      set: {},
      remove: ['owner', 'beat', 'lease'],
      condition: '#owner = :me',
      values: { me: { S: this.#owner } },
      // Only who has the lock can free it without a higher fence.
      isDone: (item) => textOf(item, 'owner') === undefined && numberOf(item, 'fence') === this.fence,
    });
    if (changed.kind === 'done') return;
    // When an answer was lost: before a lease is over, nobody can have had the lock but after us.
    if (!changed.sure && surroundings.clock.since(this.#sentAt) < ttlMs) return;
    throw this.#lost();
  }

  async #renew(): Promise<Mark> {
    const { surroundings, ttlMs, shown } = this.#options;
    const beat = surroundings.nonce();
    const sentAt = surroundings.clock.mark();
    const changed = await this.#change({
      set: { beat: { S: beat } },
      remove: [],
      condition: '#owner = :me AND #beat = :last',
      values: { me: { S: this.#owner }, last: { S: this.#beat } },
      isDone: (item) => textOf(item, 'beat') === beat,
    });
    if (changed.kind === 'done') {
      this.#beat = beat;
      this.#sentAt = sentAt;
      await shown?.put(this.fence, ttlMs);
      return sentAt;
    }
    if (textOf(changed.item, 'owner') !== this.#owner) throw this.#lost();
    // A renewal that had been given up on has happened after all.
    this.#beat = textOf(changed.item, 'beat') ?? this.#beat;
    return await this.#renew();
  }

  #change(change: Omit<Change, 'id' | 'name'>): Promise<Changed> {
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

/** The partition that has the locks of a store. */
function locksOf(partition: string): string {
  return `${partition}#locks`;
}

/** The condition that a lock is as it was seen. */
function still(fence: number | undefined, beat: string | undefined): Pick<Change, 'condition' | 'values'> {
  if (fence === undefined) return { condition: 'attribute_not_exists(#fence)' };
  const seen = { seen: { N: String(fence) } };
  if (beat === undefined) return { condition: '#fence = :seen AND attribute_not_exists(#beat)', values: seen };
  return { condition: '#fence = :seen AND #beat = :same', values: { ...seen, same: { S: beat } } };
}
