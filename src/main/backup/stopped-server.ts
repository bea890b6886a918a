/**
 * Backs up the data directory of a server that does not run: ships what its log has and makes a copy, by the same agent
 * as in a running server. The directory is locked meanwhile, and its content stays as it is.
 */
import path from 'node:path';
import { BackupAgent } from '../../backup/backup-agent.ts';
import { BackupCells, JournalHold, type BackupState } from '../../backup/backup-cells.ts';
import type { BackupSettings } from '../../backup/backup-settings.ts';
import { readRestoredFrom, refuseUnlessRestored } from '../../backup/restore/restore-marks.ts';
import { StoreRows } from '../../backup/ship/store-rows.ts';
import { openStorage } from '../../backup/storage/open-storage.ts';
import { s3SettingsOf } from '../../backup/storage/s3-credentials.ts';
import { StorageError, storageFaults } from '../../backup/storage/storage.ts';
import { FileJournalSource } from '../../journal/file/file-journal-source.ts';
import { recoverJournal } from '../../journal/file/recovery.ts';
import { revision, shardId } from '../../protocol/ids.ts';
import { processMs, systemAfter, wallMs } from '../../shared/clock.ts';
import { realDisk } from '../../shared/disk.ts';
import { LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { lockDataDirectory } from '../data-directory/data-directory-lock.ts';

export interface StoppedBackupOptions {
  readonly dataDirectory: string;
  readonly settings: BackupSettings;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Is told how many rows the copy has. */
  readonly onRows?: ((rows: number) => void) | undefined;
}

export interface StoppedBackup {
  readonly place: string;
  readonly revision: number;
  readonly writer: number;
}

/** There is nothing to back up, or the repository does not take it. */
export class NotBackedUp extends Error {
  override name = 'NotBackedUp';
}

/** After so many calls to the storage that have failed the command gives up; what it has put stays, and is used again. */
const failuresMax = 10;
const pollMs = 20;
const refusing = new Set<BackupState>(['superseded', 'unadopted', 'foreign', 'rolled_back', 'damaged']);

/** @throws NotBackedUp, NotRestored, DataDirectoryInUse, JournalCorruption, StorageError */
export async function backUpStopped(options: StoppedBackupOptions): Promise<StoppedBackup> {
  const { dataDirectory } = options;
  if (!LmdbStore.exists(dataDirectory))
    throw new NotBackedUp(`There is no store in ${dataDirectory}; expected the data directory of a server.`);
  const lock = lockDataDirectory(dataDirectory);
  const store = new LmdbStore(dataDirectory);
  try {
    refuseUnlessRestored(dataDirectory);
    return await backUp(options, store);
  } finally {
    await store.close();
    lock.release();
  }
}

async function backUp(
  { dataDirectory, settings, randomBytes, onRows }: StoppedBackupOptions,
  store: LmdbStore,
): Promise<StoppedBackup> {
  const layout = store.layout();
  const journalDirectory = path.join(dataDirectory, 'journal');
  if (layout === undefined || !realDisk.list(dataDirectory).includes('journal'))
    throw new NotBackedUp(`${dataDirectory} is empty; expected the data directory of a server that has run.`);
  const watermarks = Array.from({ length: layout.shards }, (_, index) => store.shard(shardId(index)).watermark());
  const recovered = await recoverJournal(realDisk, journalDirectory, {
    from: revision(Math.min(...watermarks)),
    segmentBytes: 1024 * 1024,
    randomBytes,
    log: () => undefined,
  });
  const logId = recovered.logId.toString(16).padStart(16, '0');
  if (layout.logId !== logId)
    throw new NotBackedUp(`The store belongs to the journal ${layout.logId}, and ${dataDirectory} has ${logId}.`);
  const cells = new BackupCells(BackupCells.allocate());
  let problem = '';
  const agent = new BackupAgent({
    settings: { ...settings, prune: false },
    openStorage: () => openStorage(settings.url, s3SettingsOf(settings.s3)),
    source: new FileJournalSource(realDisk, journalDirectory),
    rows: new StoreRows(store),
    durable: () => recovered.last,
    journal: { bytesAfter: () => 0, hasSpace: () => true },
    logId,
    boot: 'stopped',
    restored: () => {
      const from = readRestoredFrom(dataDirectory);
      return from?.logId === logId ? from : undefined;
    },
    adopted: () => undefined,
    cells,
    hold: new JournalHold(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)),
    wall: wallMs,
    elapsedMs: processMs,
    after: systemAfter,
    random: () => Buffer.from(randomBytes(4)).readUInt32LE(0) / 2 ** 32,
    randomBytes,
    log: (level, message) => {
      if (level !== 'info') problem = message;
    },
  });
  cells.add('askedForCopies', 1);
  try {
    const refusal = await agent.look();
    if (refusal !== undefined) throw new NotBackedUp(refusal);
    while (cells.get('takenCopies') < 1) {
      if (refusing.has(cells.state)) throw new NotBackedUp(problem);
      const wait = await agent.step();
      const failures = storageFaults.reduce((sum, fault) => sum + cells.failures(fault), 0);
      if (failures >= failuresMax) throw new StorageError('unreachable', `${problem} It has failed ${failures} times.`);
      onRows?.(cells.get('copyingRows'));
      await pause(cells.state === 'failing' || cells.state === 'starting' ? wait : pollMs);
    }
  } finally {
    await agent.stop();
  }
  return { place: settings.url, revision: cells.get('copyRevision'), writer: cells.get('writer') };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void systemAfter(ms, resolve));
}
