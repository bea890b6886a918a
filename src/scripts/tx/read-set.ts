/**
 * What a run reads: from what was read for it, with its own writes on top. A key that was not read for it ends the run,
 * which begins again with that key; so every run sees one moment. What was looked at is what the commit checks.
 *
 * A write of the run hides what is below, so a key that is only written is neither read nor checked. A merge patch needs
 * what it is merged into only when the script reads the key behind it.
 */
import { compareKeys } from '../../shared/text.ts';
import { pageLimitDefault, pageLimitMax } from '../../shared/limits.ts';
import { mergedJson } from '../../shared/stored-json.ts';
import { scriptKeysMax, scriptReadBytesMax } from '../script-limits.ts';
import type { ScriptList, ScriptNeeds, ScriptReads } from '../script-run.ts';
import { mistaken, overLimit, RunEnd } from './run-end.ts';

export interface ReadEntry {
  /** JSON text. */
  readonly value: string;
  /** Undefined: the run has written it. */
  readonly version: number | undefined;
}

/** A write on top of what was read. `null`: deleted. `patches`: in this order, into what is below. */
type Written = { readonly value: string | null } | { readonly patches: string[] };

interface ListRange {
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
}

export class ReadSet {
  readonly #reads: ScriptReads;
  readonly #written = new Map<string, Written>();
  readonly #added = new Map<string, number>();
  readonly #keys = new Set<string>();
  readonly #counters = new Set<string>();
  readonly #lists: ScriptList[] = [];
  #count = 0;
  #bytes = 0;

  constructor(reads: ScriptReads) {
    this.#reads = reads;
  }

  /** What the run has looked at. */
  looked(): ScriptNeeds {
    return {
      keys: [...this.#keys],
      counters: [...this.#counters],
      lists: this.#lists.map(({ prefix, after, limit }) => ({ prefix, after, limit })),
    };
  }

  entry(key: string): ReadEntry | undefined {
    return this.entries([key])[0];
  }

  /** All of the keys that are missing end the run together. */
  entries(keys: readonly string[]): (ReadEntry | undefined)[] {
    const missing = keys.filter((key) => this.#isBelow(key) && !Object.hasOwn(this.#reads.entries, key));
    if (missing.length > 0) this.#need({ keys: [...new Set(missing)], counters: [], lists: [] });
    return keys.map((key) => {
      const written = this.#written.get(key);
      if (written !== undefined && 'value' in written)
        return written.value === null ? undefined : { value: written.value, version: undefined };
      const read = this.#reads.entries[key] ?? undefined;
      if (!this.#keys.has(key)) {
        this.#keys.add(key);
        this.#took(1, read?.value);
      }
      return written === undefined ? read : { value: merged(read?.value, written.patches), version: undefined };
    });
  }

  counter(key: string): number {
    if (!Object.hasOwn(this.#reads.counters, key)) this.#need({ keys: [], counters: [key], lists: [] });
    if (!this.#counters.has(key)) {
      this.#counters.add(key);
      this.#took(1);
    }
    return this.#reads.counters[key]! + (this.#added.get(key) ?? 0);
  }

  /** Entries in the order of their keys, as one page of the API would have them if the run were committed by now. */
  list(prefix: string, after = '', limit = pageLimitDefault): (ReadEntry & { readonly key: string })[] {
    if (limit > pageLimitMax) return mistaken(`tx.list: options.limit: expected 1 to ${pageLimitMax}, got ${limit}`);
    const found: (ReadEntry & { readonly key: string })[] = [];
    for (let from = after; ; ) {
      const page = this.#page({ prefix, after: from, limit });
      const last = page.more ? page.entries.at(-1)?.key : undefined;
      found.push(...this.#overlaid(page, last));
      if (last === undefined || found.length >= limit) return found.slice(0, limit);
      from = last;
    }
  }

  set(key: string, value: string | null): void {
    this.#written.set(key, { value });
  }

  merge(key: string, patch: string): void {
    const written = this.#written.get(key);
    if (written === undefined) this.#written.set(key, { patches: [patch] });
    else if ('patches' in written) written.patches.push(patch);
    else this.#written.set(key, { value: mergedJson(written.value ?? undefined, patch) });
  }

  add(key: string, n: number): void {
    this.#added.set(key, (this.#added.get(key) ?? 0) + n);
  }

  /** Whether a read of the key sees what was there before the run. */
  #isBelow(key: string): boolean {
    const written = this.#written.get(key);
    return written === undefined || 'patches' in written;
  }

  #page(range: ListRange): ScriptList {
    const same = (list: ListRange): boolean =>
      list.prefix === range.prefix && list.after === range.after && list.limit === range.limit;
    const page = this.#reads.lists.find(same);
    if (page === undefined) return this.#need({ keys: [], counters: [], lists: [range] });
    if (!this.#lists.includes(page)) {
      this.#lists.push(page);
      for (const { value } of page.entries) this.#took(1, value);
      this.#took(1);
    }
    return page;
  }

  /** A page with the writes of the run, up to its last key if there is more behind it. */
  #overlaid(page: ScriptList, last: string | undefined): (ReadEntry & { readonly key: string })[] {
    const own = [...this.#written.keys()].filter(
      (key) =>
        key.startsWith(page.prefix) &&
        compareKeys(key, page.after) > 0 &&
        (last === undefined || compareKeys(key, last) <= 0),
    );
    if (own.length === 0) return [...page.entries];
    const rows = new Map<string, ReadEntry & { readonly key: string }>(page.entries.map((entry) => [entry.key, entry]));
    for (const key of own) {
      const written = this.#written.get(key)!;
      const value = 'value' in written ? written.value : merged(rows.get(key)?.value, written.patches);
      if (value === null) rows.delete(key);
      else rows.set(key, { key, value, version: undefined });
    }
    return [...rows.values()].toSorted((a, b) => compareKeys(a.key, b.key));
  }

  #need(needs: ScriptNeeds): never {
    const { keys, counters, lists } = needs;
    if (this.#count + keys.length + counters.length + lists.length > scriptKeysMax) tooManyKeys();
    throw new RunEnd({ kind: 'needs', needs });
  }

  #took(count: number, value = ''): void {
    this.#count += count;
    this.#bytes += value.length < 1024 ? value.length : Buffer.byteLength(value);
    if (this.#count > scriptKeysMax) tooManyKeys();
    if (this.#bytes > scriptReadBytesMax) overLimit(`The script reads more than ${scriptReadBytesMax} bytes`);
  }
}

function merged(value: string | undefined, patches: readonly string[]): string {
  let result = value;
  for (const patch of patches) result = mergedJson(result, patch);
  return result!;
}

function tooManyKeys(): never {
  overLimit(`The script reads more than ${scriptKeysMax} keys`);
}
