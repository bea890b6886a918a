/**
 * A test with a seed and a data directory. If it fails, the directory stays, with the one command that repeats the
 * test. Even without the output everything is in that directory: `failure.txt`, `server.log`, what the test `keep`s.
 * At its end the counts of what the server left behind are compared with the content.
 */
import fs from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CrashServer } from './crash-server.ts';
import { recountDataDirectory } from './recount-data-directory.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';

export interface Trial {
  readonly t: TestContext;
  readonly server: CrashServer;
  readonly seed: number;
  readonly random: SeededRandom;
  /** Names a file that is written beside the data directory when the test fails. */
  readonly keep: (name: string, text: () => string) => void;
}

/**
 * `DRAGONLOCK_CRASH_SEED` chooses the seed. It decides what is sent and when the process is killed. How far the server
 * gets by then depends on the machine, so that a failure may need a few runs to show again.
 */
export function trial(
  name: string,
  file: string,
  run: (trial: Trial) => Promise<void>,
  /** `skip`: why it cannot be run here. */
  { timeoutMs = 900_000, skip = false }: { timeoutMs?: number; skip?: string | false } = {},
): void {
  test(name, { timeout: timeoutMs, skip }, async (t) => {
    const given = process.env['DRAGONLOCK_CRASH_SEED'];
    const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    const server = new CrashServer(path.basename(fileURLToPath(file), '.test.ts'));
    const kept = new Map<string, () => string>();
    const keep: Trial['keep'] = (name, text) => void kept.set(name, text);
    let failed = true;
    try {
      await run({ t, server, seed, random: seededRandom(seed), keep });
      await server.kill();
      await recountDataDirectory(server.dataDir);
      failed = false;
    } catch (error) {
      const relative = path.relative(process.cwd(), fileURLToPath(file));
      const again =
        `seed ${seed}; kept for a look: ${server.directory}\nagain: ${settings(seed)} ` +
        `node --test --test-name-pattern=${JSON.stringify(escaped(name))} ${relative}\n`;
      console.error(`${again}${server.said()}`);
      const what = error instanceof Error ? error.stack : String(error);
      fs.writeFileSync(path.join(server.directory, 'failure.txt'), `${name}\n${again}\n${what}\n`);
      fs.writeFileSync(path.join(server.directory, 'server.log'), server.saidInAll);
      for (const [file, text] of kept) fs.writeFileSync(path.join(server.directory, file), text());
      throw error;
    } finally {
      await server.dispose(failed);
    }
  });
}

/** Escapes a text for a pattern that matches it literally. */
function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** Returns the environment that decides the run, as the beginning of a command line. */
function settings(seed: number): string {
  const set = Object.entries(process.env).filter(([name]) => /^DRAGONLOCK_(CRASH_(?!SEED$)|LOAD_)/.test(name));
  return [['DRAGONLOCK_CRASH_SEED', seed], ...set].map(([name, value]) => `${name}=${value}`).join(' ');
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs in the background: a failure shows only when it is awaited. */
export function meanwhile<T>(running: Promise<T>): Promise<T> {
  running.catch(() => undefined);
  return running;
}
