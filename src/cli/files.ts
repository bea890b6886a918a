/** Reads files and stdin. */
import fs from 'node:fs';
import { UsageError } from './exit-codes.ts';

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
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

export function readToken(file: string): string {
  const token = readInput(file).trim();
  if (token === '') throw new UsageError(`${file}: expected a token, got nothing`);
  return token;
}

export function fileExists(file: URL): boolean {
  return fs.existsSync(file);
}
