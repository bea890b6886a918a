/**
 * Opens the data directory at start, before any shard runs: recovers the journal, checks that the store belongs to it,
 * and changes the layout if another number of shards is configured.
 *
 *   <data_dir>/lock       the process that uses it (data-directory-lock.ts)
 *   <data_dir>/journal/   the log: the truth
 *   <data_dir>/store/     LMDB: checkpoints of the shards
 */
import { randomBytes } from 'node:crypto';
import { setImmediate as yieldTurn } from 'node:timers/promises';
import path from 'node:path';
import { LocalCheckpointWriter } from '../../storage/checkpoint/checkpoint-link.ts';
import { FileJournalSource } from '../../journal/file/file-journal-source.ts';
import type { JournalLog } from '../../journal/file/journal-options.ts';
import { continueAbove } from '../../journal/file/continue-above.ts';
import { recoverJournal, type RecoveredJournal } from '../../journal/file/recovery.ts';
import { revision, shardId, type Revision } from '../../protocol/ids.ts';
import { ownerOf } from '../../protocol/partition.ts';
import { oldestNeeds } from '../../protocol/readers.ts';
import { openShard } from '../../shard-worker/open-shard.ts';
import { refuseUnlessRestored } from '../../backup/restore/restore-marks.ts';
import { LmdbStore, storeFormat, type Layout } from '../../storage/lmdb/lmdb-store.ts';
import { clearOtherGenerations, repartition } from '../../storage/lmdb/repartition.ts';
import { realDisk } from '../../shared/disk.ts';
import type { Config } from '../../front-end/config-schema.ts';

export interface OpenedDataDirectory {
  readonly journalDirectory: string;
  readonly recovered: RecoveredJournal;
}

export class StoreMismatch extends Error {
  override name = 'StoreMismatch';
}

export function journalDirectoryOf(dataDirectory: string): string {
  return path.join(dataDirectory, 'journal');
}

/** @throws JournalCorruption, StoreMismatch, NotRestored, NewerData, and errors of the disk: then the server must not serve. */
export async function openDataDirectory(config: Config, log: JournalLog): Promise<OpenedDataDirectory> {
  refuseUnlessRestored(config.data_dir);
  const journalDirectory = journalDirectoryOf(config.data_dir);
  const store = new LmdbStore(config.data_dir);
  try {
    const layout = store.layout();
    const recovered = await recover(config, layout === undefined ? revision(0) : lowestWatermark(store, layout), log);
    const logId = recovered.logId.toString(16).padStart(16, '0');
    if (layout === undefined) {
      if (recovered.oldest > 1) {
        throw new StoreMismatch(
          `The store in ${config.data_dir}/store is empty, but the journal begins at revision ${recovered.oldest}: ` +
            'everything before it is missing. Put the store back, or start with an empty data directory.',
        );
      }
      store.writeLayout({ format: storeFormat, ...oldestNeeds, logId, shards: config.shards, generation: 1 });
      return { journalDirectory, recovered };
    }
    if (layout.logId !== logId) {
      throw new StoreMismatch(
        `The store belongs to the journal ${layout.logId}, but the directory holds the journal ${logId}: ` +
          'parts of two data directories were mixed. Put parts that belong together back.',
      );
    }
    clearOtherGenerations(store);
    if (layout.shards !== config.shards) await changeShards({ config, store, layout, recovered, log });
    return { journalDirectory, recovered };
  } finally {
    await store.close();
  }
}

async function recover(config: Config, from: Revision, log: JournalLog): Promise<RecoveredJournal> {
  const directory = journalDirectoryOf(config.data_dir);
  const segmentBytes = config.journal.segment_bytes;
  const options = { from, segmentBytes, randomBytes: (count: number) => randomBytes(count), log, yieldTurn };
  const recovered = await recoverJournal(realDisk, directory, options);
  const above = revision(config.machines.revision_above);
  if (!(await continueAbove(realDisk, directory, recovered, { above, segmentBytes }))) return recovered;
  log('info', `Revisions go on above ${above} (machines.revision_above)`, { last: recovered.last, above });
  return recoverJournal(realDisk, directory, options);
}

interface ChangeShardsOptions {
  readonly config: Config;
  readonly store: LmdbStore;
  readonly layout: Layout;
  readonly recovered: RecoveredJournal;
  readonly log: JournalLog;
}

/** Checkpoints the old shards up to the end of the journal, then moves their entries to the new ones. */
async function changeShards({ config, store, layout, recovered, log }: ChangeShardsOptions): Promise<void> {
  log('info', `Repartitioning the store from ${layout.shards} to ${config.shards} shards`);
  const source = new FileJournalSource(realDisk, journalDirectoryOf(config.data_dir));
  for (let index = 0; index < layout.shards; index += 1) {
    const shard = shardId(index);
    const { checkpointer } = await openShard({
      shard,
      shards: layout.shards,
      limits: config.limits,
      checkpoint: store.shard(shard),
      writer: new LocalCheckpointWriter((id) => store.shard(id)),
      source,
      last: recovered.last,
      yieldTurn,
    });
    if ((await checkpointer.start(recovered.last)) === 'no-space') {
      throw new Error(
        'There is no disk space to repartition the store; free some, or start with the former number of shards.',
      );
    }
  }
  let shown = 0;
  await repartition(store, {
    shards: config.shards,
    ownerOf,
    yieldTurn,
    onProgress: (done, total) => {
      if (done < total && done - shown < 100_000) return;
      shown = done;
      log('info', `Repartitioning: ${done} of ${total} entries`, { done, total });
    },
  });
}

function lowestWatermark(store: LmdbStore, { shards }: Layout): Revision {
  const watermarks = Array.from({ length: shards }, (_, index) => store.shard(shardId(index)).watermark());
  return revision(Math.min(...watermarks));
}
