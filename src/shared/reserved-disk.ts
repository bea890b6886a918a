/**
 * The disk for the one who writes the journal. Clients may use up the files that a process can open (EMFILE), or the
 * system (ENFILE), and without a file for the next segment no write is acknowledged. So this disk holds a few files
 * open, gives one up when opening fails, and opens it again later. It also keeps its directory open, so that syncing
 * that never needs a file.
 *
 * The freed place may go to another thread. Then the call throws, and nothing has changed: the caller tries again.
 */
import fs from 'node:fs';
import { realDisk, type Disk } from './disk.ts';

const reserveSize = 4;

/** @param directory the one that is synced often; it exists */
export function diskWithReserve(directory: string): Disk {
  const kept = fs.openSync(directory, 'r');
  const reserve: number[] = [];
  const fill = (): void => {
    try {
      while (reserve.length < reserveSize) reserve.push(fs.openSync('/dev/null', 'r'));
    } catch (error) {
      if (!isOutOfFiles(error)) throw error;
    }
  };
  const giveUpOne = (error: unknown): void => {
    const fd = isOutOfFiles(error) ? reserve.pop() : undefined;
    if (fd === undefined) throw error;
    fs.closeSync(fd);
  };
  fill();
  return {
    ...realDisk,
    open(file, mode) {
      for (;;) {
        try {
          const opened = realDisk.open(file, mode);
          fill();
          return opened;
        } catch (error) {
          giveUpOne(error);
        }
      }
    },
    syncDirectory: (path) => (path === directory ? fs.fsyncSync(kept) : realDisk.syncDirectory(path)),
    async writeZeros(file, bytes) {
      for (;;) {
        try {
          await realDisk.writeZeros(file, bytes);
          return fill();
        } catch (error) {
          giveUpOne(error);
        }
      }
    },
  };
}

/** Whether the process, or the system, may not open more files, which passes. */
export function isOutOfFiles(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'EMFILE' || code === 'ENFILE';
}
