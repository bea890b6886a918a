/**
 * One data directory, one process. The kernel holds the lock on an open file: it ends with the process, however that
 * ends, so no stale lock is ever left. The file holds the process id, for the message of a second server.
 */
import fs from 'node:fs';
import path from 'node:path';
import { tryLock } from 'fs-native-extensions';
import { realDisk, type Disk } from '../../shared/disk.ts';

export class DataDirectoryInUse extends Error {
  override name = 'DataDirectoryInUse';
}

/** Creates the directory if it is missing. @throws DataDirectoryInUse, and errors of the file system */
export function lockDataDirectory(
  directory: string,
  disk: Pick<Disk, 'syncDirectory'> = realDisk,
): { release(): void } {
  makeDirectories(path.resolve(directory));
  const fd = fs.openSync(path.join(directory, 'lock'), 'a+', 0o600);
  lockFile(fd, directory);
  // Whoever has written an id into the file has done this before.
  if (fs.fstatSync(fd).size === 0) syncPathTo(path.resolve(directory), disk);
  fs.ftruncateSync(fd);
  fs.writeSync(fd, `pid ${process.pid}\n`);
  return { release: () => fs.closeSync(fd) };
}

/** One level at a time: under `/proc` Node's recursive `mkdir` would never return. */
function makeDirectories(directory: string): void {
  if (fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = path.dirname(directory);
  if (parent !== directory) makeDirectories(parent);
  try {
    fs.mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it meanwhile.
    if (fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}

/**
 * Makes the names that lead to a directory durable when it is used for the first time, whoever made them: a power cut
 * must not take a whole data directory away. A parent that this user cannot read is somebody else's, and is left out.
 */
function syncPathTo(directory: string, disk: Pick<Disk, 'syncDirectory'>): void {
  for (let at = directory; at !== path.dirname(at); at = path.dirname(at)) {
    try {
      disk.syncDirectory(path.dirname(at));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EINVAL' && code !== 'EROFS') throw error;
    }
  }
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
