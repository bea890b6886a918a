/** Reads files and stdin, and writes to descriptors. */
import { UsageError } from './exit-codes.ts';

// An import would load all that the module offers, promises and streams too.
const fs = process.getBuiltinModule('node:fs');

/** Reads a file, or stdin for `-`. @throws UsageError */
export function readInput(file: string): string {
  const name = file === '-' ? 'stdin' : file;
  let bytes: Buffer;
  try {
    bytes = file === '-' ? readStdin() : fs.readFileSync(file);
  } catch (error) {
    throw new UsageError(`Cannot read ${name}: ${(error as Error).message}`);
  }
  const text = bytes.toString('utf8');
  if (!Buffer.from(text).equals(bytes)) {
    throw new UsageError(`${name}: expected UTF-8 text, got other bytes (encode them, e.g. with base64)`);
  }
  return text;
}

/** Reads stdin to its end. Another process may have left it non-blocking: then it polls while there is no input. */
function readStdin(): Buffer {
  const chunks: Buffer[] = [];
  const chunk = Buffer.alloc(64 * 1024);
  for (;;) {
    try {
      const bytes = fs.readSync(0, chunk);
      if (bytes === 0) return Buffer.concat(chunks);
      chunks.push(Buffer.from(chunk.subarray(0, bytes)));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EOF') return Buffer.concat(chunks);
      if (code !== 'EAGAIN') throw error;
      sleepShortly();
    }
  }
}

/**
 * Writes all of the text before it returns, so that an exit afterwards loses nothing. Another process may have left
 * the descriptor non-blocking: then it polls while the pipe is full.
 */
export function writeAll(descriptor: number, text: string): void {
  let bytes: Buffer = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs.writeSync(descriptor, bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      sleepShortly();
    }
  }
}

function sleepShortly(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

export function readToken(file: string): string {
  const token = readInput(file).trim();
  if (token === '') throw new UsageError(`${file}: expected a token, got nothing`);
  return token;
}

/** Reads a file of /proc. @returns undefined if there is none, or it is not for us */
export function readProc(file: string): Buffer | undefined {
  try {
    return fs.readFileSync(`/proc/${file}`);
  } catch {
    return undefined;
  }
}

/** The descriptors that are open, or undefined where the system does not tell. */
export function openDescriptors(): ReadonlySet<number> | undefined {
  try {
    return new Set(fs.readdirSync('/proc/self/fd').map(Number));
  } catch {
    return undefined;
  }
}

export function fileExists(file: URL | string): boolean {
  return fs.existsSync(file);
}
