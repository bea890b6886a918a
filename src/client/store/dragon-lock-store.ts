/**
 * The store on a Dragon Lock server, by its client. Keys are the server's keys, locks its durable locks: they survive
 * restarts, are granted first come, first served, without polling, and a pair that shows who holds a lock comes, stays
 * and goes in the very commits that grant, renew and release it.
 */
import type { Entry } from '../batch.ts';
import { VersionMismatchError } from '../errors.ts';
import type { DragonLock } from '../dragon-lock.ts';
import { LockOnServer } from './lock-on-server.ts';
import { StoreLocker } from './locker.ts';
import {
  checkTtl,
  ttlOf,
  type AtomicPutOptions,
  type KVPair,
  type Locker,
  type LockOptions,
  type PutOptions,
  type WatchableStore,
  type WatchOptions,
} from './store.ts';
import { KeyExists, KeyModified, KeyNotFound } from './store-errors.ts';
import { isAborted, systemEnvironment, type Environment } from './environment.ts';

export interface DragonLockStoreOptions {
  readonly client: DragonLock;
  readonly environment?: Environment;
}

/** Pairs that one request lists: the server's largest page. */
const pageLength = 1000;

export class DragonLockStore implements WatchableStore {
  readonly #client: DragonLock;
  readonly #environment: Environment;

  constructor({ client, environment = systemEnvironment }: DragonLockStoreOptions) {
    this.#client = client;
    this.#environment = environment;
  }

  async put(key: string, options: PutOptions = {}): Promise<void> {
    await this.#client.kv.set(key, options.value ?? null, { ttl: ttlOf(options) });
  }

  async get(key: string): Promise<KVPair> {
    const entry = await this.#client.kv.get(key);
    if (entry === undefined) throw new KeyNotFound(`There is no key "${key}".`);
    return pairOf(entry);
  }

  async list(prefix: string): Promise<KVPair[]> {
    const pairs: KVPair[] = [];
    for await (const entry of this.#client.kv.list(prefix, { limit: pageLength })) pairs.push(pairOf(entry));
    if (pairs.length === 0) throw new KeyNotFound(`There is no key that begins with "${prefix}".`);
    return pairs;
  }

  async delete(key: string): Promise<void> {
    await this.#client.kv.delete(key);
  }

  async exists(key: string): Promise<boolean> {
    return (await this.#client.kv.get(key)) !== undefined;
  }

  async atomicPut(key: string, options: AtomicPutOptions = {}): Promise<KVPair> {
    const { previous, value = null } = options;
    const ttl = this.#ttlOf(options);
    // The server tells when it expires only to who reads it: here it is told by our own clock.
    const expires = ttl === undefined ? undefined : this.#environment.clock.mark().wallMs + ttl;
    try {
      const version = await this.#client.kv.set(key, value, { ttl, version: previous?.version ?? 0 });
      return pairOf({ key, version, value, ...(expires !== undefined && { till: expires }) });
    } catch (error) {
      if (!(error instanceof VersionMismatchError)) throw error;
      if (previous === undefined) throw new KeyExists(`The key "${key}" exists.`, { cause: error });
      throw modified(key, previous, error);
    }
  }

  async atomicDelete(key: string, previous: KVPair): Promise<void> {
    try {
      await this.#client.kv.delete(key, { version: previous.version });
    } catch (error) {
      if (!(error instanceof VersionMismatchError)) throw error;
      if (error.version === 0) throw new KeyNotFound(`There is no key "${key}".`, { cause: error });
      throw modified(key, previous, error);
    }
  }

  newLock(key: string, options: LockOptions = {}): Locker {
    const lock = new LockOnServer({
      key,
      ttlMs: checkTtl(options.ttl),
      client: this.#client,
      environment: this.#environment,
      ...(options.value !== undefined && { value: options.value }),
    });
    return new StoreLocker(key, lock, options, this.#environment);
  }

  async *watch(key: string, { signal }: WatchOptions = {}): AsyncGenerator<KVPair | undefined, void, undefined> {
    let last: number | undefined;
    try {
      for await (const _ of this.#client.watch.key(key, { signal })) {
        // The watch tells that there is something to see, but not when it expires.
        const entry = await this.#client.kv.get(key, { signal });
        const version = entry?.version ?? 0;
        if (version === last) continue;
        last = version;
        yield entry === undefined ? undefined : pairOf(entry);
      }
    } catch (error) {
      if (!isAborted(signal)) throw error;
    }
  }

  async *watchTree(prefix: string, { signal }: WatchOptions = {}): AsyncGenerator<KVPair[], void, undefined> {
    const pairs = new Map<string, KVPair>();
    try {
      for await (const event of this.#client.watch.prefix(prefix, { signal })) {
        if (event.kind === 'list') {
          pairs.clear();
          for (const entry of event.entries) pairs.set(entry.key, pairOf(entry));
        } else {
          for (const change of event.changes) {
            if (change.kind === 'delete') pairs.delete(change.key);
            else pairs.set(change.key, pairOf(change));
          }
        }
        yield [...pairs.values()].toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
      }
    } catch (error) {
      if (!isAborted(signal)) throw error;
    }
  }

  /** What is replaced leaves its deadline, unless told. */
  #ttlOf({ previous, ...options }: AtomicPutOptions): number | undefined {
    if (previous === undefined || options.ttl !== undefined || options.noExpiry !== undefined) return ttlOf(options);
    if (previous.expires === undefined) return undefined;
    // What is over by our clock may not be so by the server's, which decides.
    return Math.max(1, previous.expires - this.#environment.clock.mark().wallMs);
  }
}

function pairOf({ key, value, version, till }: Entry): KVPair {
  return { key, value, version, tag: String(version), ...(till !== undefined && { expires: till }) };
}

function modified(key: string, { version }: KVPair, cause: VersionMismatchError): KeyModified {
  return new KeyModified(`The key "${key}" is not version ${version} any more.`, { cause });
}
