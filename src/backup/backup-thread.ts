/**
 * The thread that backs the server up. It has a lower priority than all others. It reads the journal's files and the store,
 * and no other thread ever waits for it; so it is the one thread that may fail: main starts it again.
 */
import fs from 'node:fs';
import os from 'node:os';
import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { FileJournalSource } from '../journal/file/file-journal-source.ts';
import { listSegments } from '../journal/file/segment.ts';
import { spaceFromCode } from '../journal/journal-wire.ts';
import { SharedRevisions } from '../protocol/wire/revisions.ts';
import { assert, unreachable } from '../shared/assert.ts';
import { processMs, systemAfter, wallMs } from '../shared/clock.ts';
import { joinPath, realDisk } from '../shared/disk.ts';
import { postLog } from '../shared/thread-log.ts';
import { LmdbStore } from '../storage/lmdb/lmdb-store.ts';
import { BackupAgent } from './backup-agent.ts';
import { BackupCells, JournalHold } from './backup-cells.ts';
import type { BackupSettings } from './backup-settings.ts';
import { readRestoredFrom, writeRestoredFrom } from './restore/restore-marks.ts';
import { StoreRows } from './ship/store-rows.ts';
import { openStorage } from './storage/open-storage.ts';
import { s3SettingsOf } from './storage/s3-credentials.ts';

export interface BackupThreadData {
  readonly settings: BackupSettings;
  readonly dataDirectory: string;
  readonly journalDirectory: string;
  readonly revisions: SharedArrayBuffer;
  readonly cells: SharedArrayBuffer;
  readonly hold: SharedArrayBuffer;
  /** See `spaceCode`. */
  readonly space: SharedArrayBuffer;
  /** 16 hex digits. */
  readonly logId: string;
  readonly boot: string;
}

export type BackupFromMain = { readonly kind: 'stop' };

export type BackupToMain =
  /** It has looked at the repository, or could not. `refusal`: the server must not serve with this directory. */
  | { readonly kind: 'looked'; readonly refusal?: string }
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly details?: object;
    };

const niceness = 10;

assert(parentPort !== null, 'backups are made in a worker');
const main = parentPort;
const data = workerData as BackupThreadData;
makeNice();
const revisions = new SharedRevisions(data.revisions);
const space = new Int32Array(data.space);
const { journalDirectory, dataDirectory, settings } = data;
const lmdb = new LmdbStore(dataDirectory);
const agent = new BackupAgent({
  settings: { ...settings, hold_bytes_max: Math.min(settings.hold_bytes_max, quarterOfDisk(journalDirectory)) },
  openStorage: () => openStorage(settings.url, s3SettingsOf(settings.s3)),
  source: new FileJournalSource(realDisk, journalDirectory),
  rows: new StoreRows(lmdb),
  durable: () => revisions.durable(),
  journal: {
    bytesAfter(after) {
      const segments = listSegments(realDisk, journalDirectory);
      const first = segments.findLastIndex((segment) => segment.first <= after + 1);
      return segments.slice(Math.max(first, 0)).reduce((sum, { name }) => sum + bytesOf(name), 0);
    },
    hasSpace: () => spaceFromCode(Atomics.load(space, 0)) === 'open',
  },
  logId: data.logId,
  boot: data.boot,
  restored: () => {
    const from = readRestoredFrom(dataDirectory);
    return from?.logId === data.logId ? from : undefined;
  },
  adopted: () => {
    const from = readRestoredFrom(dataDirectory);
    if (from !== undefined && !from.adopted) writeRestoredFrom(dataDirectory, { ...from, adopted: true });
  },
  cells: new BackupCells(data.cells),
  hold: new JournalHold(data.hold),
  wall: wallMs,
  elapsedMs: processMs,
  after: systemAfter,
  random: () => randomBytes(4).readUInt32LE(0) / 2 ** 32,
  randomBytes,
  log: (level, message, details) =>
    postLog(main, { kind: 'log', level, message, ...(details && { details }) } satisfies BackupToMain),
});

main.on('message', (message: BackupFromMain) => {
  switch (message.kind) {
    case 'stop':
      return void stop();
    default:
      return unreachable(message.kind);
  }
});

const refusal = await agent.look();
toMain({ kind: 'looked', ...(refusal !== undefined && { refusal }) });
agent.run();

async function stop(): Promise<void> {
  await agent.stop();
  await lmdb.close();
  main.close();
}

function bytesOf(name: string): number {
  try {
    return fs.statSync(joinPath(journalDirectory, name)).size;
  } catch {
    // It was trimmed meanwhile.
    return 0;
  }
}

function quarterOfDisk(directory: string): number {
  const { blocks, bsize } = fs.statfsSync(directory);
  return (blocks * bsize) / 4;
}

/** Linux has a priority for each thread. */
function makeNice(): void {
  try {
    os.setPriority(Number(fs.readlinkSync('/proc/thread-self').split('/').at(-1)), niceness);
  } catch {
    // Elsewhere it competes with the others.
  }
}

function toMain(message: BackupToMain): void {
  main.postMessage(message);
}
