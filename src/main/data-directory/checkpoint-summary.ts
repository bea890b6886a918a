/**
 * What the checkpoints of a stopped server hold, read without a change to any of its files. LMDB has no checksums and
 * reads its file through memory: a damaged one may end the process. So a process of its own reads it.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bootKey } from '../../protocol/epochs.ts';
import { kinds } from '../../protocol/record.ts';
import { serverAccount, shardId } from '../../protocol/ids.ts';
import { NewerData } from '../../shared/newer-data.ts';
import { threadFile } from '../../shared/thread-file.ts';
import { LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { storageKey } from '../../storage/storage-key.ts';

export interface CheckpointSummary {
  /** In hex. */
  readonly logId: string;
  /** By shard. */
  readonly watermarks: readonly number[];
  readonly epoch: number;
}

/** The store cannot be read: its content is damaged. */
export class StoreDamaged extends Error {
  override name = 'StoreDamaged';
}

const processFile = fileURLToPath(threadFile(import.meta.url, 'checkpoint-summary-process'));
const timeoutMs = 60_000;

/** @returns undefined: there is no store, or nothing in it yet. @throws StoreDamaged, NewerData, errors of the system */
export function readCheckpointSummary(dataDirectory: string): CheckpointSummary | undefined {
  if (!LmdbStore.exists(dataDirectory)) return undefined;
  const child = spawnSync(process.execPath, [processFile, dataDirectory], { encoding: 'utf8', timeout: timeoutMs });
  if (child.error !== undefined) throw child.error;
  if (child.status === 0) {
    const { summary } = JSON.parse(child.stdout) as { summary?: CheckpointSummary };
    return summary;
  }
  const said =
    child.stderr
      .trim()
      .split('\n')
      .findLast((line) => line !== '') ?? '';
  if (child.status === exitNewer) throw new NewerData(said);
  if (child.status === exitDamaged) throw new StoreDamaged(said);
  if (child.signal !== null) throw new StoreDamaged(`reading it ends the process with ${child.signal}`);
  throw new Error(`The store in ${dataDirectory}/store cannot be read: ${said}`);
}

/** Of the process that reads. */
export const exitDamaged = 3;
export const exitNewer = 4;

/** Reads it in this process. */
export async function summarizeCheckpoints(dataDirectory: string): Promise<CheckpointSummary | undefined> {
  const store = new LmdbStore(dataDirectory, { readOnly: true });
  try {
    const layout = store.layout();
    if (layout === undefined) return undefined;
    const shards = Array.from({ length: layout.shards }, (_, index) => store.shard(shardId(index)));
    const epochs = shards.map((shard) => Number(shard.get(storageKey(kinds.boot, serverAccount, bootKey))?.value ?? 0));
    return {
      logId: layout.logId,
      watermarks: shards.map((shard) => shard.watermark()),
      epoch: Math.max(...epochs),
    };
  } finally {
    await store.close();
  }
}
