/**
 * Tries what a backup needs of its storage: put, put again, get, list and delete of one small object, which lies outside of
 * what a repository has. It also looks when the last copy was made.
 */
import type { BackupSettings } from '../../backup/backup-settings.ts';
import { openStorage } from '../../backup/storage/open-storage.ts';
import { s3SettingsOf } from '../../backup/storage/s3-credentials.ts';
import { StorageError, type BackupStorage } from '../../backup/storage/storage.ts';
import { startTimer, wallMs } from '../../shared/clock.ts';

export interface BackupProbe {
  /** Where it is, without any secret. */
  readonly name: string;
  /** What does not work, and what to do. */
  readonly problem?: string;
  /** A second put of the same object is refused. */
  readonly conditional: boolean;
  /** By how much the storage's clock is ahead. */
  readonly aheadMs?: number;
  /** When the manifest of the last copy was made. */
  readonly copyAt?: number;
}

const patienceMs = 10_000;

export async function probeBackup(settings: BackupSettings): Promise<BackupProbe> {
  const late = Promise.withResolvers<BackupProbe>();
  const silent = { name: settings.url, conditional: false, problem: `no answer within ${patienceMs / 1000} s` };
  const cancel = startTimer(patienceMs, () => late.resolve(silent));
  try {
    return await Promise.race([probe(settings), late.promise]);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { name: settings.url, conditional: false, problem: `${error.message} (${error.fault})` };
  } finally {
    cancel();
  }
}

async function probe({ url, s3, prune }: BackupSettings): Promise<BackupProbe> {
  const storage = await openStorage(url, s3SettingsOf(s3));
  try {
    return await tried(storage, prune);
  } finally {
    storage.close();
  }
}

async function tried(storage: BackupStorage, prune: boolean): Promise<BackupProbe> {
  const { name } = storage;
  const key = `probes/doctor-${wallMs()}-${process.pid}`;
  const bytes = Buffer.from('dragonlock doctor\n');
  await storage.put(key, bytes);
  const conditional = (await storage.put(key, bytes)) === 'exists';
  const got = await storage.get(key);
  const listed = await storage.list('probes/');
  // Whoever may not delete lets the storage do it.
  if (prune) await storage.delete(key);
  const problem =
    got?.equals(bytes) !== true
      ? 'what was put is not what is read back'
      : listed.some((one) => one.key === key)
        ? undefined
        : 'what was put is not listed';
  const copies = (await storage.list('copy/')).filter((one) => one.key.endsWith('/manifest.json'));
  const now = storage.now();
  return {
    name,
    conditional,
    ...(problem !== undefined && { problem }),
    ...(now !== undefined && { aheadMs: now - wallMs() }),
    ...(copies.length > 0 && { copyAt: Math.max(...copies.map(({ madeAt }) => madeAt)) }),
  };
}
