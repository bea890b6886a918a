/**
 * How many entries a shard has, and how many bytes they take, by account and kind. Those of kind `q` are counted once
 * more by queue, letter and state (`partOf`), so that a queue knows its messages without a walk.
 *
 *   bytes of an entry   its storage key and its value as it is stored (entry-codec.ts)
 *
 * Counts are a function of the content and exact at every moment: each write says what the entry was and what it
 * becomes, and replay writes in the same way. A checkpoint stores the changed counts in its own transaction, so the
 * stored counts always match the stored content, whatever a crash leaves.
 *
 * The shard encodes a checkpoint between its turns, and needs the counts as of the freeze. So a counter remembers after
 * which freeze it changed last, and keeps its numbers from before that change:
 *
 *   freeze     the changed counters become the frozen ones, and a new list of changed counters begins
 *   change     the first one after a freeze keeps the old numbers and puts the counter on the list
 *   encode     a frozen counter gives the kept numbers if it has changed since, and its own if not
 *   no space   nothing was stored: the frozen counters stay, and the next attempt encodes the same numbers
 *
 * The memtable counts the bytes of a hot key's value on demand: for a query, or beside the encoding of slices
 * (value-blocks.ts). For a frozen memtable the difference also belongs to the numbers as of the freeze.
 *
 * The counters of an account share its `Usage`, which has the sums that its quota limits. Values of an account with a
 * quota are counted at once, so that a look at the sums is exact.
 *
 * Memory: one counter for each account and kind that has entries, and for each sort of entry of a queue; nothing for
 * each key.
 */
import type { AccountId } from '../protocol/ids.ts';
import { partOf, type Entry, type PartCount } from '../protocol/entries.ts';
import type { Amounts, QuotaUse, Quotas } from '../protocol/quotas.ts';
import { kinds, type Kind } from '../protocol/record.ts';
import { assert } from '../shared/assert.ts';
import { AccountUsages } from './account-usage.ts';
import type { EntryCount, StoredCounts } from './checkpoint-store.ts';
import type { Memtable } from './memtable/memtable.ts';
import { newCounter, type Counter } from './counter.ts';
import { PartTotals } from './part-totals.ts';
import { parseStorageKey } from './storage-key.ts';

/** Values counted with each slice. A slice has at most 256 rows, so the last slice leaves no value uncounted. */
export const countedPerSlice = 256;
/** From this number of uncounted values on, each new one has two counted at once. */
const uncountedMax = 128 * 1024;

interface PartChange {
  readonly old: Entry | undefined;
  readonly entry: Entry | undefined;
  /** Of its storage key, and what precedes its value. */
  readonly headBytes: number;
}

export class Counts {
  /** The first counter of each list: by account those of its kinds, by account and queue those of its parts. */
  readonly #lists = new Map<string, Counter>();
  /** Of all queues. */
  readonly totals = new PartTotals();
  /** The account whose kinds were counted last. */
  #recent: Counter | undefined;
  #freezes = 0;
  #areUnstored = false;
  #changed: Counter[] = [];
  #frozen: readonly Counter[] = [];
  readonly #usages: AccountUsages;

  constructor(usages = new AccountUsages()) {
    this.#usages = usages;
  }

  /** @param walk counts the content; called if the stored counts do not match it */
  open({ counts, current }: StoredCounts, walk: () => readonly EntryCount[]): void {
    for (const { account, kind, part, entries, bytes } of counts) {
      const counter = part === '' ? this.#counterOf(account, kind) : this.#partOf(account, kind, part);
      counter.entries = entries;
      counter.bytes = bytes;
      if (counter.total !== undefined) counter.total.entries += entries;
      this.#usages.add(counter, entries, bytes);
    }
    if (current) return;
    // Marks all counts as changed: the next checkpoint stores them anew and removes those that are zero.
    for (const count of counts) this.#change(count, -1);
    for (const count of walk()) this.#change(count, 1);
    this.#areUnstored = this.#changed.length > 0;
  }

  /** The checkpoint has no counts for its content yet. */
  get areUnstored(): boolean {
    return this.#areUnstored;
  }

  add(account: AccountId, kind: Kind, entries: number, bytes: number): void {
    this.#add(this.#counterOf(account, kind), entries, bytes);
  }

  /** Counts an entry of a queue by its part, see `partOf`. */
  addPart(account: AccountId, kind: Kind, part: string, entries: number, bytes: number): void {
    this.#add(this.#partOf(account, kind, part), entries, bytes);
  }

  /** A part of a queue has changed. The bytes of a hot value are counted later, but those of a part at once. */
  changePart(account: AccountId, key: string, { old, entry, headBytes }: PartChange): void {
    const bytesOf = ({ value }: Entry): number => headBytes + Buffer.byteLength(value);
    if (old !== undefined) this.addPart(account, kinds.queue, partOf(key, old.value), -1, -bytesOf(old));
    if (entry !== undefined) this.addPart(account, kinds.queue, partOf(key, entry.value), 1, bytesOf(entry));
  }

  #change({ account, kind, part, entries, bytes }: EntryCount, sign: 1 | -1): void {
    if (part === '') this.add(account, kind, sign * entries, sign * bytes);
    else this.addPart(account, kind, part, sign * entries, sign * bytes);
  }

  #add(counter: Counter, entries: number, bytes: number): void {
    if (counter.changedAfter !== this.#freezes) this.#keepNumbers(counter);
    counter.entries += entries;
    counter.bytes += bytes;
    if (counter.total !== undefined) counter.total.entries += entries;
    assert(counter.entries >= 0, 'a count is never below zero');
    this.#usages.add(counter, entries, bytes);
  }

  /** Takes over other quotas: a walk over all accounts, some dozens of nanoseconds each. */
  replaceQuotas(...quotas: Parameters<Quotas['replace']>): void {
    this.#usages.quotas.replace(...quotas);
    for (const { account, usage } of this.#lists.values()) this.#usages.renew(account, usage);
  }

  /**
   * Returns what the account uses of its quota, over all shards; undefined: it has none, or nothing of it is used. The
   * result is valid until the next write.
   */
  usageOf(account: AccountId): QuotaUse | undefined {
    if (!this.#usages.quotas.any) return undefined;
    return this.#usages.useOf(account, this.#firstOf(account)?.usage);
  }

  /** Whether the bytes of a hot value of this account are counted in its write. */
  countsAtOnce(account: AccountId, kind: Kind): boolean {
    return this.#usages.quotas.any && this.#counterOf(account, kind).usage.quota !== undefined;
  }

  /** Keeps the list of uncounted values short. To be called after each new one. */
  limitUncounted(active: Memtable): void {
    if (active.uncounted > uncountedMax) this.countBytes(active, 2);
  }

  /** Counts the bytes of up to `limit` values of the active memtable that have not been counted. */
  countBytes(active: Memtable, limit = Infinity): void {
    active.count(limit, (key, bytes) => {
      const { account, kind } = parseStorageKey(key);
      this.add(account, kind, 0, bytes);
    });
  }

  /** The same for the frozen memtable. Its counters are on the frozen list: a write touched them before the freeze. */
  countFrozenBytes(frozen: Memtable, limit = Infinity): void {
    frozen.count(limit, (key, bytes) => {
      const { account, kind } = parseStorageKey(key);
      const counter = this.#counterOf(account, kind);
      counter.bytes += bytes;
      this.#usages.add(counter, 0, bytes);
      if (counter.changedAfter === this.#freezes) counter.bytesBefore += bytes;
    });
  }

  /** Marks a count as changed, because bytes will be counted later. */
  touch(account: AccountId, kind: Kind): void {
    const counter = this.#counterOf(account, kind);
    if (counter.changedAfter !== this.#freezes) this.#keepNumbers(counter);
  }

  get(account: AccountId, kind: Kind): EntryCount {
    let counter = this.#lists.get(account);
    while (counter !== undefined && counter.kind !== kind) counter = counter.next;
    return { account, kind, part: '', entries: counter?.entries ?? 0, bytes: counter?.bytes ?? 0 };
  }

  /** What all accounts have in this shard. */
  get total(): Amounts {
    return this.#usages.total;
  }

  /** Messages of all queues of the account. */
  messagesOf(account: AccountId): number {
    return this.#firstOf(account)?.usage.messages ?? 0;
  }

  /** The parts of a queue that are not zero. */
  *parts(account: AccountId, name: string): Generator<PartCount, void, undefined> {
    for (let counter = this.#lists.get(listOf(account, name)); counter !== undefined; counter = counter.next) {
      const { part, entries, bytes } = counter;
      if (entries > 0) yield { part: part.slice(name.length + 1), entries, bytes };
    }
  }

  /** All that are not zero. */
  *all(): Generator<EntryCount, void, undefined> {
    for (const first of this.#lists.values()) {
      for (let counter: Counter | undefined = first; counter !== undefined; counter = counter.next) {
        const { account, kind, part, entries, bytes } = counter;
        if (entries > 0) yield { account, kind, part, entries, bytes };
      }
    }
  }

  freeze(): void {
    assert(this.#frozen.length === 0, 'counts are frozen once at a time');
    this.#frozen = this.#changed;
    this.#changed = [];
    this.#freezes += 1;
  }

  /** The changed counts, as of the freeze. Zero: the stored count must be removed. */
  *frozen(): Generator<EntryCount, void, undefined> {
    for (const counter of this.#frozen) {
      const { account, kind, part } = counter;
      const isNewer = counter.changedAfter === this.#freezes;
      const entries = isNewer ? counter.entriesBefore : counter.entries;
      const bytes = isNewer ? counter.bytesBefore : counter.bytes;
      yield { account, kind, part, entries, bytes };
    }
  }

  /** To be called when the frozen counts are stored. */
  dropFrozen(): void {
    for (const counter of this.#frozen) {
      if (counter.entries === 0 && counter.changedAfter !== this.#freezes) this.#forget(counter);
    }
    this.#frozen = [];
    this.#areUnstored = false;
  }

  #firstOf(account: AccountId): Counter | undefined {
    let first = this.#recent;
    if (first?.account !== account) {
      first = this.#lists.get(account);
      this.#recent = first;
    }
    return first;
  }

  #counterOf(account: AccountId, kind: Kind): Counter {
    const first = this.#firstOf(account);
    for (let counter = first; counter !== undefined; counter = counter.next) {
      if (counter.kind === kind) return counter;
    }
    const usage = first?.usage ?? this.#usages.open(account);
    const added = newCounter({ account, kind, part: '', total: undefined }, usage, first);
    this.#lists.set(account, added);
    this.#recent = added;
    return added;
  }

  #partOf(account: AccountId, kind: Kind, part: string): Counter {
    const list = listOf(account, part.slice(0, part.indexOf('\0')));
    const first = this.#lists.get(list);
    for (let counter = first; counter !== undefined; counter = counter.next) {
      if (counter.part === part) return counter;
    }
    const usage = first?.usage ?? this.#counterOf(account, kind).usage;
    const added = newCounter({ account, kind, part, total: this.totals.of(part) }, usage, first);
    this.#lists.set(list, added);
    return added;
  }

  #forget(counter: Counter): void {
    const { account, part, next } = counter;
    const list = part === '' ? account : listOf(account, part.slice(0, part.indexOf('\0')));
    let before = this.#lists.get(list);
    this.#recent = undefined;
    if (before !== counter) {
      while (before !== undefined && before.next !== counter) before = before.next;
      assert(before !== undefined, 'a counter is on the list of its account');
      before.next = next;
    } else if (next === undefined) this.#lists.delete(list);
    else this.#lists.set(list, next);
  }

  #keepNumbers(counter: Counter): void {
    counter.entriesBefore = counter.entries;
    counter.bytesBefore = counter.bytes;
    counter.changedAfter = this.#freezes;
    this.#changed.push(counter);
  }
}

function listOf(account: AccountId, name: string): string {
  return `${account}\0${name}`;
}
