/**
 * The store on a Dragon Lock server, through its client. Keys are the server's keys, and locks are its durable locks:
 * they survive restarts, and are granted first come, first served, without polling. The commits that grant, renew and
 * release a lock also write, renew and delete the pair that shows its holder.
 */
import { showCallers } from '../caller.ts';
import type { Entry } from '../batch-result.ts';
import { VersionMismatchError } from '../errors.ts';
import { internalsOf, type DragonLock } from '../dragon-lock.ts';
import { anId } from '../checks.ts';
import { checkJson } from '../json-values.ts';
import { leavable } from '../leavable.ts';
import { checkOptions, type NamesOf } from '../option-names.ts';
import { asTypeError } from '../options.ts';
import { OpenLocks } from '../open-locks.ts';
import { LockOnServer } from './lock-on-server.ts';
import { StoreLocker } from './locker.ts';
import {
  checkPrevious,
  checkTtl,
  storeOptions,
  ttlOf,
  type AtomicPutOptions,
  type KVPair,
  type Locker,
  type LockOptions,
  type PutOptions,
  type ReadOptions,
  type WatchableStore,
  type WatchOptions,
} from './store.ts';
import { KeyExists, KeyModified, KeyNotFound } from './store-errors.ts';
import { isAborted, systemEnvironment, type Environment } from './environment.ts';

/** Options of a store on a Dragon Lock server. */
export interface DragonLockStoreOptions {
  /** The client whose keys and locks these are. */
  readonly client: DragonLock;
  /** Clocks and randomness, for tests. */
  readonly environment?: Environment;
}

/** Pairs in one request of a list: the server's largest page. */
const pageLength = 1000;

const optionNames: NamesOf<DragonLockStoreOptions> = { client: true, environment: true };

/** A store on a Dragon Lock server. */
export class DragonLockStore implements WatchableStore {
  static {
    showCallers(
      this,
      'put',
      'get',
      'list',
      'delete',
      'exists',
      'atomicPut',
      'atomicDelete',
      'newLock',
      'watch',
      'watchTree',
    );
  }

  readonly #client: DragonLock;
  readonly #environment: Environment;
  /** Closing the client gives them back too. */
  readonly #open: OpenLocks;

  /** @throws TypeError that names the option */
  constructor(options: DragonLockStoreOptions) {
    asTypeError(() => checkOptions(options, optionNames));
    const { client, environment = systemEnvironment } = options;
    this.#client = client;
    this.#environment = environment;
    this.#open = new OpenLocks(internalsOf(client).open);
  }

  async put(key: string, options: PutOptions = {}): Promise<void> {
    storeOptions.put(options);
    await this.#client.kv.set(key, options.value ?? null, { ttl: ttlOf(options) });
  }

  async get(key: string, options: ReadOptions = {}): Promise<KVPair> {
    storeOptions.read(options);
    const entry = await this.#client.kv.get(key);
    if (entry === undefined) throw new KeyNotFound(`There is no key "${key}".`);
    return pairOf(entry);
  }

  async list(prefix: string, options: ReadOptions = {}): Promise<KVPair[]> {
    storeOptions.read(options);
    const pairs: KVPair[] = [];
    for await (const entry of this.#client.kv.list(prefix, { limit: pageLength })) pairs.push(pairOf(entry));
    if (pairs.length === 0) throw new KeyNotFound(`There is no key that begins with "${prefix}".`);
    return pairs;
  }

  async delete(key: string): Promise<void> {
    await this.#client.kv.delete(key);
  }

  async exists(key: string, options: ReadOptions = {}): Promise<boolean> {
    storeOptions.read(options);
    return (await this.#client.kv.get(key)) !== undefined;
  }

  async atomicPut(key: string, options: AtomicPutOptions = {}): Promise<KVPair> {
    storeOptions.atomicPut(options);
    const { previous, value = null } = options;
    const ttl = this.#ttlOf(options);
    // The server returns the deadline to readers only, so compute it by the local clock.
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
    checkPrevious(previous);
    try {
      await this.#client.kv.delete(key, { version: previous.version });
    } catch (error) {
      if (!(error instanceof VersionMismatchError)) throw error;
      if (error.version === 0) throw new KeyNotFound(`There is no key "${key}".`, { cause: error });
      throw modified(key, previous, error);
    }
  }

  newLock(key: string, options: LockOptions = {}): Locker {
    storeOptions.lock(options);
    anId(key, 'key');
    if (options.value !== undefined) checkJson(options.value, 'value');
    const lock = new LockOnServer({
      key,
      ttlMs: checkTtl(options.ttl),
      client: this.#client,
      calls: internalsOf(this.#client).calls,
      environment: this.#environment,
      open: this.#open,
      ...(options.value !== undefined && { value: options.value }),
    });
    return new StoreLocker({ key, backend: lock, options, environment: this.#environment, open: this.#open });
  }

  watch(key: string, options: WatchOptions = {}): AsyncGenerator<KVPair | undefined, void, undefined> {
    storeOptions.signal(options);
    return leavable(options.signal, (stop) => this.#watch(key, stop));
  }

  watchTree(prefix: string, options: WatchOptions = {}): AsyncGenerator<KVPair[], void, undefined> {
    storeOptions.signal(options);
    return leavable(options.signal, (stop) => this.#watchTree(prefix, stop));
  }

  close(): Promise<void> {
    return this.#open.close(this.#environment.clock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async *#watch(key: string, signal: AbortSignal): AsyncGenerator<KVPair | undefined, void, undefined> {
    let last: number | undefined;
    try {
      for await (const _ of this.#client.watch.key(key, { signal })) {
        // A watch event has no deadline, so read the key.
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

  async *#watchTree(prefix: string, signal: AbortSignal): AsyncGenerator<KVPair[], void, undefined> {
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

  /** Keeps the deadline of the replaced pair, unless the options set another. */
  #ttlOf({ previous, ...options }: AtomicPutOptions): number | undefined {
    if (previous === undefined || options.ttl !== undefined || options.noExpiry !== undefined) return ttlOf(options);
    if (previous.expires === undefined) return undefined;
    // The server's clock decides, and a pair that has expired by the local clock may not have expired by the server's.
    return Math.max(1, previous.expires - this.#environment.clock.mark().wallMs);
  }
}

function pairOf({ key, value, version, till }: Entry): KVPair {
  return { key, value, version, tag: String(version), ...(till !== undefined && { expires: till }) };
}

function modified(key: string, { version }: KVPair, cause: VersionMismatchError): KeyModified {
  return new KeyModified(`The key "${key}" is not version ${version} any more.`, { cause });
}
