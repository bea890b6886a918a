/**
 * What locks and mutexes did since the start, for metrics. A lock is counted when its change is committed, a mutex when it
 * changes; each costs one addition, and a search in eleven buckets. Locks that several hold count as others do; a force
 * that ends all their leases counts as one, and their times are not known.
 */
import { BucketCounter, lockSecondsBounds } from '../../../protocol/bucket-counter.ts';
import type { LockStats } from '../../../protocol/stats.ts';
import type { PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import type { Ending, LockView } from './lease.ts';

export class LockCounts {
  readonly #grants = { free: 0, line: 0, reentered: 0 };
  readonly #ends: Record<Ending, number> = { released: 0, expired: 0, forced: 0 };
  readonly #waitSeconds = new BucketCounter(lockSecondsBounds);
  readonly #holdSeconds = new BucketCounter(lockSecondsBounds);
  #undelivered = 0;

  get expired(): number {
    return this.#ends.expired;
  }

  grant(how: keyof LockStats['grants']): void {
    this.#grants[how] += 1;
  }

  /** @param since when the lease began; absent: there is no lease of one's own */
  end(why: Ending, now: number, since?: number): void {
    this.#ends[why] += 1;
    if (since !== undefined) this.#holdSeconds.observe(Math.max(0, now - since) / 1000);
  }

  /** A request that stood in line is served. */
  waited(ms: number): void {
    this.#waitSeconds.observe(Math.max(0, ms) / 1000);
  }

  /** A grant came back, because nobody was there to take it. */
  undelivered(): void {
    this.#undelivered += 1;
  }

  /** Counts an effect that is being committed, if it is one of a lock. @param waited the batch stood in line */
  committed({ lease }: PendingEffect, now: number, waited: boolean): void {
    if (lease === undefined) return;
    if (lease.change === 'granted') this.grant(waited ? 'line' : 'free');
    else if (lease.change === 'extended') this.grant('reentered');
    else this.end(lease.change, now, lease.since);
  }

  snapshot(): LockStats {
    return {
      grants: { ...this.#grants },
      ends: { ...this.#ends },
      undelivered: this.#undelivered,
      waitSeconds: this.#waitSeconds.snapshot(),
      holdSeconds: this.#holdSeconds.snapshot(),
    };
  }
}

/** What ends with the lease of a view, for its effect. */
export function leaseEnd(change: Ending, { lease }: Pick<LockView, 'lease'>): NonNullable<PendingEffect['lease']> {
  return lease === undefined ? { change } : { change, since: lease.since };
}
