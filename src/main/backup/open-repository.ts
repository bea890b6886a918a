/** Opens the repository that a command names, and says in one line why it cannot. */
import fs from 'node:fs';
import os from 'node:os';
import { backupDefaults, type BackupSettings } from '../../backup/backup-settings.ts';
import { identitiesIn, NoIdentity, payloadCodec } from '../../backup/format/payload.ts';
import { isDamage, NoRepository, Repository } from '../../backup/repository/repository.ts';
import { JournalCorruption } from '../../journal/file/journal-corruption.ts';
import { NotInPlace } from '../../backup/restore/in-place.ts';
import { DamagedMark, NotEmpty, NotRestored } from '../../backup/restore/restore-marks.ts';
import { NoSuchMoment } from '../../backup/restore/restore-plan.ts';
import { NoSpaceToRestore } from '../../backup/restore/restore.ts';
import { openStorage } from '../../backup/storage/open-storage.ts';
import { s3SettingsOf } from '../../backup/storage/s3-credentials.ts';
import { StorageError } from '../../backup/storage/storage.ts';
import { parseStorageUrl } from '../../backup/storage/storage-url.ts';
import { NewerData } from '../../shared/newer-data.ts';
import { ConfigError, loadConfig } from '../config/config.ts';
import { DataDirectoryInUse } from '../data-directory/data-directory-lock.ts';
import { NotBackedUp } from './stopped-server.ts';

export interface StorageOptions {
  /** Absent: the one of the configuration. */
  readonly url?: string | undefined;
  readonly config?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly pathStyle?: boolean | undefined;
  /** A file with secret keys of age. */
  readonly identity?: string | undefined;
}

/** The command was called wrongly. */
export class BackupUsage extends Error {
  override name = 'BackupUsage';
}

/** @throws BackupUsage, ConfigError, NoRepository, StorageError, ObjectDamaged */
export async function openRepository(options: StorageOptions): Promise<Repository> {
  const { url, s3 } = backupSettingsOf(options);
  const identities = options.identity === undefined ? [] : readIdentities(options.identity);
  return Repository.open(await openStorage(url, s3SettingsOf(s3)), await payloadCodec({ identities }));
}

/** `backup:` of the configuration, and over it what the command line says. @throws BackupUsage, ConfigError */
export function backupSettingsOf(options: StorageOptions): BackupSettings {
  const configured = configOf(options);
  const url = options.url ?? configured.url;
  if (url === '') throw new BackupUsage('Expected the URL of a repository, or --config FILE with backup.url.');
  const place = parseStorageUrl(url);
  if (typeof place === 'string') throw new BackupUsage(`${url.replace(/\/\/[^/@]*@/, '//…@')}: ${place}.`);
  const s3 = {
    ...configured.s3,
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.region !== undefined && { region: options.region }),
    ...(options.pathStyle === true && { path_style: true }),
  };
  return { ...configured, url, s3 };
}

function configOf({ config }: StorageOptions): BackupSettings {
  if (config === undefined) return backupDefaults;
  return loadConfig({ argv: ['--config', config], env: process.env, cores: os.availableParallelism() }).backup;
}

function readIdentities(file: string): string[] {
  let found: string[];
  try {
    found = identitiesIn(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new BackupUsage(`The identity cannot be read: ${(error as Error).message}`);
  }
  if (found.length === 0 || !found.every((line) => line.startsWith('AGE-SECRET-KEY-1')))
    throw new BackupUsage(`${file}: expected secret keys of age (AGE-SECRET-KEY-1…), one a line.`);
  return found;
}

export interface BackupFailure {
  readonly kind: 'usage' | 'unreachable' | 'damaged' | 'negative';
  readonly message: string;
}

/** @returns undefined for a bug */
export function backupFailureOf(error: unknown): BackupFailure | undefined {
  if (!(error instanceof Error)) return undefined;
  const { message } = error;
  if ([BackupUsage, NotEmpty, NotRestored, DamagedMark, ConfigError, NoIdentity].some((kind) => error instanceof kind))
    return { kind: 'usage', message };
  if (error instanceof StorageError) return { kind: 'unreachable', message };
  if (isDamage(error) || error instanceof JournalCorruption) return { kind: 'damaged', message };
  const negative = [
    NoSuchMoment,
    NoRepository,
    NewerData,
    NoSpaceToRestore,
    NotInPlace,
    NotBackedUp,
    DataDirectoryInUse,
  ];
  if (negative.some((kind) => error instanceof kind)) return { kind: 'negative', message };
  return undefined;
}
