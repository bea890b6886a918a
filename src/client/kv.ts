/** Keys and values. */
import { showCallers } from './caller.ts';
import { entryOf, type WireEntry } from './batch-from-wire.ts';
import type { BatchResult, Entry, SetResult } from './batch-result.ts';
import { anInteger, gotText, invalid, type Duration } from './checks.ts';
import { leavable } from './leavable.ts';
import { checkList, checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** Options of `kv.set`. */
export interface SetOptions extends CallOptions {
  /** Only if the key has this version; 0: only if it does not exist. Otherwise: `VersionMismatchError`. */
  readonly version?: number | undefined;
  /** Milliseconds, or `'60s'`, `'5m'`, `'2h'`, until the key expires; undefined: never. */
  readonly ttl?: Duration | undefined;
}

/** Options of `kv.delete`. */
export interface DeleteOptions extends CallOptions {
  /** Only if the key has this version. Otherwise: `VersionMismatchError`. */
  readonly version?: number | undefined;
}

/** Options of `kv.deletePrefix`. */
export interface DeletePrefixOptions extends CallOptions {
  /** Delete every key of the account: with an empty prefix, which is refused otherwise. */
  readonly all?: boolean | undefined;
}

/** Options of `kv.page`, `kv.list`, `locks.page` and `locks.list`. */
export interface PageOptions extends CallOptions {
  /** Only what begins with it. Default: everything. */
  readonly prefix?: string | undefined;
  /** Only keys after this one: `after` of the previous page. */
  readonly after?: string | undefined;
  /** Entries of one page. Default 100, at most 1000. */
  readonly limit?: number | undefined;
}

/** Entries under a prefix at one moment, in byte order of the keys. */
export interface Page<Value = unknown> {
  /** In byte order of the keys. */
  readonly entries: readonly Entry<Value>[];
  /** Pass it for the next page; absent: this is the last page. */
  readonly after?: string;
  /** The revision that the page shows. */
  readonly rev: number;
}

const setNames: NamesOf<SetOptions> = { version: true, ttl: true, signal: true };
const deleteNames: NamesOf<DeleteOptions> = { version: true, signal: true };
const deletePrefixNames: NamesOf<DeletePrefixOptions> = { all: true, signal: true };
const pageNames: NamesOf<PageOptions> = { prefix: true, after: true, limit: true, signal: true };
const listNames: NamesOf<Omit<PageOptions, 'prefix'>> = { after: true, limit: true, signal: true };

/** Checks the options of a page. @throws InvalidError */
export function checkPage(options: PageOptions): void {
  checkOptions(options, pageNames);
  if (options.limit !== undefined) anInteger(options.limit, 'limit', 1);
}

/** Checks the arguments of a list. @throws InvalidError */
export function checkListArguments(prefix: string, options: Omit<PageOptions, 'prefix'>): void {
  if (typeof prefix !== 'string') throw invalid(`prefix: expected a string, got ${gotText(prefix)}`);
  checkOptions(options, listNames);
  if (options.limit !== undefined) anInteger(options.limit, 'limit', 1);
}

/** Keys with values, versions and expiry: `client.kv`. */
export class KeyValues {
  static {
    showCallers(this, 'get', 'getAll', 'set', 'merge', 'delete', 'deletePrefix', 'page', 'list');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /** @returns undefined if there is no such key */
  async get<Value = unknown>(key: string, options?: CallOptions): Promise<Entry<Value> | undefined> {
    checkCallOptions(options);
    const { get } = await this.#calls.batch({ get: [key] }, { signal: options?.signal, renaming: { 'get[0]': 'key' } });
    return get[0] as Entry<Value> | undefined;
  }

  /** Reads several keys at one moment, in the given order; undefined where there is no such key. */
  async getAll<Value = unknown>(
    keys: readonly string[],
    options?: CallOptions,
  ): Promise<readonly (Entry<Value> | undefined)[]> {
    checkCallOptions(options);
    checkList(keys, 'keys');
    if (keys.length === 0) return [];
    const call = { signal: options?.signal, renaming: { 'get[': 'keys[' } };
    return (await this.#calls.batch({ get: keys }, call)).get as readonly (Entry<Value> | undefined)[];
  }

  /** @returns the key's new version, which is the revision of the commit */
  async set(key: string, value: unknown, options: SetOptions = {}): Promise<number> {
    checkOptions(options, setNames);
    const { version, ttl, signal } = options;
    return first(await this.#calls.batch({ set: [{ key, value, version, ttl }] }, { signal, renaming })).version;
  }

  /**
   * Merges a patch into the value (RFC 7396): members that are null go, objects are merged, anything else replaces. A
   * key that does not exist is made. @returns the key's new version
   */
  async merge(key: string, patch: unknown, options: SetOptions = {}): Promise<number> {
    checkOptions(options, setNames);
    const { version, ttl, signal } = options;
    const call = { signal, renaming: { 'set[0].merge': 'patch', ...renaming } };
    return first(await this.#calls.batch({ set: [{ key, merge: patch, version, ttl }] }, call)).version;
  }

  /** @returns whether the key existed */
  async delete(key: string, options: DeleteOptions = {}): Promise<boolean> {
    checkOptions(options, deleteNames);
    const { version, signal } = options;
    const set = [{ key, delete: true, version }] as const;
    return first(await this.#calls.batch({ set }, { signal, renaming })).deleted === true;
  }

  /**
   * Deletes all keys under a prefix, in pages of up to 1000, each in one commit. What is written meanwhile behind the
   * page that is being deleted goes, too. @returns how many there were
   */
  async deletePrefix(prefix: string, options: DeletePrefixOptions = {}): Promise<number> {
    checkOptions(options, deletePrefixNames);
    const { all = false, signal } = options;
    if (typeof prefix !== 'string') throw invalid(`prefix: expected a string, got ${gotText(prefix)}`);
    if ((prefix === '') !== all)
      throw invalid(
        `prefix: expected ${all ? 'none together with all' : 'at least one character, or all'}, got ${gotText(prefix)}`,
      );
    const what = all ? { all: 'true' } : { prefix };
    let deleted = 0;
    let after: string | undefined;
    do {
      const path = pathOf(this.#account, 'kv', undefined, { ...what, after });
      const page = (await this.#calls.rest('DELETE', path, [], { signal })) as unknown as WireDeleted;
      deleted += page.Deleted;
      after = page.After;
    } while (after !== undefined);
    return deleted;
  }

  /** One page of the keys under a prefix, at one moment. */
  async page<Value = unknown>(options: PageOptions = {}): Promise<Page<Value>> {
    checkPage(options);
    const { prefix, after, limit, signal } = options;
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
    checkListArguments(prefix, options);
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

/** The batch of one operation. */
const renaming = { 'set[0].': '' } as const;

interface WirePage {
  readonly KV: readonly WireEntry[];
  readonly More?: boolean;
  readonly After?: string;
  readonly Rev: number;
}

interface WireDeleted {
  readonly Deleted: number;
  readonly After?: string;
}

function first({ set }: BatchResult): SetResult {
  return set[0]!;
}
