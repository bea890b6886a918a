/**
 * What an account has in a shard: the sums of its counters that its quota limits. All of its counters (counts.ts) share
 * one `Usage`, so that a commit is checked against the quota without a look at each.
 */
import { isMessagePart } from '../protocol/entries.ts';
import type { AccountId } from '../protocol/ids.ts';
import { hasBytesOfQuota, isEntryOfQuota, noAmounts, Quotas, type Amounts, type QuotaUse } from '../protocol/quotas.ts';
import { kinds } from '../protocol/record.ts';
import { unreachable } from '../shared/assert.ts';
import type { EntryCount } from './checkpoint-store.ts';
import { noPlace, type SharedUsage } from './shared-usage.ts';

export interface Usage {
  bytes: number;
  entries: number;
  messages: number;
  tasks: number;
  /** undefined: none. */
  quota: Amounts | undefined;
  /** In the memory that shards share. */
  place: number;
}

/** What a counter adds to the usage of its account. */
export type CountedAs = 'all' | 'bytes' | 'messages' | 'tasks' | 'nothing';

interface AccountCounter {
  readonly account: AccountId;
  readonly usage: Usage;
  readonly counted: CountedAs;
}

export function countedOf({ kind, part }: Pick<EntryCount, 'kind' | 'part'>): CountedAs {
  if (!hasBytesOfQuota(kind)) return 'nothing';
  if (kind === kinds.task && part === '') return 'tasks';
  if (part === '') return isEntryOfQuota(kind) ? 'all' : 'bytes';
  return kind === kinds.queue && isMessagePart(part) ? 'messages' : 'nothing';
}

export class AccountUsages {
  readonly quotas: Quotas;
  /** Of all accounts. Bytes of values that are written often are counted later. */
  readonly total = { ...noAmounts };
  /** Absent: there are no other shards. */
  readonly #shared: SharedUsage | undefined;

  constructor(quotas = Quotas.none, shared?: SharedUsage) {
    this.quotas = quotas;
    this.#shared = shared;
  }

  open(account: AccountId): Usage {
    return { ...noAmounts, quota: this.quotas.of(account), place: noPlace };
  }

  /** Looks the quota of an account up again: quotas have been replaced. */
  renew(account: AccountId, usage: Usage): void {
    usage.quota = this.quotas.of(account);
    if (this.#shared === undefined) return;
    if (usage.quota !== undefined) return share(this.#shared, account, usage);
    if (usage.place !== noPlace) this.#shared.unpin(usage.place);
    usage.place = noPlace;
  }

  /** Adds what a counter of the account has changed by. */
  add({ usage, account, counted }: AccountCounter, entries: number, bytes: number): void {
    switch (counted) {
      case 'all':
        usage.entries += entries;
        usage.bytes += bytes;
        this.total.entries += entries;
        this.total.bytes += bytes;
        break;
      case 'tasks':
        usage.entries += entries;
        usage.bytes += bytes;
        usage.tasks += entries;
        this.total.entries += entries;
        this.total.bytes += bytes;
        this.total.tasks += entries;
        break;
      case 'bytes':
        usage.bytes += bytes;
        this.total.bytes += bytes;
        break;
      case 'messages':
        usage.entries += entries;
        usage.messages += entries;
        this.total.entries += entries;
        this.total.messages += entries;
        break;
      case 'nothing':
        return;
      default:
        return unreachable(counted);
    }
    if (this.#shared !== undefined && usage.quota !== undefined) share(this.#shared, account, usage);
  }

  /** @param usage what the account has in this shard, if anything */
  useOf(account: AccountId, usage: Usage | undefined): QuotaUse | undefined {
    if (this.#shared === undefined) return hasQuota(usage) ? usage : undefined;
    const quota = usage === undefined ? this.quotas.of(account) : usage.quota;
    if (quota === undefined) return undefined;
    const { place, bytes, entries, messages, tasks } = usage ?? { ...noAmounts, place: noPlace };
    if (place !== noPlace) return { ...this.#shared.total(place), quota };
    // It has nothing here, or its set of places is full; then this shard counts what it has.
    const others = this.#shared.totalOf(account);
    return {
      bytes: others.bytes + bytes,
      entries: others.entries + entries,
      messages: others.messages + messages,
      tasks: others.tasks + tasks,
      quota,
    };
  }
}

function hasQuota(usage: Usage | undefined): usage is Usage & QuotaUse {
  return usage?.quota !== undefined;
}

function share(shared: SharedUsage, account: AccountId, usage: Usage): void {
  if (usage.bytes === 0) {
    if (usage.place !== noPlace) shared.unpin(usage.place);
    usage.place = noPlace;
    return;
  }
  if (usage.place === noPlace) usage.place = shared.pin(account);
  if (usage.place !== noPlace) shared.set(usage.place, usage);
}
