/** Opens what a server left behind as its next start would, and compares each shard's counts with its content. */
import { setImmediate as yieldTurn } from 'node:timers/promises';
import fs from 'node:fs';
import path from 'node:path';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { recoverJournal } from '../../src/journal/file/recovery.ts';
import { revision, shardId } from '../../src/protocol/ids.ts';
import { realDisk } from '../../src/shared/disk.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { openShard } from '../../src/shard-worker/open-shard.ts';
import { LocalCheckpointWriter } from '../../src/storage/checkpoint/checkpoint-link.ts';
import { LmdbStore } from '../../src/storage/lmdb/lmdb-store.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { assertCounts } from './assert-counts.ts';

/** Works on a copy. @returns how many entries it has counted */
export async function recountDataDirectory(directory: string): Promise<number> {
  if (!fs.existsSync(path.join(directory, 'store', 'data.mdb'))) return 0;
  const copy = `${directory}-recounted`;
  fs.cpSync(directory, copy, { recursive: true });
  const store = new LmdbStore(copy);
  try {
    return await recount(store, path.join(copy, 'journal'));
  } finally {
    await store.close();
    fs.rmSync(copy, { recursive: true });
  }
}

async function recount(store: LmdbStore, journalDirectory: string): Promise<number> {
  const layout = store.layout();
  if (layout === undefined) return 0;
  const levels = Array.from({ length: layout.shards }, (_, index) => store.shard(shardId(index)));
  const recovered = await recoverJournal(realDisk, journalDirectory, {
    from: revision(Math.min(...levels.map((level) => level.watermark()))),
    randomBytes: (count) => Buffer.alloc(count, 1),
    log: () => {},
  });
  let entries = 0;
  for (const [index, checkpoint] of levels.entries()) {
    assertCounts(new ShardStore(checkpoint), `the checkpoint of shard ${index}`);
    const opened = await openShard({
      shard: shardId(index),
      shards: layout.shards,
      limits: defaultLimits,
      checkpoint,
      writer: new LocalCheckpointWriter((id) => store.shard(id)),
      source: new FileJournalSource(realDisk, journalDirectory),
      last: recovered.last,
      yieldTurn,
    });
    assertCounts(opened.store, `shard ${index} after its replay`);
    for (const count of opened.store.counts()) entries += count.entries;
  }
  return entries;
}
