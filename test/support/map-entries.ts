/** A shard's content in the simplest correct form: one map, sorted whenever a caller needs an order. */
import type { AccountId } from '../../src/protocol/ids.ts';
import { Quotas, type Amounts, type QuotaUse } from '../../src/protocol/quotas.ts';
import { kinds, type Kind } from '../../src/protocol/record.ts';
import {
  partOf,
  type DuePlace,
  type Entries,
  type Entry,
  type LocatedEntry,
  type PartCount,
  type PartTotal,
} from '../../src/protocol/entries.ts';

export class MapEntries implements Entries {
  readonly #entries = new Map<string, LocatedEntry>();
  readonly #quotas: Quotas;

  constructor(quotas = Quotas.none) {
    this.#quotas = quotas;
  }

  get(kind: Kind, account: AccountId, key: string): Entry | undefined {
    return this.#entries.get(nameOf(kind, account, key))?.entry;
  }

  put(kind: Kind, account: AccountId, key: string, entry: Entry): void {
    this.#entries.set(nameOf(kind, account, key), { kind, account, key, entry });
  }

  delete(kind: Kind, account: AccountId, key: string): void {
    this.#entries.delete(nameOf(kind, account, key));
  }

  range(kind: Kind, account: AccountId, prefix: string, after?: string): LocatedEntry[] {
    return [...this.#entries.values()]
      .filter((e) => e.kind === kind && e.account === account && e.key.startsWith(prefix))
      .filter((e) => after === undefined || compareBytes(e.key, after) > 0)
      .toSorted((a, b) => compareBytes(a.key, b.key));
  }

  *keys(kind: Kind, account: AccountId, prefix: string, after?: string): Generator<string, void, string | undefined> {
    let skipped: string | undefined;
    for (const { key } of this.range(kind, account, prefix, after)) {
      if (skipped === undefined || !key.startsWith(skipped)) skipped = yield key;
    }
  }

  accountAfter(account: AccountId): AccountId | undefined {
    return this.all()
      .map((located) => located.account)
      .filter((name) => order(name) > order(account) && name !== '')
      .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))[0];
  }

  countOf(account: AccountId, kind: Kind): { readonly entries: number; readonly bytes: number } {
    const values = this.range(kind, account, '').map(({ key, entry }) => key.length + entry.value.length);
    return { entries: values.length, bytes: values.reduce((sum, size) => sum + size, 0) };
  }

  partsOf(kind: Kind, account: AccountId, name: string): PartCount[] {
    const counts = new Map<string, PartCount>();
    for (const { key, entry } of this.range(kind, account, `${name}\0`)) {
      const part = partOf(key, entry.value).slice(name.length + 1);
      const { entries, bytes } = counts.get(part) ?? { entries: 0, bytes: 0 };
      const more = 1 + account.length + 1 + Buffer.byteLength(key) + 12 + Buffer.byteLength(entry.value);
      counts.set(part, { part, entries: entries + 1, bytes: bytes + more });
    }
    return [...counts.values()];
  }

  partTotals(): PartTotal[] {
    const totals = new Map<string, PartTotal>();
    for (const { kind, key, entry } of this.all()) {
      if (kind !== kinds.queue) continue;
      const [letter, state] = [key.charAt(key.indexOf('\0') + 1), entry.value.charAt(0)];
      const entries = (totals.get(letter + state)?.entries ?? 0) + 1;
      totals.set(letter + state, { letter, state, entries });
    }
    return [...totals.values()];
  }

  messagesOf(account: AccountId): number {
    return amountsOf(this.all(), account).messages;
  }

  usageOf(account: AccountId): QuotaUse | undefined {
    const quota = this.#quotas.of(account);
    return quota === undefined ? undefined : { ...amountsOf(this.all(), account), quota };
  }

  nextDeadline(): number {
    return Math.min(Infinity, ...this.#withTill().map(({ entry }) => entry.till));
  }

  due(now: number, limit: number): LocatedEntry[] {
    return this.#withTill()
      .filter(({ entry }) => entry.till <= now)
      .toSorted((a, b) => a.entry.till - b.entry.till || compareBytes(a.key, b.key))
      .slice(0, limit);
  }

  nextTask(after: DuePlace, until: number): number {
    return this.dueTasks(until, after, 1)[0]?.entry.till ?? Infinity;
  }

  dueTasks(now: number, after: DuePlace, limit: number): LocatedEntry[] {
    return this.all()
      .filter(({ kind, entry }) => kind === kinds.taskState && entry.till !== 0 && entry.till <= now)
      .map((located) => ({ located, at: placeOf({ ...located, till: located.entry.till }) }))
      .filter(({ at }) => after.till <= 0 || compareBytes(at, placeOf(after)) > 0)
      .toSorted((a, b) => compareBytes(a.at, b.at))
      .slice(0, limit)
      .map(({ located }) => located);
  }

  all(): LocatedEntry[] {
    return [...this.#entries.values()];
  }

  #withTill(): LocatedEntry[] {
    return this.all().filter(({ kind, entry }) => kind !== kinds.taskState && entry.till !== 0);
  }
}

const notCounted: ReadonlySet<number> = new Set([kinds.queue, kinds.idempotency, kinds.share, kinds.taskState]);

/** Counts what an account has, by looking at each of its entries. */
export function amountsOf(all: Iterable<LocatedEntry>, account: AccountId): Amounts {
  const amounts = { bytes: 0, entries: 0, messages: 0, tasks: 0 };
  for (const located of all) {
    if (located.account !== account || isNote(located.kind)) continue;
    const { kind, key, entry } = located;
    const isMessage = kind === kinds.queue && /^[^\0]*\0[mdgz]/.test(key);
    amounts.bytes += 1 + account.length + 1 + Buffer.byteLength(key) + 12 + Buffer.byteLength(entry.value);
    if (isMessage) amounts.messages += 1;
    if (kind === kinds.task) amounts.tasks += 1;
    if (isMessage || !notCounted.has(kind)) amounts.entries += 1;
  }
  return amounts;
}

/** What the server notes for itself. */
function isNote(kind: Kind): boolean {
  return kind === kinds.audit || kind === kinds.deletion;
}

/** Returns equal digests for equal contents, whatever the order of the writes. */
export function digestOf(entries: Iterable<LocatedEntry>): string {
  return Array.from(entries, ({ kind, account, key, entry }) =>
    JSON.stringify([kind, account, key, entry.rev, entry.till, entry.value]),
  )
    .toSorted()
    .join('\n');
}

function placeOf({ till, account, key }: DuePlace): string {
  return `${String(till).padStart(20)}${order(account)}\0${key}`;
}

function order(account: AccountId): string {
  return String.fromCharCode(account.length) + account;
}

function nameOf(kind: Kind, account: AccountId, key: string): string {
  return JSON.stringify([kind, account, key]);
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
