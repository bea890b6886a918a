/** A Map and counters as a script sees them: with versions, pages, and batches that happen as a whole. */
import { mergedJson } from '../../shared/stored-json.ts';
import { compareKeys } from '../../shared/text.ts';
import type { ScriptList } from '../script-run.ts';

/** A condition that did not hold. */
export interface ScriptConflict {
  readonly code: 'version_mismatch' | 'out_of_bounds';
  readonly key: string;
}

interface LocalSet {
  readonly Key: string;
  readonly Value?: unknown;
  readonly Merge?: unknown;
  readonly Delete?: true;
  readonly Version?: number;
}

interface LocalAdd {
  readonly Key: string;
  readonly Add: number;
  readonly Floor?: number;
  readonly Ceil?: number;
}

interface Versioned {
  readonly value: string;
  readonly version: number;
}

const known = new WeakMap<Map<string, unknown>, LocalData>();

export class LocalData {
  readonly #values: Map<string, unknown>;
  #counters: Map<string, number>;
  /** What was seen last: a value that has changed since has another version. */
  readonly #seen = new Map<string, Versioned>();
  #revision = 0;

  static of(values: Map<string, unknown>, counters: Map<string, number>): LocalData {
    let data = known.get(values);
    if (data === undefined) known.set(values, (data = new LocalData(values, counters)));
    data.#counters = counters;
    return data;
  }

  private constructor(values: Map<string, unknown>, counters: Map<string, number>) {
    this.#values = values;
    this.#counters = counters;
  }

  entry(key: string): Versioned | undefined {
    const value = JSON.stringify(this.#values.get(key)) as string | undefined;
    if (value === undefined) return undefined;
    const seen = this.#seen.get(key);
    if (seen?.value === value) return seen;
    this.#revision += 1;
    const entry = { value, version: this.#revision };
    this.#seen.set(key, entry);
    return entry;
  }

  counter(key: string): number {
    return this.#counters.get(key) ?? 0;
  }

  list(range: { readonly prefix: string; readonly after: string; readonly limit: number }): ScriptList {
    const { prefix, after, limit } = range;
    const keys = [...this.#values.keys()]
      .filter((key) => key.startsWith(prefix) && compareKeys(key, after) > 0 && this.entry(key) !== undefined)
      .toSorted(compareKeys);
    const entries = keys.slice(0, limit).map((key) => ({ key, ...this.entry(key)! }));
    return { ...range, entries, more: keys.length > limit };
  }

  /** Does all of it, or says why it does nothing. */
  commit(operations: Readonly<Record<string, unknown>>): ScriptConflict | undefined {
    const sets = (operations['KVSet'] ?? []) as readonly LocalSet[];
    const adds = (operations['Atomic'] ?? []) as readonly LocalAdd[];
    for (const { Key, Version } of sets) {
      if (Version !== undefined && Version !== (this.entry(Key)?.version ?? 0))
        return { code: 'version_mismatch', key: Key };
    }
    const counters = new Map<string, number>();
    for (const { Key, Add, Floor = -Infinity, Ceil = Infinity } of adds) {
      const before = counters.get(Key) ?? this.counter(Key);
      const sum = before + Add;
      if ((Add < 0 && sum < Floor) || (Add > 0 && sum > Ceil)) return { code: 'out_of_bounds', key: Key };
      counters.set(Key, sum);
    }
    for (const set of sets) this.#set(set);
    for (const [key, value] of counters) this.#counters.set(key, value);
    return undefined;
  }

  #set({ Key, Value, Merge, Delete }: LocalSet): void {
    if (Delete === true) this.#values.delete(Key);
    else if (Merge === undefined) this.#values.set(Key, Value);
    else this.#values.set(Key, JSON.parse(mergedJson(this.entry(Key)?.value, JSON.stringify(Merge))));
    // Written with the same value, it has another version, too.
    this.#seen.delete(Key);
  }
}
