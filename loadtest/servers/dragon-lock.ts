/** The real server as a child process: `src/main/server.ts` with a config of its own, on a free port of 127.0.0.1. */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { endProcess, sleep, type LoadedServer, type OnSpawn } from './loaded-server.ts';
import type { Target } from '../load/types.ts';

/** As in config.yml; what is left out is the server's default. */
export interface ServerSettings {
  readonly shards?: number | 'auto';
  readonly http?: object;
  readonly limits?: object;
  readonly journal?: object;
}

const serverFile = path.resolve(import.meta.dirname, '../../src/main/server.ts');
const startMsMax = 300_000;
const readyPollMs = 5;

export class DragonLock implements LoadedServer {
  readonly target: Target;
  readonly pid: number;
  /** From the start of the process until /readyz says 200. */
  readonly startMs: number;
  /** What the server itself said when it began to serve. */
  readonly serving: LogLine;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number, startMs: number, serving: LogLine) {
    this.#process = process;
    this.pid = process.pid!;
    this.target = { host: '127.0.0.1', port, dialect: 'dragonlock' };
    this.startMs = startMs;
    this.serving = serving;
  }

  /** @param onSpawn is told of the process before it is ready, so that it is ended in any case. */
  static async start(dataDirectory: string, settings: ServerSettings, onSpawn: OnSpawn): Promise<DragonLock> {
    fs.mkdirSync(dataDirectory, { recursive: true });
    const config = path.join(dataDirectory, 'config.yml');
    // JSON is YAML.
    fs.writeFileSync(config, JSON.stringify(settings));
    const args = [serverFile, '--config', config, '--listen', '127.0.0.1:0', '--data-dir', dataDirectory];
    const startedAt = performance.now();
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    onSpawn(child);
    const { listening, serving } = readLog(child);
    const port = Number(new URL(String((await listening)['url'])).port);
    while (!(await isReady(port))) {
      if (performance.now() - startedAt > startMsMax)
        throw new Error(`The server was not ready within ${startMsMax} ms`);
      await sleep(readyPollMs);
    }
    const startMs = performance.now() - startedAt;
    return new DragonLock(child, port, startMs, await serving);
  }

  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  /** Drains and ends the server; killed when that takes too long. */
  async stop(): Promise<void> {
    const ended = await endProcess(this.#process, 'SIGTERM');
    if (ended !== 0) throw new Error(`The server ended with ${ended} instead of 0`);
  }

  /** As a power cut would, but for what the kernel has not written. */
  async kill(): Promise<void> {
    await endProcess(this.#process, 'SIGKILL');
  }
}

/** A server that somebody else runs. */
export class RunningServer implements LoadedServer {
  readonly target: Target;
  readonly pid = undefined;

  constructor(target: Target) {
    this.target = target;
  }

  pause(): void {
    // Not ours to stop.
  }

  resume(): void {
    // It never stood still.
  }

  async stop(): Promise<void> {
    // Not ours to end.
  }
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.arrayBuffer();
  return response.ok;
}

type LogLine = Readonly<Record<string, unknown>>;

/** The two lines of its log that tell how far the server is; warnings and worse are shown. */
function readLog(child: ChildProcess): { listening: Promise<LogLine>; serving: Promise<LogLine> } {
  const listening = Promise.withResolvers<LogLine>();
  const serving = Promise.withResolvers<LogLine>();
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const entry = parseLine(line);
    const message = typeof entry['msg'] === 'string' ? entry['msg'] : line;
    if (message.startsWith('Listening')) listening.resolve(entry);
    else if (message.startsWith('Serving')) serving.resolve(entry);
    else if (Number(entry['level'] ?? 40) >= 40) process.stderr.write(`  server: ${line}\n`);
  });
  child.once('exit', (code, signal) => {
    const error = new Error(`The server ended with ${code ?? signal} before it was ready`);
    listening.reject(error);
    serving.reject(error);
  });
  // Whoever waits hears of it; nobody has to.
  listening.promise.catch(() => undefined);
  serving.promise.catch(() => undefined);
  return { listening: listening.promise, serving: serving.promise };
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return {};
  }
}
