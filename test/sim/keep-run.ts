/** What a run that has failed leaves for a look: its disk, its history, and every event up to the end. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { World, type WorldOptions } from './world.ts';

/** @returns the directory */
export async function keepRun(options: WorldOptions, failed: World): Promise<string> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `dragonlock-sim-${options.seed}-`));
  for (const [file, bytes] of failed.disk.snapshot()) {
    const copy = path.join(directory, file);
    fs.mkdirSync(path.dirname(copy), { recursive: true });
    fs.writeFileSync(copy, bytes);
  }
  const { operations, restarts } = failed.clients;
  fs.writeFileSync(path.join(directory, 'history.json'), JSON.stringify({ operations, restarts }, undefined, 1));
  // The same once more, now with every event told: a seed is a run.
  const lines: string[] = [];
  await new World({ ...options, print: (line) => void lines.push(line) }).run().catch(() => undefined);
  fs.writeFileSync(path.join(directory, 'trace.txt'), `${lines.join('\n')}\n`);
  return directory;
}
