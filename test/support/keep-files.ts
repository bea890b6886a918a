/** Writes the files of a failure into a directory of their own, for its diagnosis. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** @returns the directory */
export function keepFiles(
  name: string,
  files: Iterable<readonly [file: string, content: Uint8Array | string]>,
): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `dragonlock-${name}-`));
  for (const [file, content] of files) {
    const place = path.join(directory, file);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    fs.writeFileSync(place, content);
  }
  return directory;
}
