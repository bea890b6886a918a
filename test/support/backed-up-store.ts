/**
 * A small server for tests of backups: real journal, real store, several shards, one backup agent, and a model of all that
 * was committed. Nothing happens by itself: the test commits, makes checkpoints and lets the agent take its steps. Time is
 * the test's.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { BackupAgent } from '../../src/backup/backup-agent.ts';
import type { BackupAgentOptions } from '../../src/backup/backup-agent-options.ts';
import { BackupCells, JournalHold } from '../../src/backup/backup-cells.ts';
import { backupDefaults, type BackupSettings } from '../../src/backup/backup-settings.ts';
import { payloadCodec, type PayloadKeys } from '../../src/backup/format/payload.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import { readRestoredFrom, writeRestoredFrom } from '../../src/backup/restore/restore-marks.ts';
import type { RestoreGoal } from '../../src/backup/restore/restore-plan.ts';
import { restore, type RestoreOptions, type RestoreReport } from '../../src/backup/restore/restore.ts';
import { StoreRows } from '../../src/backup/ship/store-rows.ts';
import type { BackupStorage } from '../../src/backup/storage/storage.ts';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { JournalWriter } from '../../src/journal/file/journal-writer.ts';
import { recoverJournal } from '../../src/journal/file/recovery.ts';
import { listSegments } from '../../src/journal/file/segment.ts';
import { revision, shardId, type AccountId, type Revision } from '../../src/protocol/ids.ts';
import { ownerOf } from '../../src/protocol/partition.ts';
import { RecordWriter, type Effect } from '../../src/protocol/record.ts';
import { commitBoot, openShard } from '../../src/shard-worker/open-shard.ts';
import { applyRecord } from '../../src/shard-worker/core/state/state.ts';
import type { After } from '../../src/shared/clock.ts';
import { realDisk } from '../../src/shared/disk.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { LocalCheckpointWriter } from '../../src/storage/checkpoint/checkpoint-link.ts';
import type { Checkpointer } from '../../src/storage/checkpoint/checkpointer.ts';
import { readEntry } from '../../src/storage/entry-codec.ts';
import { LmdbStore, storeFormat } from '../../src/storage/lmdb/lmdb-store.ts';
import type { ShardStore } from '../../src/storage/shard-store.ts';
import { storageKey } from '../../src/storage/storage-key.ts';
import { LocalRevisions } from './local-revisions.ts';

/** What a store has: by storage key, `revision till value`. */
export type Content = ReadonlyMap<string, string>;

interface Commit {
  readonly rev: Revision;
  readonly at: number;
  readonly account: AccountId;
  readonly effects: readonly Effect[];
}

export interface BackedUpOptions {
  readonly storage: BackupStorage;
  readonly shards?: number;
  readonly settings?: Partial<BackupSettings>;
  readonly segmentBytes?: number;
  readonly keepBytes?: number;
  readonly directory?: string;
  readonly rows?: (rows: StoreRows) => BackupAgentOptions['rows'];
  readonly after?: After;
  /** The moment when it begins. */
  readonly now?: number;
}

/** Whoever waits for a while waits for a turn; an answer is never late. */
const afterThisTurn: After = (ms, run) => {
  if (ms > 60_000) return () => {};
  const immediate = setImmediate(run);
  return () => clearImmediate(immediate);
};

const yieldTurn = async (): Promise<void> => {};

export class BackedUpStore {
  readonly directory: string;
  readonly agent: BackupAgent;
  readonly cells: BackupCells;
  readonly logged: string[] = [];
  readonly commits: Commit[] = [];
  readonly #lmdb: LmdbStore;
  readonly #writer: JournalWriter;
  readonly #revisions: LocalRevisions;
  readonly #shards: readonly {
    store: ShardStore;
    checkpointer: Checkpointer;
    owns: (a: AccountId, k: string) => boolean;
  }[];
  readonly #time: { now: number };

  private constructor(parts: {
    directory: string;
    lmdb: LmdbStore;
    writer: JournalWriter;
    revisions: LocalRevisions;
    shards: BackedUpStore['shards'];
    agent: (logged: string[]) => BackupAgent;
    cells: BackupCells;
    time: { now: number };
  }) {
    this.directory = parts.directory;
    this.#lmdb = parts.lmdb;
    this.#writer = parts.writer;
    this.#revisions = parts.revisions;
    this.#shards = parts.shards;
    this.cells = parts.cells;
    this.#time = parts.time;
    this.agent = parts.agent(this.logged);
  }

  get shards(): readonly {
    store: ShardStore;
    checkpointer: Checkpointer;
    owns: (a: AccountId, k: string) => boolean;
  }[] {
    return this.#shards;
  }

  static async open(t: TestContext, options: BackedUpOptions): Promise<BackedUpStore> {
    const { storage, shards = 2, segmentBytes = 64 * 1024, keepBytes = 128 * 1024 } = options;
    const directory = options.directory ?? emptyDirectory(t);
    const time = { now: options.now ?? 1_800_000_000_000 };
    const lmdb = new LmdbStore(directory);
    const journalDirectory = path.join(directory, 'journal');
    const layout = lmdb.layout();
    const count = layout?.shards ?? shards;
    const from = layout === undefined ? 0 : lowest(lmdb, count);
    const recovered = await recoverJournal(realDisk, journalDirectory, {
      from: revision(from),
      segmentBytes,
      randomBytes,
      log: () => undefined,
    });
    const logId = recovered.logId.toString(16).padStart(16, '0');
    if (layout === undefined) lmdb.writeLayout({ format: storeFormat, logId, shards, generation: 1 });
    const revisions = new LocalRevisions(recovered.last);
    const memory = new SharedArrayBuffer(8);
    const hold = new JournalHold(memory);
    hold.set(0);
    const writer = new JournalWriter(realDisk, journalDirectory, {
      recovered,
      revisions,
      shards: count,
      segmentBytes,
      keepBytes,
      hold: memory,
      clock: { now: () => time.now },
      log: () => undefined,
    });
    const source = new FileJournalSource(realDisk, journalDirectory);
    const opened = [];
    for (let shard = 0; shard < count; shard += 1) {
      opened.push(
        await openShard({
          shard: shardId(shard),
          shards: count,
          limits: defaultLimits,
          checkpoint: lmdb.shard(shardId(shard)),
          writer: new LocalCheckpointWriter((id) => lmdb.shard(id)),
          source,
          last: recovered.last,
          yieldTurn,
        }),
      );
    }
    const cells = new BackupCells(BackupCells.allocate());
    const rows = new StoreRows(lmdb);
    const agent = (logged: string[]): BackupAgent =>
      new BackupAgent({
        settings: { ...backupDefaults, url: 'memory:', ...options.settings },
        openStorage: async () => storage,
        source: new FileJournalSource(realDisk, journalDirectory),
        rows: options.rows?.(rows) ?? rows,
        durable: () => revisions.durable(),
        journal: {
          bytesAfter: (after) => {
            const segments = listSegments(realDisk, journalDirectory);
            return (
              segments.slice(
                Math.max(
                  0,
                  segments.findLastIndex((one) => one.first <= after + 1),
                ),
              ).length * segmentBytes
            );
          },
          hasSpace: () => writer.space === 'open',
        },
        logId,
        boot: 'test',
        restored: () => {
          const origin = readRestoredFrom(directory);
          return origin?.logId === logId ? origin : undefined;
        },
        adopted: () => {
          const origin = readRestoredFrom(directory);
          if (origin !== undefined) writeRestoredFrom(directory, { ...origin, adopted: true });
        },
        cells,
        hold,
        wall: () => time.now,
        elapsedMs: () => time.now,
        after: options.after ?? afterThisTurn,
        random: () => 0.5,
        randomBytes,
        log: (level, message) => logged.push(`${level}: ${message}`),
      });
    const server = new BackedUpStore({ directory, lmdb, writer, revisions, shards: opened, agent, cells, time });
    t.after(() => server.#close());
    return server;
  }

  get now(): number {
    return this.#time.now;
  }

  advance(ms: number): void {
    this.#time.now += ms;
  }

  get last(): Revision {
    return this.#revisions.current();
  }

  /** Commits, durably. */
  commit(account: AccountId, effects: readonly Effect[]): Revision {
    const rev = this.#revisions.next();
    const records = new RecordWriter();
    records.append({ rev, account, effects });
    this.#writer.enqueue(records.take());
    while (this.#writer.flush());
    for (const { store, owns } of this.#shards) applyRecord({ entries: store, owns }, { rev, account, effects });
    this.commits.push({ rev, at: this.#time.now, account, effects });
    return rev;
  }

  /** What a start of the server commits. */
  async boot(): Promise<ReturnType<typeof commitBoot>> {
    const shard = this.#shards[ownerOf('' as AccountId, 'boot', this.#shards.length)]!;
    const journal = {
      append: (chunk: Parameters<JournalWriter['enqueue']>[0]) => {
        this.#writer.enqueue(chunk);
        while (this.#writer.flush());
        for (const reached of waiting) reached();
      },
      whenDurable: (_: Revision, reached: () => void) => void waiting.push(reached),
      space: () => 'open' as const,
      checkpointed: () => undefined,
    };
    const waiting: (() => void)[] = [];
    return commitBoot(shard.store, journal, this.#revisions, this.#time.now);
  }

  async checkpoint(shard: number): Promise<void> {
    const { checkpointer } = this.#shards[shard]!;
    await checkpointer.start(this.#revisions.current());
    this.#writer.checkpointed(shardId(shard), checkpointer.watermark);
  }

  async checkpointAll(): Promise<void> {
    for (let shard = 0; shard < this.#shards.length; shard += 1) await this.checkpoint(shard);
  }

  /** Lets the agent ship everything, and finish a copy that it has begun. */
  async settle(): Promise<void> {
    for (let steps = 0; steps < 20_000; steps += 1) {
      const wait = await this.agent.step();
      const copying = this.cells.get('copying') === 1;
      if (copying) await new Promise((resolve) => void setImmediate(resolve));
      else if (wait > 0) return;
    }
    throw new Error('the agent does not come to rest');
  }

  /** What the store has at a revision, by the model. */
  contentAt(upTo: number): Content {
    return contentOf(this.commits.filter(({ rev }) => rev <= upTo));
  }

  async #close(): Promise<void> {
    await this.#writer.close();
    await this.#lmdb.close();
  }
}

export function contentOf(commits: readonly Pick<Commit, 'rev' | 'account' | 'effects'>[]): Content {
  const content = new Map<string, string>();
  for (const { rev, account, effects } of commits) {
    for (const { kind, key, till, value } of effects) {
      const at = storageKey(kind, account, key);
      if (value === undefined) content.delete(at);
      else content.set(at, `${rev} ${till} ${value}`);
    }
  }
  return new Map([...content].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** What a stopped server's store has, with the deadlines that follow from it. */
export async function contentIn(directory: string): Promise<{ content: Content; deadlines: number }> {
  const store = new LmdbStore(directory);
  try {
    const content = new Map<string, string>();
    let deadlines = 0;
    const { shards } = store.layout()!;
    for (let shard = 0; shard < shards; shard += 1) {
      const { rows } = store.shard(shardId(shard)).rawRows('\0', '\xff', 10_000_000);
      for (const [key, value] of rows) {
        if (key.startsWith('\0e')) deadlines += 1;
        else if (!key.startsWith('\0m')) {
          const entry = readEntry(value);
          content.set(key, `${entry.rev} ${entry.till} ${entry.value}`);
        }
      }
    }
    return { content: new Map([...content].toSorted(([a], [b]) => (a < b ? -1 : 1))), deadlines };
  } finally {
    await store.close();
  }
}

export interface Restored {
  readonly directory: string;
  readonly report: RestoreReport;
}

export async function restoreFrom(
  t: TestContext,
  storage: BackupStorage,
  goal: RestoreGoal,
  options: Partial<RestoreOptions> & { readonly keys?: PayloadKeys; readonly directory?: string } = {},
): Promise<Restored> {
  const { keys = {}, directory = emptyDirectory(t), ...rest } = options;
  const repository = await Repository.open(storage, await payloadCodec(keys));
  const report = await restore({
    repository,
    goal,
    dataDirectory: directory,
    adopt: false,
    graceMs: 60_000,
    randomBytes,
    ...rest,
  });
  return { directory, report };
}

export function emptyDirectory(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-backup-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function lowest(lmdb: LmdbStore, shards: number): number {
  return Math.min(...Array.from({ length: shards }, (_, shard) => lmdb.shard(shardId(shard)).watermark()));
}
