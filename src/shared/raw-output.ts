/** Standard output and error without streams: synchronous writes that never throw, for what must be said at the end. */
import fs from 'node:fs';

/** How long a text for people may block before it is given up. */
const tries = 100;
const tryMs = 10;

/** Writes a text, or as much of it as the file takes within a second. Never throws. */
export function writeText(fd: 1 | 2, text: string): void {
  let left = Buffer.from(text);
  for (let tried = 0; left.length > 0 && tried < tries; ) {
    try {
      left = left.subarray(fs.writeSync(fd, left));
    } catch (error) {
      if (!isBusy(error)) return;
      tried += 1;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, tryMs);
    }
  }
}

/**
 * Opens a pipe or terminal at `fd` once more, so that writing never blocks. Anything else is used as it is: files do
 * not block, and sockets cannot be opened.
 */
export function openForLog(fd: 1 | 2): { write(bytes: Buffer): number } {
  const own = openAgain(fd);
  return {
    write(bytes) {
      try {
        return fs.writeSync(own, bytes);
      } catch (error) {
        if (isBusy(error)) return 0;
        throw error;
      }
    },
  };
}

function openAgain(fd: number): number {
  try {
    const kind = fs.fstatSync(fd);
    if (!kind.isFIFO() && !kind.isCharacterDevice()) return fd;
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
    return fs.openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return fd;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
