/** `backup` of config.yml. */
import { parseStorageUrl } from '../../backup/storage/storage-url.ts';
import { configDefaults, type Config, type ConfigFile } from '../../front-end/config-schema.ts';
import type { ConfigFileReader } from './config-file.ts';

export function backupOf(file: NonNullable<ConfigFile['backup']>): Config['backup'] {
  const { s3, ...rest } = file;
  return { ...configDefaults.backup, ...rest, s3: { ...configDefaults.backup.s3, ...s3 } };
}

/** Reports what is wrong with the place of the backups. */
export function checkBackup(
  { url, keep_moments_days, keep_copies_days, s3 }: Config['backup'],
  file: ConfigFileReader,
): void {
  if (url === '') return;
  const place = parseStorageUrl(url);
  if (typeof place === 'string') file.problemAt(['backup', 'url'], place);
  if (keep_copies_days < keep_moments_days)
    file.problemAt(
      ['backup', 'keep_copies_days'],
      `expected at least backup.keep_moments_days (${keep_moments_days}), got ${keep_copies_days}`,
    );
  if ((s3.access_key_id === '') !== (s3.secret_access_key_file === ''))
    file.problemAt(['backup', 's3'], 'expected both access_key_id and secret_access_key_file, or none, got one');
}
