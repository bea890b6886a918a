/** A process with a client, for tests of what ends it and what keeps it alive. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';

const exportsUrl = new URL('../../src/client/exports.ts', import.meta.url).href;
const storeUrl = new URL('../../src/client/store/exports.ts', import.meta.url).href;
export interface Child {
  readonly process: ChildProcessByStdio<null, Readable, null>;
  nextLine(): Promise<string>;
  exitCode(): Promise<number | null>;
  /** The signal that has ended it. */
  exitSignal(): Promise<NodeJS.Signals | null>;
}

/** Runs a program with a `client` and an import of `once` and `DragonLockStore`. @param options of the client */
export function runProgram(t: TestContext, url: string, program: string, options = ''): Child {
  const head = `
    import { once } from 'node:events';
    import { DragonLock } from ${JSON.stringify(exportsUrl)};
    import { DragonLockStore } from ${JSON.stringify(storeUrl)};
    const client = new DragonLock({ account: 'acc', timeout: 60_000, ${options} });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', head + program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DRAGONLOCK_URL: url, DRAGONLOCK_TOKEN: '' },
  });
  t.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    nextLine: async () => String((await lines.next()).value),
    exitCode: async () => ((await ended) as [number | null])[0],
    exitSignal: async () => ((await ended) as [unknown, NodeJS.Signals | null])[1],
  };
}
