/**
 * What the model remembers: one map from names to immutable entries, so that a step is a list of changes and can be
 * undone. A name is the letter of its kind, the account and the key.
 */
import { Span, type Body, type Json } from './expected.ts';
import { nextOf, type QueueEntry } from './queue-state.ts';
import type { TaskDefinition } from '../../../src/protocol/operations/task-definition.ts';
import type { Flow } from '../../../src/protocol/operations/task-setting.ts';
import type { Contents } from './moment.ts';

export type Kind =
  | 'kv'
  | 'counter'
  | 'sequence'
  | 'lock'
  | 'share'
  | 'mutex'
  | 'stored'
  | 'limit'
  | 'queue'
  | 'task'
  | 'flow'
  | 'script';

export type Entry =
  | KvEntry
  | NumberEntry
  | LimitEntry
  | LockEntry
  | StoredEntry
  | QueueEntry
  | TaskEntry
  | FlowEntry
  | ScriptEntry;

export interface KvEntry {
  readonly version: number;
  readonly value: Json;
  readonly till?: Span;
}

export interface NumberEntry {
  readonly n: number;
  readonly till?: Span;
}

/** A rate limit of which something is taken, or was not long ago. */
export interface LimitEntry {
  /** When all is back, in microseconds. */
  readonly full: Span;
  /** When something was taken last. */
  readonly at: Span;
  readonly till: Span;
}

/** A lock or a mutex, or a lease of a lock that several hold. */
export interface LockEntry {
  readonly lease?: Lease;
  /** Newest first. */
  readonly ended: readonly Ended[];
  /** Without a lease: when it is forgotten that there was one. */
  readonly forget?: Span;
  /** Of a lock: how many permits it is held with, or was last. */
  readonly limit?: number;
  /** Of a shared lease that was ended by force: what it would have had. */
  readonly forced?: { readonly till: Span; readonly durMs: number };
}

export interface Lease {
  readonly fence: number;
  readonly owner?: string;
  /** JSON text. */
  readonly meta?: Json;
  readonly since: Span;
  readonly durMs: number;
  readonly till: Span;
  /** It ran out at about this time, when the server died: nobody knows whether it was written down that it had. */
  readonly maybeOver?: Span;
}

export interface Ended {
  readonly fence: number;
  readonly owner?: string;
  readonly meta?: Json | undefined;
  readonly why: 'released' | 'expired' | 'forced';
  /** Absent: it is not remembered when. */
  readonly at?: Span;
  readonly shared?: true;
}

/** The newest version first. */
export interface ScriptEntry {
  readonly versions: readonly { readonly version: number; readonly at: Span; readonly source: string }[];
}

export interface StoredEntry {
  readonly fingerprint: string;
  /** What was answered, or what should have been. */
  readonly body: Body;
  readonly rev: number;
  readonly till: Span;
}

export interface TaskEntry {
  readonly version: number;
  readonly definition: TaskDefinition;
  readonly next: Span;
  readonly paused: boolean;
}

export interface FlowEntry {
  readonly flow: Flow;
}

export interface Change {
  readonly name: string;
  /** Absent: there is none any more. */
  readonly entry?: Entry;
}

const letters = {
  kv: 'k',
  counter: 'c',
  sequence: 's',
  lock: 'l',
  share: 'h',
  mutex: 'm',
  stored: 'i',
  limit: 'g',
  queue: 'q',
  task: 't',
  flow: 'w',
  script: 'j',
} as const;

export function nameOf(kind: Kind, account: string, key: string): string {
  return `${letters[kind]}${account}\0${key}`;
}

/** `key "a" of account acme`, for messages. */
export function describeName(name: string): string {
  const at = name.indexOf('\0');
  const kind = Object.entries(letters).find(([, letter]) => letter === name[0])?.[0] ?? 'thing';
  const nouns: Record<string, string> = { kv: 'key', stored: 'idempotency id' };
  return `${nouns[kind] ?? kind} ${JSON.stringify(name.slice(at + 1))} of account ${name.slice(1, at)}`;
}

/** When an entry ends by itself, or when what it remembers is forgotten. */
export function tillOf(entry: Entry): Span | undefined {
  if ('messages' in entry) return new Span(nextOf(entry), nextOf(entry));
  const { till } = entry as KvEntry;
  if (till !== undefined) return till;
  const { lease, forget } = entry as LockEntry;
  return lease?.till ?? forget;
}

export class ContractState implements Contents {
  readonly entries = new Map<string, Entry>();
  /** The highest revision that was committed. */
  rev = 0;
  mutexHandle = 0;
  /** The revision at which an entry was first seen to be past its time: from there on nobody sees it. */
  readonly #gone = new WeakMap<Entry, number>();
  readonly #sorted = new Map<string, string[]>();
  #log: { readonly name: string; readonly before: Entry | undefined }[] | undefined;

  get(name: string): Entry | undefined {
    return this.entries.get(name);
  }

  apply(changes: readonly Change[]): void {
    for (const { name, entry } of changes) this.#put(name, entry);
  }

  /** From here on changes can be taken back, until `keep` is called. */
  remember(): void {
    this.#log ??= [];
  }

  get mark(): number {
    return this.#log?.length ?? 0;
  }

  undo(mark: number): void {
    const log = this.#log ?? [];
    while (log.length > mark) {
      const { name, before } = log.pop()!;
      this.#set(name, before);
    }
  }

  keep(): void {
    this.#log = undefined;
  }

  seenGone(entry: Entry, rev: number): void {
    const before = this.#gone.get(entry);
    if (before === undefined || rev < before) this.#gone.set(entry, rev);
  }

  wasGone(entry: Entry, rev: number): boolean {
    const at = this.#gone.get(entry);
    return at !== undefined && at < rev;
  }

  /** Keys of one kind in the byte order of UTF-8, after `after` and with the prefix. */
  *keys(kind: Kind, account: string, prefix: string, after: string | undefined): Generator<string> {
    const head = nameOf(kind, account, '');
    let sorted = this.#sorted.get(head);
    if (sorted === undefined) {
      sorted = [...this.entries.keys()].filter((name) => name.startsWith(head)).map((name) => name.slice(head.length));
      sorted.sort(compareUtf8);
      this.#sorted.set(head, sorted);
    }
    const from = after === undefined || compareUtf8(after, prefix) < 0 ? prefix : after;
    let lo = placeOf(sorted, from);
    for (; lo < sorted.length && sorted[lo]!.startsWith(prefix); lo++) if (sorted[lo] !== after) yield sorted[lo]!;
  }

  #put(name: string, entry: Entry | undefined): void {
    this.#log?.push({ name, before: this.entries.get(name) });
    this.#set(name, entry);
  }

  #set(name: string, entry: Entry | undefined): void {
    if (this.#sorted.size > 0 && this.entries.has(name) !== (entry !== undefined)) {
      const at = name.indexOf('\0') + 1;
      const sorted = this.#sorted.get(name.slice(0, at));
      const key = name.slice(at);
      if (sorted !== undefined)
        sorted.splice(placeOf(sorted, key), entry === undefined ? 1 : 0, ...(entry ? [key] : []));
    }
    if (entry === undefined) this.entries.delete(name);
    else this.entries.set(name, entry);
  }
}

/** Of the first key that is not before this one. */
function placeOf(sorted: readonly string[], key: string): number {
  let lo = 0;
  let hi = sorted.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (compareUtf8(sorted[middle]!, key) < 0) lo = middle + 1;
    else hi = middle;
  }
  return lo;
}

/** Code units in the order of UTF-8 bytes: surrogates, which stand for the highest code points, come last. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}
