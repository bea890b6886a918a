/**
 * The LMDB environment below all shards, in `<data_dir>/store`.
 *
 *   layout                       one record: which sub-databases are the current ones
 *   shard-<i>@<generation>       content of shard i, watermark, counts (storage-key.ts, entry-codec.ts)
 *
 * A generation is one partitioning into shards; repartition.ts builds the next one beside it. All commits are
 * synchronous and durable when they return. One thread at a time writes (the checkpoint thread, or the main thread at
 * start). Every shard reads in its own thread, by snapshots that never wait.
 *
 * Settings that matter. `overlappingSync: false`: a commit returns after its sync, and the file is plain LMDB with two
 * meta pages. `safeRestore`: after a crash of the machine, LMDB opens with the last meta page that was surely synced.
 * `mapSize`: address space, not disk. It is large and fixed, because lmdb-js would otherwise remap the file while other
 * threads read it ("map full" happens only when address space ends: lmdb-js grows the map). `maxReaders`: one snapshot
 * for every thread, with a margin. The settings of the first open hold for all threads of the process.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { shardId, type ShardId } from '../../protocol/ids.ts';
import {
  needsOf,
  needsWith,
  oldestNeeds,
  ownReader,
  unknownIn,
  type DataReader,
  type ReaderNeeds,
} from '../../protocol/readers.ts';
import { assert } from '../../shared/assert.ts';
import { realDisk, type Disk } from '../../shared/disk.ts';
import { NewerData } from '../../shared/newer-data.ts';
import { refuseDamagedStore } from './damaged-store.ts';
import { LmdbShard } from './lmdb-shard.ts';

/** The format of the store on disk. This code reads no other. */
export const storeFormat = 1;
/** Two generations of sub-databases are open while the store is repartitioned. */
export const shardsMax = 256;
const mapBytesDefault = 2 ** 40;
const layoutKey = 'layout';

/** A store of before there were numbers of readers has neither `reader` nor `kinds`. */
export interface Layout extends Partial<ReaderNeeds> {
  readonly format: number;
  /** The id of the journal that this store is a checkpoint of, in hex. */
  readonly logId: string;
  readonly shards: number;
  readonly generation: number;
}

export interface LmdbStoreOptions {
  /** Address space. Must exceed the largest size of the store. */
  readonly mapBytes?: number;
  /** Only reads, and writes nothing into the data directory: LMDB's table of readers goes into a temporary one. */
  readonly readOnly?: boolean;
  /**
   * Nothing is durable: for a store that is thrown away if its making is interrupted. The first transaction of a store that
   * is opened without it makes all durable that was there before.
   */
  readonly noSync?: boolean;
  readonly disk?: Pick<Disk, 'syncDirectory'>;
  /** Another server than this one, for tests. */
  readonly reader?: DataReader;
}

type Binary = Database<Buffer, string>;

// Storage keys go to LMDB as they are, one byte a character, without an intermediate buffer.
const keyEncoder = {
  writeKey: (key: string, target: Buffer, at: number): number => at + target.write(key, at, 'latin1'),
  readKey: (source: Buffer, start: number, end: number): string => source.toString('latin1', start, end),
};
const databaseOptions = { encoding: 'binary', keyEncoder, cache: false } as const;
const environmentOptions = {
  ...databaseOptions,
  noSubdir: false,
  overlappingSync: false,
  safeRestore: true,
  remapChunks: false,
  maxDbs: 2 * shardsMax + 2,
  maxReaders: 2 * shardsMax + 64,
};

export class LmdbStore {
  readonly #root: RootDatabase<Buffer, string>;
  readonly #layout: Binary;
  readonly #freeBytes: () => number;
  readonly #shards = new Map<string, LmdbShard>();
  readonly #temporary: string | undefined;
  readonly #stored: string;
  readonly #reader: DataReader;

  /** Whether there is a store. An empty file is none: LMDB makes one of it. */
  static exists(dataDirectory: string): boolean {
    const stat = fs.statSync(path.join(dataDirectory, 'store', 'data.mdb'), { throwIfNoEntry: false });
    return stat !== undefined && stat.size > 0;
  }

  /** Creates the environment if there is none. @throws NewerData, DamagedStore, errors of LMDB and of the operating system */
  constructor(dataDirectory: string, options: LmdbStoreOptions = {}) {
    const stored = path.join(dataDirectory, 'store');
    const { readOnly = false, noSync = false, reader = ownReader } = options;
    this.#stored = stored;
    this.#reader = reader;
    if (readOnly) this.#temporary = linkTo(stored);
    const directory = this.#temporary ?? stored;
    fs.mkdirSync(directory, { recursive: true });
    this.#freeBytes = () => {
      const { bavail, bsize } = fs.statfsSync(directory);
      return bavail * bsize;
    };
    refuseDamagedStore(directory);
    const mapSize = options.mapBytes ?? mapBytesDefault;
    this.#root = open<Buffer, string>({ ...environmentOptions, path: directory, mapSize, readOnly, noSync });
    this.#layout = this.#openDatabase('layout');
    if (this.#layoutOrClose() === undefined && !readOnly) {
      // LMDB syncs its file, but not the directories above it. Until there is a layout nobody has relied on the file,
      // and a process that has made it may have died before it could sync them.
      const { disk = realDisk } = options;
      disk.syncDirectory(directory);
      disk.syncDirectory(dataDirectory);
    }
  }

  /** @returns undefined in a new store. @throws NewerData */
  layout(): Layout | undefined {
    const bytes = this.#layout.getBinaryFast(layoutKey);
    if (bytes === undefined) return undefined;
    const layout: Layout = JSON.parse(bytes.toString('utf8', 0, bytes.length));
    const unknown =
      layout.format === storeFormat
        ? unknownIn(needsOf(layout), this.#reader)
        : `format ${layout.format}; this server reads ${storeFormat}`;
    if (unknown === undefined) return layout;
    throw new NewerData(
      `The store in ${this.#stored} has ${unknown}. Nothing was changed. ` +
        'Start the version of the server that wrote it, or a later one.',
    );
  }

  /** Which reader the store needs. */
  needs(): ReaderNeeds {
    return needsOf(this.#currentLayout());
  }

  /** Durable when it returns. */
  writeLayout(layout: Layout): void {
    assert(layout.shards >= 1 && layout.shards <= shardsMax, `shards is 1 to ${shardsMax}`);
    this.transaction(() => this.#layout.putSync(layoutKey, Buffer.from(JSON.stringify(layout))));
  }

  /** Shard `index` of the given generation, by default the current one. */
  shard(index: ShardId, generation: number = this.#currentLayout().generation): LmdbShard {
    const name = databaseName(index, generation);
    let shard = this.#shards.get(name);
    if (shard === undefined) {
      const onKinds = (letters: readonly number[]): void => this.#noteKinds(letters);
      shard = new LmdbShard(this.#openDatabase(name), { freeBytes: this.#freeBytes, onKinds });
      this.#shards.set(name, shard);
    }
    return shard;
  }

  /** Generations that have a sub-database, ascending. */
  generations(): number[] {
    return [...new Set(this.#shardNames().map(generationOf))].toSorted((a, b) => a - b);
  }

  /** Removes the sub-databases of a generation, each in its own transaction. */
  dropGeneration(generation: number): void {
    for (const name of this.#shardNames()) {
      if (generationOf(name) !== generation) continue;
      this.#openDatabase(name).dropSync();
      this.#shards.delete(name);
    }
  }

  /** One transaction over any of the sub-databases; durable when it returns, all or nothing when it throws. */
  transaction(work: () => void): void {
    this.#root.transactionSync(work);
  }

  /** Bytes of all pages that the current generation uses. Takes a few microseconds a shard. */
  storeBytes(): number {
    const { shards, generation } = this.#currentLayout();
    let bytes = 0;
    for (let index = 0; index < shards; index += 1) bytes += this.shard(shardId(index), generation).usage().bytes;
    return bytes;
  }

  async close(): Promise<void> {
    await this.#root.close();
    if (this.#temporary !== undefined) fs.rmSync(this.#temporary, { recursive: true, force: true });
  }

  /** An environment that is left open keeps its files open. */
  #layoutOrClose(): Layout | undefined {
    try {
      return this.layout();
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  /** Within a transaction that writes entries of these kinds. */
  #noteKinds(letters: readonly number[]): void {
    const found = letters.flatMap((letter) => this.#reader.kinds.get(letter) ?? []);
    if (found.every(({ reader }) => reader === oldestNeeds.reader)) return;
    const layout = this.#currentLayout();
    const before = needsOf(layout);
    const needs = needsWith(before, found);
    if (needs !== before) this.#layout.putSync(layoutKey, Buffer.from(JSON.stringify({ ...layout, ...needs })));
  }

  #currentLayout(): Layout {
    const layout = this.layout();
    assert(layout !== undefined, 'the store has a layout');
    return layout;
  }

  #shardNames(): string[] {
    this.#root.resetReadTxn();
    // lmdb-js stores a sub-database's name with the NUL that ends it.
    return [...this.#root.getKeys({ start: 'shard-', end: 'shard.' })].map((name) => name.replace(/\0$/, ''));
  }

  #openDatabase(name: string): Binary {
    const options = { ...databaseOptions, name };
    return this.#root.openDB<Buffer, string>(options);
  }
}

/** A directory of its own, in which LMDB finds the file. */
function linkTo(stored: string): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-store-'));
  fs.symlinkSync(path.resolve(stored, 'data.mdb'), path.join(directory, 'data.mdb'));
  return directory;
}

function databaseName(shard: ShardId, generation: number): string {
  return `shard-${shard}@${generation}`;
}

function generationOf(name: string): number {
  const generation = Number(name.slice(name.indexOf('@') + 1));
  assert(Number.isSafeInteger(generation), `expected a sub-database shard-<i>@<generation>, got ${name}`);
  return generation;
}
