/**
 * Every disk call of some workloads is a crash point, each with several samples of what the power cut keeps. After each
 * follows a recovery that is cut short too. sweep.ts does the same for any number of workloads.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const script = new URL('sweep.ts', import.meta.url).pathname;

test('a crash at any disk call loses nothing that was answered, and the next start succeeds', async () => {
  const parts = await Promise.all([sweep('1..1'), sweep('2..2')]);
  const points = parts.reduce((sum, part) => sum + part.points, 0);
  assert.ok(points > 60, `${points} crash points`);
});

async function sweep(seeds: string): Promise<{ points: number }> {
  const { stdout } = await run(process.execPath, [script, '--seeds', seeds, '--json']).catch(
    (error: Error & { stderr?: string }) => {
      throw new Error(error.stderr ?? error.message, { cause: error });
    },
  );
  return JSON.parse(stdout) as { points: number };
}
