/**
 * One data directory, one process. The kernel holds the lock on an open file: it ends with the process, however that
 * ends, so no stale lock is ever left. The file holds the process id, for the message of a second server.
 */
import fs from 'node:fs';
import path from 'node:path';
import { tryLock } from 'fs-native-extensions';

export class DataDirectoryInUse extends Error {
  override name = 'DataDirectoryInUse';
}

/** Creates the directory if it is missing. @throws DataDirectoryInUse, and errors of the file system */
export function lockDataDirectory(directory: string): { release(): void } {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = path.join(directory, 'lock');
  const fd = fs.openSync(file, 'a+', 0o600);
  lockFile(fd, directory);
  fs.ftruncateSync(fd);
  fs.writeSync(fd, `pid ${process.pid}\n`);
  return { release: () => fs.closeSync(fd) };
}

/** Locks it for one who only reads, and changes not even the lock's file. @throws as `lockDataDirectory` */
export function lockDataDirectoryToRead(directory: string): { release(): void } {
  const file = path.join(directory, 'lock');
  // Without the file no server has ever used the directory, or somebody has copied it without.
  if (!fs.existsSync(file)) return { release: () => {} };
  const fd = fs.openSync(file, 'r+');
  lockFile(fd, directory);
  return { release: () => fs.closeSync(fd) };
}

function lockFile(fd: number, directory: string): void {
  if (tryLock(fd)) return;
  const holder = fs.readFileSync(fd, 'utf8').trim();
  fs.closeSync(fd);
  throw new DataDirectoryInUse(
    `The data directory ${directory} is in use by another server${holder === '' ? '' : ` (${holder})`}. ` +
      'Stop that one, or give this one a data directory of its own (--data-dir).',
  );
}
