import { FileStorage } from './file-storage.ts';
import { S3Storage, type S3Settings } from './s3-storage.ts';
import { StorageError, type BackupStorage } from './storage.ts';
import { parseStorageUrl } from './storage-url.ts';

/** @throws StorageError */
export async function openStorage(url: string, s3: S3Settings = {}): Promise<BackupStorage> {
  const place = parseStorageUrl(url);
  if (typeof place === 'string') throw new StorageError('other', `The storage: ${place}, got ${JSON.stringify(url)}`);
  return place.kind === 'file' ? new FileStorage(place.directory) : S3Storage.open(place, s3);
}
