/** Keys and values. */
import { entryOf, type BatchResult, type Entry, type SetResult, type WireEntry } from './batch.ts';
import { pathOf } from './paths.ts';
import type { CallOptions, StoreCalls } from './store-calls.ts';

export interface SetOptions extends CallOptions {
  /** Only if the key has this version; 0: only if it does not exist. Otherwise: `VersionMismatchError`. */
  readonly version?: number | undefined;
  /** Milliseconds until it expires; without it, it does not. */
  readonly ttl?: number | undefined;
}

export interface DeleteOptions extends CallOptions {
  readonly version?: number | undefined;
}

export interface PageOptions extends CallOptions {
  readonly prefix?: string | undefined;
  /** Only keys behind this one: `after` of the page before. */
  readonly after?: string | undefined;
  /** Default 100, at most 1000. */
  readonly limit?: number | undefined;
}

/** One moment of what is under a prefix, in the byte order of the keys. */
export interface Page<Value = unknown> {
  readonly entries: readonly Entry<Value>[];
  /** Go on with this; absent: that was all. */
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

  /** Of one moment, in the order of the keys; undefined where there is none. */
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

  /** @returns whether there was anything to delete */
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

  /** Everything under a prefix, page after page. Each page is one moment, and a later one than the page before. */
  async *list<Value = unknown>(
    prefix: string,
    options: Omit<PageOptions, 'prefix'> = {},
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
