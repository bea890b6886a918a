/**
 * What the last hour of a log has granted. A restore applies the log once, in its order, and only at its end knows when
 * the hour began; so this keeps what may still count. Log objects are not read a second time.
 */
import type { AccountId } from '../../protocol/ids.ts';
import { kinds, type CommitRecord, type Effect } from '../../protocol/record.ts';
import { decodeLockRecord } from '../../shard-worker/core/state/lock-record.ts';
import { decodeLease, partOfShare } from '../../shard-worker/core/state/shared-lease.ts';

export const hourMs = 60 * 60 * 1000;
/** After so many changes, what is older than an hour goes. */
const changesPerSweep = 100_000;

export interface SeenLease {
  readonly account: string;
  readonly id: string;
  readonly durMs: number;
}

/** The leases that an entry has. */
export function leasesIn(account: string, { kind, key, value }: Pick<Effect, 'kind' | 'key' | 'value'>): SeenLease[] {
  if (value === undefined) return [];
  if (kind === kinds.lock) {
    const record = decodeLockRecord(value);
    return record.mode === 'exclusive' ? record.holders.map(({ durMs }) => ({ account, id: key, durMs })) : [];
  }
  if (kind !== kinds.share) return [];
  const { id, fence } = partOfShare(key);
  return fence === undefined ? [] : [{ account, id, durMs: decodeLease(fence, value).lease.durMs }];
}

interface Sighting {
  readonly at: number;
  readonly durMs: number;
}

export class RecentGrants {
  /** By account and id. Longer ones first: a lease that a later one outlasts does not count any more. */
  readonly #leases = new Map<string, { readonly account: string; readonly id: string; seen: Sighting[] }>();
  /** By account and name: when it changed last. */
  readonly #sequences = new Map<string, number>();
  #changes = 0;

  /** @param at not before that of the record before */
  add({ account, effects }: { account: AccountId; effects: CommitRecord['effects'] }, at: number): void {
    for (const effect of effects) {
      if (effect.kind === kinds.sequence) this.#sequences.set(`${account}/${effect.key}`, at);
      else for (const lease of leasesIn(account, effect)) this.#addLease(lease, at);
      this.#changes += 1;
    }
    if (this.#changes >= changesPerSweep) this.#sweep(at - hourMs);
  }

  /** The longest lease of each lock since then. */
  leasesSince(from: number): SeenLease[] {
    return [...this.#leases.values()].flatMap(({ account, id, seen }) => {
      const longest = seen.find(({ at }) => at >= from);
      return longest === undefined ? [] : [{ account, id, durMs: longest.durMs }];
    });
  }

  /** Account and name of the sequences that have changed since then. */
  sequencesSince(from: number): string[] {
    return [...this.#sequences].filter(([, at]) => at >= from).map(([name]) => name);
  }

  #addLease({ account, id, durMs }: SeenLease, at: number): void {
    const name = `${account}\0${id}`;
    let lease = this.#leases.get(name);
    if (lease === undefined) this.#leases.set(name, (lease = { account, id, seen: [] }));
    const { seen } = lease;
    while (seen.length > 0 && seen.at(-1)!.durMs <= durMs) seen.pop();
    seen.push({ at, durMs });
  }

  #sweep(from: number): void {
    this.#changes = 0;
    for (const [name, lease] of this.#leases) {
      lease.seen = lease.seen.filter(({ at }) => at >= from);
      if (lease.seen.length === 0) this.#leases.delete(name);
    }
    for (const [name, at] of this.#sequences) if (at < from) this.#sequences.delete(name);
  }
}
