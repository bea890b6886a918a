/** Keeps of a failed run its disk, its history, and every event up to the end. */
import { keepFiles } from '../support/keep-files.ts';
import { World, type WorldOptions } from './world.ts';

/** @returns the directory */
export async function keepRun(options: WorldOptions, failed: World): Promise<string> {
  const { operations, restarts } = failed.clients;
  // Runs the same seed again, now with every event printed.
  const lines: string[] = [];
  await new World({ ...options, print: (line) => void lines.push(line) }).run().catch(() => undefined);
  return keepFiles(`sim-${options.seed}`, [
    ...failed.disk.snapshot(),
    ['history.json', JSON.stringify({ operations, restarts }, undefined, 1)],
    ['trace.txt', `${lines.join('\n')}\n`],
  ]);
}
