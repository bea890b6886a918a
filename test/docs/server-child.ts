/** The real server in a process of its own, on any free port and a new directory: what the documents talk about. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { serverProgram } from '../support/server-program.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export class ServerChild {
  readonly process: ChildProcess;
  /** Everything it has written to stdout and stderr. */
  output = '';
  /** `http://127.0.0.1:41234` */
  readonly url: Promise<string>;

  constructor(dataDirectory: string, args: readonly string[] = [], config = os.devNull) {
    // A file that is not there would be refused, config.yml of the working directory would be read: an empty one is neither.
    const flags = ['--config', config, '--listen', '127.0.0.1:0', '--data-dir', dataDirectory, ...args];
    this.process = spawn(process.execPath, [serverProgram, ...flags], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.url = promise;
    const read = (chunk: Buffer): void => {
      this.output += chunk.toString('utf8');
      const url = /"msg":"Serving on ([^"]+)"/.exec(this.output)?.[1];
      if (url !== undefined) resolve(url);
    };
    this.process.stdout?.on('data', read);
    this.process.stderr?.on('data', read);
    this.process.on('close', (code) => reject(new Error(`The server has ended with code ${code}:\n${this.output}`)));
    // Whoever expects it to end does not ask for its address.
    promise.catch(() => undefined);
  }

  /** @returns its exit code, or the signal that ended it */
  async end(signal?: NodeJS.Signals): Promise<number | string | null> {
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode;
    const closed = once(this.process, 'close');
    if (signal !== undefined) this.process.kill(signal);
    const [code, by]: (number | string | null)[] = await closed;
    return code ?? by ?? null;
  }
}

/** A directory that goes when the test ends. */
export function temporaryDirectory(t: { after(run: () => void): void }): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Starts a server that is stopped when the test ends. */
export async function startServer(
  t: { after(run: () => void | Promise<void>): void },
  dataDirectory: string,
  config?: string,
): Promise<{ url: string; server: ServerChild }> {
  const server = new ServerChild(dataDirectory, [], config);
  t.after(async () => void (await server.end('SIGKILL')));
  return { url: await server.url, server };
}
