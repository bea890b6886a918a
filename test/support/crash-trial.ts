/** A test with a seed and a data directory that is kept when it fails, with the one command that repeats it. */
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CrashServer } from './crash-server.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';

export interface Trial {
  readonly t: TestContext;
  readonly server: CrashServer;
  readonly seed: number;
  readonly random: SeededRandom;
}

/**
 * `DRAGONLOCK_CRASH_SEED` chooses the seed. It decides what is sent and when the process is killed; which of it the
 * server has got to by then is up to the machine, so that a failure may need a few runs to show again.
 */
export function trial(name: string, file: string, run: (trial: Trial) => Promise<void>, timeoutMs = 300_000): void {
  test(name, { timeout: timeoutMs }, async (t) => {
    const given = process.env['DRAGONLOCK_CRASH_SEED'];
    const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    const server = new CrashServer(path.basename(fileURLToPath(file), '.test.ts'));
    let failed = true;
    try {
      await run({ t, server, seed, random: seededRandom(seed) });
      failed = false;
    } finally {
      if (failed) {
        const relative = path.relative(process.cwd(), fileURLToPath(file));
        console.error(
          `seed ${seed}; kept for a look: ${server.directory}\nagain: DRAGONLOCK_CRASH_SEED=${seed} ` +
            `node --test --test-name-pattern=${JSON.stringify(name)} ${relative}\n${server.said()}`,
        );
      }
      await server.dispose(failed);
    }
  });
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Something that runs meanwhile: if it fails, that shows when it is awaited, and not before. */
export function meanwhile<T>(running: Promise<T>): Promise<T> {
  running.catch(() => undefined);
  return running;
}
