/**
 * What a script reads: one batch that reads it at one moment, what its reply says, and the checks that it is the same
 * still. A batch has one list; each further list is a batch of its own, and then what was read is of several moments.
 */
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { IdempotencyRequest } from '../protocol/operations/idempotency.ts';
import type { CheckOperation } from '../protocol/operations/kv.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import type { SameOperation } from '../protocol/operations/script.ts';
import type { Reply } from '../protocol/replies.ts';
import { scriptReadBytesMax } from './script-limits.ts';
import type { ScriptList, ScriptNeeds, ScriptReads } from './script-run.ts';

type ListNeed = ScriptNeeds['lists'][number];

/** What a call has to read, from its first try on. */
export class Wanted {
  readonly keys = new Set<string>();
  readonly counters = new Set<string>();
  readonly #lists = new Map<string, ListNeed>();

  constructor(keys: readonly string[]) {
    for (const key of keys) this.keys.add(key);
  }

  get lists(): readonly ListNeed[] {
    return [...this.#lists.values()];
  }

  /** Keys and counters, and the most rows that the lists have. */
  get size(): number {
    let rows = 0;
    for (const { limit } of this.#lists.values()) rows += limit;
    return this.keys.size + this.counters.size + rows;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** @returns false: all of it was there before */
  add({ keys, counters, lists }: ScriptNeeds): boolean {
    const before = this.#count;
    for (const key of keys) this.keys.add(key);
    for (const key of counters) this.counters.add(key);
    for (const list of lists) this.#lists.set(JSON.stringify([list.prefix, list.after, list.limit]), list);
    return this.#count > before;
  }

  get #count(): number {
    return this.keys.size + this.counters.size + this.#lists.size;
  }
}

/** The batches that read it; the first has all but further lists. */
export function readBatches(account: AccountId, wanted: Wanted, look: IdempotencyRequest | undefined): Batch[] {
  const { keys, counters, lists } = wanted;
  const [first, ...further] = lists;
  const read = { kind: 'batch', account, format: 'script.read', replyBytesMax: scriptReadBytesMax } as const;
  if (wanted.isEmpty) return look === undefined ? [] : [{ ...read, idempotency: look }];
  return [
    {
      ...read,
      ...(keys.size > 0 && { get: [...keys] }),
      ...(counters.size > 0 && { counter: [...counters].map((key) => ({ key, op: 'get', n: 0 }) as const) }),
      ...(first !== undefined && { range: rangeOf(first, keys.size) }),
      ...(look !== undefined && { idempotency: look }),
    },
    ...further.map((list) => ({ ...read, range: rangeOf(list, 0) })),
  ];
}

function rangeOf({ prefix, after, limit }: ListNeed, place: number) {
  return { prefix, ...(after !== '' && { after }), limit, place };
}

interface Row {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
}

interface PageOfRows {
  readonly KV: readonly Row[];
  readonly After?: string;
}

interface ReadBody {
  readonly KV?: readonly (Row | PageOfRows)[];
  readonly Atomic?: readonly { readonly Key: string; readonly Value: number }[];
}

/** What was read, and where each list ends. */
export interface Moment {
  readonly reads: ScriptReads;
  /** Beside `reads.lists`: the last key that was looked at; undefined: nothing follows. */
  readonly ends: readonly (string | undefined)[];
  readonly rev: Revision;
  readonly bytes: number;
  /** All of it was read at one moment. */
  readonly one: boolean;
}

export function momentOf(wanted: Wanted, replies: readonly Reply[]): Moment {
  const entries: Record<string, { value: string; version: number } | null> = Object.create(null) as {};
  const counters: Record<string, number> = Object.create(null) as {};
  const lists: ScriptList[] = [];
  const ends: (string | undefined)[] = [];
  const { lists: needs } = wanted;
  let bytes = 0;
  let rev = 0;
  for (const { body, rev: at } of replies) {
    bytes += body.length;
    rev = Math.max(rev, at);
    const { KV = [], Atomic = [] } = JSON.parse(body) as ReadBody;
    for (const { Key, Value } of Atomic) counters[Key] = Value;
    for (const row of KV) {
      if ('Version' in row) {
        entries[row.Key] = row.Version === 0 ? null : { value: JSON.stringify(row.Value), version: row.Version };
        continue;
      }
      lists.push({ ...needs[lists.length]!, entries: row.KV.map(listed), more: row.After !== undefined });
      ends.push(row.After);
    }
  }
  return { reads: { entries, counters, lists }, ends, rev: rev as Revision, bytes, one: replies.length <= 1 };
}

function listed({ Key, Version, Value }: Row): ScriptList['entries'][number] {
  return { key: Key, value: JSON.stringify(Value), version: Version };
}

/** Conditions that what a run has looked at is the same still. */
export function checksOf({ reads, ends }: Moment, looked: ScriptNeeds | undefined): Pick<Batch, 'check' | 'same'> {
  const { entries, counters, lists } = reads;
  const keys = looked?.keys ?? Object.keys(entries);
  const numbers = looked?.counters ?? Object.keys(counters);
  const check: CheckOperation[] = [];
  for (const key of keys) check.push({ key, version: entries[key]?.version ?? 0 });
  for (const key of numbers) check.push({ key, counter: counters[key] ?? 0 });
  const same = lists.flatMap((list, i) => (isLookedAt(list, looked) ? [sameOf(list, ends[i])] : []));
  return { ...(check.length > 0 && { check }), ...(same.length > 0 && { same }) };
}

function isLookedAt({ prefix, after, limit }: ScriptList, looked: ScriptNeeds | undefined): boolean {
  const isThis = (other: ListNeed): boolean =>
    other.prefix === prefix && other.after === after && other.limit === limit;
  return looked === undefined || looked.lists.some(isThis);
}

function sameOf({ prefix, after, entries }: ScriptList, last: string | undefined): SameOperation {
  return {
    prefix,
    ...(after !== '' && { after }),
    ...(last !== undefined && { last }),
    rows: entries.map(({ key, version }) => [key, version] as const),
  };
}
