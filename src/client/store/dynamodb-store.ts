/**
 * The store on a table in DynamoDB, for applications without a Dragon Lock server. `dynamodb-table.ts` describes the
 * table and how it survives lost replies; `dynamodb-lock.ts` describes how locks change hands.
 *
 * DynamoDB deletes expired items hours late, so every read and every condition checks the deadline. Deadlines of pairs
 * are wall time, on which machines must agree to about a second, as with every such table. Locks do not depend on it.
 *
 * `put` and `delete` replace any state, so they name none in a condition: if the network delays one of them until its
 * sender has given up, it can undo a later write. Where that matters, use `atomicPut` and `atomicDelete`.
 */
import { OutcomeUnknownError } from '../errors.ts';
import { OpenLocks } from '../open-locks.ts';
import { DynamoDbLock } from './dynamodb-lock.ts';
import type { DynamoDbCalls, Item } from './dynamodb-calls.ts';
import { DynamoDbTable, numberOf, textOf, type ItemChange } from './dynamodb-table.ts';
import { StoreLocker } from './locker.ts';
import {
  checkTtl,
  ttlOf,
  type AtomicPutOptions,
  type KVPair,
  type Locker,
  type LockOptions,
  type PutOptions,
  type ReadOptions,
  type Store,
} from './store.ts';
import { KeyExists, KeyModified, KeyNotFound } from './store-errors.ts';
import { systemEnvironment, type Environment } from './environment.ts';

export interface DynamoDbStoreOptions {
  /** A `DynamoDB` client of `@aws-sdk/client-dynamodb`. */
  readonly client: DynamoDbCalls;
  readonly tableName: string;
  /** Stores of different partitions share only the table. */
  readonly partition: string;
  /** Milliseconds between two polls of a waiter, ± a half at random. Default 1,000. */
  readonly pollMs?: number;
  readonly environment?: Environment;
}

/** DynamoDB may delete an item this long after its end: longer than any request is in flight. */
const collectAfterMs = 3_600_000;

export class DynamoDbStore implements Store {
  readonly #table: DynamoDbTable;
  readonly #partition: string;
  readonly #pollMs: number;
  readonly #environment: Environment;
  readonly #open = new OpenLocks();

  constructor({ client, tableName, partition, pollMs = 1000, environment }: DynamoDbStoreOptions) {
    if (partition === '' || partition.includes('#')) {
      throw new RangeError(`partition: expected a name without "#", got "${partition}"`);
    }
    this.#table = new DynamoDbTable(client, tableName);
    this.#partition = partition;
    this.#pollMs = pollMs;
    this.#environment = environment ?? systemEnvironment;
  }

  async put(key: string, options: PutOptions = {}): Promise<void> {
    await this.#table.change({
      ...this.#putChange(key, options.value, this.#deadlineIn(ttlOf(options))),
      unsafeToRepeat: true,
    });
  }

  async get(key: string, { consistent = true }: ReadOptions = {}): Promise<KVPair> {
    const item = this.#live(await this.#table.read(this.#partition, key, consistent));
    if (item === undefined) throw new KeyNotFound(`There is no key "${key}".`);
    return pairOf(item);
  }

  async list(prefix: string, { consistent = true }: ReadOptions = {}): Promise<KVPair[]> {
    const items = await this.#table.list(this.#partition, prefix, consistent);
    const pairs = items.filter((item) => this.#live(item) !== undefined).map((item) => pairOf(item));
    if (pairs.length === 0) throw new KeyNotFound(`There is no key that begins with "${prefix}".`);
    return pairs;
  }

  async delete(key: string): Promise<void> {
    await this.#table.change({
      ...this.#deleteChange(key),
      unsafeToRepeat: true,
      condition: 'attribute_exists(#nonce) AND attribute_not_exists(#deleted)',
    });
  }

  async exists(key: string, { consistent = true }: ReadOptions = {}): Promise<boolean> {
    return this.#live(await this.#table.read(this.#partition, key, consistent)) !== undefined;
  }

  async atomicPut(key: string, options: AtomicPutOptions = {}): Promise<KVPair> {
    const { previous } = options;
    if (previous === undefined) return await this.#create(key, options);
    const isPlain = options.ttl === undefined && options.noExpiry === undefined;
    const deadline = isPlain ? previous.expires : this.#deadlineIn(ttlOf(options));
    const changed = await this.#table.change({
      ...this.#putChange(key, options.value, deadline),
      ...this.#ifUnchanged(previous),
    });
    if (changed.kind === 'done' && changed.item !== undefined) return pairOf(changed.item);
    if (changed.kind === 'refused' && !changed.sure) throw outcomeUnknown(key);
    throw new KeyModified(`The key "${key}" is not version ${previous.version} any more.`);
  }

  async atomicDelete(key: string, previous: KVPair): Promise<void> {
    const changed = await this.#table.change({ ...this.#deleteChange(key), ...this.#ifUnchanged(previous) });
    if (changed.kind === 'done') return;
    if (!changed.sure) throw outcomeUnknown(key);
    if (this.#live(changed.item) === undefined) throw new KeyNotFound(`There is no key "${key}".`);
    throw new KeyModified(`The key "${key}" is not version ${previous.version} any more.`);
  }

  newLock(key: string, options: LockOptions = {}): Locker {
    const lock = new DynamoDbLock({
      key,
      ttlMs: checkTtl(options.ttl),
      pollMs: this.#pollMs,
      partition: this.#partition,
      table: this.#table,
      environment: this.#environment,
      ...(options.value !== undefined && {
        shown: {
          put: (fence, ttlMs) => this.#show(key, options.value, fence, ttlMs),
          delete: (fence) => this.#hide(key, fence),
        },
      }),
    });
    return new StoreLocker({ key, backend: lock, options, environment: this.#environment, open: this.#open });
  }

  close(): Promise<void> {
    return this.#open.close(this.#environment.clock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Creates the key on the condition that it is still as read: absent or expired. */
  async #create(key: string, options: PutOptions): Promise<KVPair> {
    const ttlMs = ttlOf(options);
    for (;;) {
      const expired = await this.#table.read(this.#partition, key);
      if (this.#live(expired) !== undefined) throw new KeyExists(`The key "${key}" exists.`);
      const nonce = textOf(expired, 'nonce');
      const changed = await this.#table.change({
        ...this.#putChange(key, options.value, this.#deadlineIn(ttlMs)),
        ...(nonce === undefined
          ? { condition: 'attribute_not_exists(#nonce)' }
          : { condition: '#nonce = :expired', values: { expired: { S: nonce } } }),
      });
      if (changed.kind === 'done') return pairOf(changed.item ?? {});
      if (!changed.sure) throw outcomeUnknown(key);
      // Another client has written the key meanwhile, so read again.
    }
  }

  /** Writes the pair of a held lock. A holder that a later fence has overtaken leaves the pair alone. */
  async #show(key: string, value: unknown, fence: number, ttlMs: number): Promise<void> {
    const change = this.#putChange(key, value, this.#deadlineIn(ttlMs));
    await this.#table.change({
      ...change,
      set: { ...change.set, fence: { N: String(fence) } },
      remove: change.remove.filter((attribute) => attribute !== 'fence'),
      unsafeToRepeat: true,
      condition:
        'attribute_not_exists(#fence) OR #fence < :fence OR (#fence = :fence AND attribute_not_exists(#deleted))',
    });
  }

  async #hide(key: string, fence: number): Promise<void> {
    await this.#table.change({
      ...this.#deleteChange(key),
      unsafeToRepeat: true,
      condition: '#fence = :shown AND attribute_not_exists(#deleted)',
      values: { shown: { N: String(fence) } },
    });
  }

  #putChange(key: string, value: unknown, deadlineMs: number | undefined): ItemChange {
    const nonce = this.#environment.nonce();
    const timed: Item = deadlineMs === undefined ? {} : deadlineAttributes(deadlineMs);
    return {
      id: this.#partition,
      name: key,
      set: { nonce: { S: nonce }, value: { S: JSON.stringify(value ?? null) }, ...timed },
      count: ['version'],
      remove: ['deleted', 'fence', ...(deadlineMs === undefined ? ['deadline', 'expires'] : [])],
      isDone: (item) => textOf(item, 'nonce') === nonce,
    };
  }

  #deleteChange(key: string): ItemChange {
    const nonce = this.#environment.nonce();
    const { expires } = deadlineAttributes(this.#nowMs());
    return {
      id: this.#partition,
      name: key,
      set: { nonce: { S: nonce }, deleted: { BOOL: true }, expires },
      count: ['version'],
      remove: ['value', 'deadline'],
      isDone: (item) => textOf(item, 'nonce') === nonce,
    };
  }

  #ifUnchanged({ tag, version }: KVPair): Pick<ItemChange, 'condition' | 'values'> {
    return {
      condition: '#nonce = :previous AND #version = :before AND (attribute_not_exists(#deadline) OR #deadline > :now)',
      values: {
        previous: { S: tag },
        before: { N: String(version) },
        now: { N: String(this.#nowMs()) },
      },
    };
  }

  #nowMs(): number {
    return this.#environment.clock.mark().wallMs;
  }

  #deadlineIn(ttlMs: number | undefined): number | undefined {
    return ttlMs === undefined ? undefined : Math.ceil(this.#nowMs() + ttlMs);
  }

  /** The item, unless it is absent, deleted or expired. */
  #live(item: Item | undefined): Item | undefined {
    if (item === undefined || item['deleted']?.BOOL === true) return undefined;
    const deadlineMs = numberOf(item, 'deadline');
    return deadlineMs === undefined || deadlineMs > this.#nowMs() ? item : undefined;
  }
}

function deadlineAttributes(deadlineMs: number): { deadline: { N: string }; expires: { N: string } } {
  const expires = Math.ceil((deadlineMs + collectAfterMs) / 1000);
  return { deadline: { N: String(deadlineMs) }, expires: { N: String(expires) } };
}

function pairOf(item: Item): KVPair {
  const expires = numberOf(item, 'deadline');
  return {
    key: textOf(item, 'name') ?? '',
    value: JSON.parse(textOf(item, 'value') ?? 'null'),
    version: numberOf(item, 'version') ?? 0,
    tag: textOf(item, 'nonce') ?? '',
    ...(expires !== undefined && { expires }),
  };
}

function outcomeUnknown(key: string): OutcomeUnknownError {
  return new OutcomeUnknownError(
    `It is unknown whether "${key}" was written: a reply was lost, and another client has written the key since.`,
  );
}
