import { readSecretFile } from '../../shared/secret-file.ts';
import type { BackupS3Settings } from '../backup-settings.ts';
import type { S3Settings } from './s3-storage.ts';
import { StorageError } from './storage.ts';

/** Empty texts are left out. The secret is read again before each connection, so that it can be replaced. */
export function s3SettingsOf(settings: BackupS3Settings): S3Settings {
  const { path_style, secret_access_key_file: file, sse, ...texts } = settings;
  const given = Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ''));
  return {
    ...given,
    ...(path_style && { path_style }),
    ...(sse !== '' && { sse }),
    ...(file !== '' && { secretAccessKey: () => readSecret(file) }),
  };
}

/** Reads a secret of one line. @throws StorageError */
export function readSecret(file: string): string {
  try {
    return readSecretFile(file);
  } catch (error) {
    throw new StorageError('denied', `The secret in ${file} cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
