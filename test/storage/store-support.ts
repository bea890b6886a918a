/** Shared by the store's tests: a naive oracle, keys that are hard to order, stores in a temporary directory. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { accountId, revision, shardId, type AccountId, type Revision, type ShardId } from '../../src/protocol/ids.ts';
import { kinds, type Kind } from '../../src/protocol/record.ts';
import { partOf, type Entry, type LocatedEntry } from '../../src/protocol/entries.ts';
import {
  Checkpointer,
  type CheckpointerOptions,
  type CheckpointWriter,
} from '../../src/storage/checkpoint/checkpointer.ts';
import { NoSpaceError, type CheckpointTarget, type EntryCount } from '../../src/storage/checkpoint-store.ts';
import { LmdbStore } from '../../src/storage/lmdb/lmdb-store.ts';
import type { ShardStore } from '../../src/storage/shard-store.ts';
import { LocalCheckpointWriter } from '../../src/storage/checkpoint/checkpoint-link.ts';

export const zero = shardId(0);
export const accounts = ['a', 'ab', 'b', 'z'.repeat(64)].map(accountId);
export const testKinds: readonly Kind[] = [kinds.kv, kinds.lock, kinds.queue];
export const keys = [
  '',
  '\0',
  'a',
  'a/',
  'a/b',
  'a/b/c',
  'ab',
  'é',
  'é/1',
  // A surrogate pair: lower than U+E000 in UTF-16, higher in UTF-8.
  '\u{1F600}',
  '\u{1F600}x',
  '\u{10FFFF}',
  '\uE000',
  '\uFFFD',
  '\uFFFF',
  '\u007F',
  '\u0080',
  'k'.repeat(512),
  '\u{1F600}'.repeat(128),
];

export function entry(rev: number, till = 0, value = `{"rev":${rev}}`): Entry {
  return { rev: revision(rev), till, value };
}

/** The content of a `ShardStore` in its simplest correct form. */
export class Oracle {
  readonly #entries: Map<string, LocatedEntry>;

  constructor(entries = new Map<string, LocatedEntry>()) {
    this.#entries = entries;
  }

  get size(): number {
    return this.#entries.size;
  }

  clone(): Oracle {
    return new Oracle(new Map(this.#entries));
  }

  get(kind: Kind, account: AccountId, key: string): Entry | undefined {
    return this.#entries.get(JSON.stringify([kind, account, key]))?.entry;
  }

  put(kind: Kind, account: AccountId, key: string, entry: Entry): void {
    this.#entries.set(JSON.stringify([kind, account, key]), { kind, account, key, entry });
  }

  delete(kind: Kind, account: AccountId, key: string): void {
    this.#entries.delete(JSON.stringify([kind, account, key]));
  }

  all(): LocatedEntry[] {
    return [...this.#entries.values()];
  }

  range(kind: Kind, account: AccountId, prefix: string, after?: string): LocatedEntry[] {
    return this.all()
      .filter((e) => e.kind === kind && e.account === account && e.key.startsWith(prefix))
      .filter((e) => after === undefined || compareKeys(e.key, after) > 0)
      .toSorted((a, b) => compareKeys(a.key, b.key));
  }

  nextDeadline(): number {
    return Math.min(Infinity, ...this.#withTill().map((e) => e.entry.till));
  }

  /** All due entries. The order of those with the same till does not matter. */
  due(now: number): LocatedEntry[] {
    return this.#withTill()
      .filter((e) => e.entry.till <= now)
      .toSorted((a, b) => a.entry.till - b.entry.till);
  }

  counts(): EntryCount[] {
    const counts = new Map<string, EntryCount>();
    for (const { kind, account, key, entry } of this.all()) {
      const keyBytes = 1 + account.length + 1 + Buffer.byteLength(key);
      const more = keyBytes + 12 + Buffer.byteLength(entry.value);
      for (const part of kind === kinds.queue ? ['', partOf(key, entry.value)] : ['']) {
        const name = `${kind} ${account} ${part}`;
        const { entries, bytes } = counts.get(name) ?? { entries: 0, bytes: 0 };
        counts.set(name, { account, kind, part, entries: entries + 1, bytes: bytes + more });
      }
    }
    return [...counts.values()];
  }

  #withTill(): LocatedEntry[] {
    return this.all().filter((e) => e.entry.till !== 0);
  }
}

export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** In an order that does not depend on ties between deadlines. */
export function sorted(entries: readonly LocatedEntry[]): string[] {
  return entries.map((e) => JSON.stringify([e.kind, e.account, e.key, e.entry])).toSorted();
}

/** Writes locally, and has no disk space when the test says so. */
export class FlakyWriter implements CheckpointWriter {
  hasSpace = true;
  readonly #inner: LocalCheckpointWriter;

  constructor(targetOf: (shard: ShardId) => CheckpointTarget) {
    this.#inner = new LocalCheckpointWriter(targetOf);
  }

  begin(shard: ShardId): void {
    this.#inner.begin(shard);
  }

  slice(bytes: Uint8Array<ArrayBuffer>): void {
    this.#inner.slice(bytes);
  }

  async commit(watermark: Revision): Promise<void> {
    if (!this.hasSpace) throw new NoSpaceError('the test has taken all the space');
    await this.#inner.commit(watermark);
  }
}

export function checkpointer(
  store: ShardStore,
  target: CheckpointTarget,
  options: Partial<CheckpointerOptions> = {},
): Checkpointer {
  return new Checkpointer({
    shard: zero,
    store,
    writer: new LocalCheckpointWriter(() => target),
    memtableBytesMax: 1024 * 1024,
    watermark: revision(0),
    yieldTurn: async () => {},
    ...options,
  });
}

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
}

export function temporaryDirectory(): TemporaryDirectory {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-store-'));
  return { path: directory, [Symbol.dispose]: () => fs.rmSync(directory, { recursive: true, force: true }) };
}

/** Opens the directory's store, or makes one with this number of shards. */
export function openStore(directory: string, shards = 1): LmdbStore {
  const store = new LmdbStore(directory);
  if (store.layout() === undefined) store.writeLayout({ format: 1, logId: 'ab12', shards, generation: 1 });
  return store;
}

/** Runs a script of this directory in its own process. @returns the signal that ended it */
export function runChild(script: string, args: readonly string[], failpoint?: string): NodeJS.Signals | null {
  const env = failpoint === undefined ? process.env : { ...process.env, DRAGONLOCK_FAILPOINT: failpoint };
  const child = spawnSync(process.execPath, [path.join(import.meta.dirname, script), ...args], { env });
  if (child.signal === null && child.status !== 0) throw new Error(`${script} failed: ${child.stderr.toString()}`);
  return child.signal;
}

/** Any function that spreads keys will do. */
export function ownerOf(account: AccountId, key: string, shards: number): ShardId {
  let hash = 7;
  for (const byte of Buffer.from(`${account}/${key}`)) hash = (hash * 31 + byte) % 1_000_003;
  return shardId(hash % shards);
}
