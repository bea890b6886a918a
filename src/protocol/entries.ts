/**
 * What the core sees of a shard's content: entries under (kind, account, key). In production a memtable over a
 * checkpoint implements it, in unit tests a plain map. A key is a client's name, or `name NUL letter rest` for a part
 * of the thing of that name (footprint.ts).
 */
import type { AccountId, Revision } from './ids.ts';
import type { QuotaUse } from './quotas.ts';
import type { Kind } from './record.ts';

/** Revision and till of an entry as it is stored. */
export const storedHeaderBytes = 12;

export interface Entry {
  /** The commit that wrote it: the key's version. */
  readonly rev: Revision;
  /** Wall-clock milliseconds after which it is gone; 0 = never. */
  readonly till: number;
  /** JSON text. */
  readonly value: string;
}

export interface LocatedEntry {
  readonly kind: Kind;
  readonly account: AccountId;
  readonly key: string;
  readonly entry: Entry;
}

/** A place in the order of tasks by the time at which they fall due: right behind this one. */
export interface DuePlace {
  readonly till: number;
  readonly account: AccountId;
  readonly key: string;
}

/** How many entries a thing has of one sort. */
export interface PartCount {
  /** The part's letter up to its colon, and the first character of the value; see `partOf`. */
  readonly part: string;
  readonly entries: number;
  readonly bytes: number;
}

/** How many entries all queues together have of one sort. */
export interface PartTotal {
  readonly letter: string;
  /** The first character of the value. */
  readonly state: string;
  readonly entries: number;
}

export interface Entries {
  get(kind: Kind, account: AccountId, key: string): Entry | undefined;
  put(kind: Kind, account: AccountId, key: string, entry: Entry): void;
  delete(kind: Kind, account: AccountId, key: string): void;
  /** Entries whose key starts with `prefix` and comes after `after`, in the byte order of their UTF-8 keys. */
  range(kind: Kind, account: AccountId, prefix: string, after?: string): Iterable<LocatedEntry>;
  /**
   * The keys alone, in the order of `range`: values are not read. `next` takes a text that begins with the prefix, and
   * goes on behind all keys that begin with it.
   */
  keys(kind: Kind, account: AccountId, prefix: string, after?: string): Generator<string, void, string | undefined>;
  /** The account that comes next, by length and then by name; all of its entries may be gone. undefined: none. */
  accountAfter(account: AccountId): AccountId | undefined;
  /** How many entries of a kind the account has, and their bytes. */
  countOf(account: AccountId, kind: Kind): { readonly entries: number; readonly bytes: number };
  /** The counts of a queue's entries, by letter and state. Costs nothing, however many entries there are. */
  partsOf(kind: Kind, account: AccountId, name: string): Iterable<PartCount>;
  /** The counts of all queues of the shard together, by letter and state. */
  partTotals(): Iterable<PartTotal>;
  /** How many messages all queues of the account have. */
  messagesOf(account: AccountId): number;
  /** What the account uses of its quota, over all shards; undefined: it has no quota, or uses nothing of it. */
  usageOf(account: AccountId): QuotaUse | undefined;
  /** No entry ends before it; Infinity when none has a `till`. Once it has come, `due` finds entries, or moves it on. */
  nextDeadline(): number;
  /**
   * Up to `limit` entries with 0 < till ≤ now, lowest `till` first. There may be more, even if it finds none, until
   * `nextDeadline` is later than `now`.
   */
  due(now: number, limit: number): LocatedEntry[];
  /** When the first task behind a place falls due, if not after `until`; Infinity: there is none. */
  nextTask(after: DuePlace, until: number): number;
  /** Up to `limit` states of tasks behind a place with till ≤ now, lowest `till` first. */
  dueTasks(now: number, after: DuePlace, limit: number): LocatedEntry[];
}

/**
 * Returns the sort under which an entry `name NUL letter… : rest` of a queue is counted: `name NUL letter… : state`. The
 * state is the first character of the value.
 */
export function partOf(key: string, value: string): string {
  return key.slice(0, key.indexOf(':', key.indexOf('\0')) + 1) + value.charAt(0);
}

/** Returns the bytes of an entry as it is stored: its storage key, and what stands before its value. */
export function storedBytes(account: AccountId, key: string, value: string): number {
  return 2 + account.length + Buffer.byteLength(key) + storedHeaderBytes + Buffer.byteLength(value);
}

/** Whether entries of this part are messages: ready, delayed, of a group, or dead. */
export function isMessagePart(part: string): boolean {
  return 'mdgz'.includes(part.charAt(part.indexOf('\0') + 1));
}

/** Whether the entry's time is over, even if its end has not been committed yet. */
export function hasLapsed({ till }: Pick<Entry, 'till'>, now: number): boolean {
  return till !== 0 && till <= now;
}
