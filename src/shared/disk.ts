/**
 * The few file operations that durability depends on, as an interface. Production uses the real file system; tests and
 * the simulator use one that loses, tears and refuses writes. Calls are synchronous, because the calling thread has
 * nothing better to do than to wait for the disk. Only the preparation of a segment runs in the background.
 *
 * Every method throws the error of the operating system (`error.code`: ENOSPC, EIO, …). No caller retries an fsync.
 */
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { processMs } from './clock.ts';

export interface Disk {
  /** File names (not paths) in the directory, sorted. */
  list(directory: string): string[];
  mkdir(directory: string): void;
  /** `create` fails when the file exists; `read` opens read-only. */
  open(file: string, mode: 'create' | 'write' | 'read'): DiskFile;
  rename(from: string, to: string): void;
  unlink(file: string): void;
  /** Makes renames, creations and removals in the directory durable. */
  syncDirectory(directory: string): void;
  /**
   * Fills the file with `bytes` zeros without blocking. The content is durable, the directory entry is not. An existing
   * file of that size is overwritten in place, which takes no space.
   */
  writeZeros(file: string, bytes: number): Promise<void>;
}

export interface DiskFile {
  /** Bytes in the file. */
  size(): number;
  /** Reads up to `length` bytes at `position`; fewer only at the end of the file. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): number;
  /** Writes all of it, however many calls that takes. */
  write(buffer: Uint8Array, offset: number, length: number, position: number): void;
  datasync(): void;
  sync(): void;
  close(): void;
}

const zeroBytes = 1024 * 1024;
const zeroChunksMax = 16;
const zeroStepMs = 10;

export const realDisk: Disk = {
  list: (directory) => fs.readdirSync(directory).toSorted(),
  mkdir: (directory) => {
    fs.mkdirSync(directory, { recursive: true });
  },
  open(file, mode) {
    return new RealFile(fs.openSync(file, mode === 'create' ? 'wx+' : mode === 'write' ? 'r+' : 'r'));
  },
  rename: (from, to) => fs.renameSync(from, to),
  unlink: (file) => fs.unlinkSync(file),
  syncDirectory(directory) {
    const fd = fs.openSync(directory, 'r');
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  },
  async writeZeros(file, bytes) {
    const handle = await fsp.open(file, fs.constants.O_CREAT | fs.constants.O_RDWR | fs.constants.O_DSYNC);
    try {
      const zeros = Buffer.alloc(Math.min(zeroBytes, bytes));
      // Small writes, so that a concurrent commit never waits for the whole file. Larger ones on a fast disk, because
      // each write also waits for a turn of this thread.
      let chunks = 1;
      for (let at = 0; at < bytes; ) {
        const started = processMs();
        const whole = Math.min(chunks, Math.floor((bytes - at) / zeros.length));
        const list = whole > 0 ? Array.from({ length: whole }, () => zeros) : [zeros.subarray(0, bytes - at)];
        at += (await handle.writev(list, at)).bytesWritten;
        const quick = processMs() - started < zeroStepMs;
        chunks = quick ? Math.min(chunks * 2, zeroChunksMax) : Math.max(1, chunks >> 1);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

class RealFile implements DiskFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  size(): number {
    return fs.fstatSync(this.#fd).size;
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const bytes = fs.readSync(this.#fd, buffer, offset + done, length - done, position + done);
      if (bytes === 0) break;
      done += bytes;
    }
    return done;
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    for (let done = 0; done < length; ) {
      done += fs.writeSync(this.#fd, buffer, offset + done, length - done, position + done);
    }
  }

  datasync(): void {
    fs.fdatasyncSync(this.#fd);
  }

  sync(): void {
    fs.fsyncSync(this.#fd);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

export function joinPath(directory: string, name: string): string {
  return path.join(directory, name);
}
