/** Keys and values. */
import { entryOf, type BatchResult, type Entry, type SetResult, type WireEntry } from './batch.ts';
import { leavable } from './leavable.ts';
import { pathOf } from './paths.ts';
import type { CallOptions, StoreCalls } from './store-calls.ts';

export interface SetOptions extends CallOptions {
  /** Only if the key has this version; 0: only if it does not exist. Otherwise: `VersionMismatchError`. */
  readonly version?: number | undefined;
  /** Milliseconds until the key expires; undefined: never. */
  readonly ttl?: number | undefined;
}

export interface DeleteOptions extends CallOptions {
  readonly version?: number | undefined;
}

export interface PageOptions extends CallOptions {
  readonly prefix?: string | undefined;
  /** Only keys after this one: `after` of the previous page. */
  readonly after?: string | undefined;
  /** Default 100, at most 1000. */
  readonly limit?: number | undefined;
}

/** Entries under a prefix at one moment, in byte order of the keys. */
export interface Page<Value = unknown> {
  readonly entries: readonly Entry<Value>[];
  /** Pass it for the next page; absent: this is the last page. */
  readonly after?: string;
  readonly rev: number;
}

export class KeyValues {
  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /** @returns undefined if there is no such key */
  async get<Value = unknown>(key: string, options?: CallOptions): Promise<Entry<Value> | undefined> {
    const { get } = await this.#calls.batch({ get: [key] }, options);
    return get[0] as Entry<Value> | undefined;
  }

  /** Reads several keys at one moment, in the given order; undefined where there is no such key. */
  async getAll<Value = unknown>(
    keys: readonly string[],
    options?: CallOptions,
  ): Promise<readonly (Entry<Value> | undefined)[]> {
    if (keys.length === 0) return [];
    return (await this.#calls.batch({ get: keys }, options)).get as readonly (Entry<Value> | undefined)[];
  }

  /** @returns the key's new version, which is the revision of the commit */
  async set(key: string, value: unknown, { version, ttl, signal }: SetOptions = {}): Promise<number> {
    return first(await this.#calls.batch({ set: [{ key, value, version, ttl }] }, { signal })).version;
  }

  /** @returns whether the key existed */
  async delete(key: string, { version, signal }: DeleteOptions = {}): Promise<boolean> {
    return first(await this.#calls.batch({ set: [{ key, delete: true, version }] }, { signal })).deleted === true;
  }

  async page<Value = unknown>({ prefix, after, limit, signal }: PageOptions = {}): Promise<Page<Value>> {
    const path = pathOf(this.#account, 'kv', undefined, { prefix, after, limit });
    const body = await this.#calls.rest('GET', path, [], { signal });
    const { KV, More, After, Rev } = body as unknown as WirePage;
    return {
      entries: KV.map((row) => entryOf(row) as Entry<Value>),
      rev: Rev,
      ...(More === true && { after: After! }),
    };
  }

  /** Iterates over everything under a prefix. Each page shows one moment, later than the page before it. */
  list<Value = unknown>(
    prefix: string,
    options: Omit<PageOptions, 'prefix'> = {},
  ): AsyncGenerator<Entry<Value>, void, undefined> {
    return leavable(options.signal, (signal) => this.#list<Value>(prefix, { ...options, signal }));
  }

  async *#list<Value>(
    prefix: string,
    options: Omit<PageOptions, 'prefix'>,
  ): AsyncGenerator<Entry<Value>, void, undefined> {
    let { after } = options;
    do {
      const page: Page<Value> = await this.page({ ...options, prefix, after });
      yield* page.entries;
      ({ after } = page);
    } while (after !== undefined);
  }
}

interface WirePage {
  readonly KV: readonly WireEntry[];
  readonly More?: boolean;
  readonly After?: string;
  readonly Rev: number;
}

function first({ set }: BatchResult): SetResult {
  return set[0]!;
}
