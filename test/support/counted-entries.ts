import type { DuePlace, Entries, Entry, LocatedEntry, PartCount, PartTotal } from '../../src/protocol/entries.ts';
import type { AccountId } from '../../src/protocol/ids.ts';
import type { QuotaUse } from '../../src/protocol/quotas.ts';
import type { Kind } from '../../src/protocol/record.ts';
import { MapEntries } from './map-entries.ts';

/** Counts each entry that is read, written or passed over. */
export class CountedEntries implements Entries {
  looked = 0;
  readonly #inner: Entries;

  constructor(inner: Entries = new MapEntries()) {
    this.#inner = inner;
  }

  get(kind: Kind, account: AccountId, key: string): Entry | undefined {
    this.looked += 1;
    return this.#inner.get(kind, account, key);
  }

  put(kind: Kind, account: AccountId, key: string, entry: Entry): void {
    this.looked += 1;
    this.#inner.put(kind, account, key, entry);
  }

  delete(kind: Kind, account: AccountId, key: string): void {
    this.looked += 1;
    this.#inner.delete(kind, account, key);
  }

  *range(kind: Kind, account: AccountId, prefix: string, after?: string): Generator<LocatedEntry> {
    for (const located of this.#inner.range(kind, account, prefix, after)) {
      this.looked += 1;
      yield located;
    }
  }

  *keys(kind: Kind, account: AccountId, prefix: string, after?: string): Generator<string, void, string | undefined> {
    const keys = this.#inner.keys(kind, account, prefix, after);
    for (let key = keys.next(); key.done !== true; ) {
      this.looked += 1;
      key = keys.next(yield key.value);
    }
  }

  accountAfter(account: AccountId): AccountId | undefined {
    this.looked += 1;
    return this.#inner.accountAfter(account);
  }

  countOf(account: AccountId, kind: Kind): { readonly entries: number; readonly bytes: number } {
    return this.#inner.countOf(account, kind);
  }

  partTotals(): Iterable<PartTotal> {
    return this.#inner.partTotals();
  }

  partsOf(kind: Kind, account: AccountId, name: string): Iterable<PartCount> {
    return this.#inner.partsOf(kind, account, name);
  }

  messagesOf(account: AccountId): number {
    return this.#inner.messagesOf(account);
  }

  usageOf(account: AccountId): QuotaUse | undefined {
    return this.#inner.usageOf(account);
  }

  nextDeadline(): number {
    return this.#inner.nextDeadline();
  }

  nextTask(after: DuePlace, until: number): number {
    return this.#inner.nextTask(after, until);
  }

  dueTasks(now: number, after: DuePlace, limit: number): LocatedEntry[] {
    const due = this.#inner.dueTasks(now, after, limit);
    this.looked += due.length;
    return due;
  }

  due(now: number, limit: number): LocatedEntry[] {
    const due = this.#inner.due(now, limit);
    this.looked += due.length;
    return due;
  }
}
