/** Runs the real server, `src/main/server.ts`, as a child process with its own config, on a free port of 127.0.0.1. */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { endProcess, sleep, type LoadedServer, type OnSpawn } from './loaded-server.ts';
import type { Target } from '../load/types.ts';

/** Keys of config.yml; absent keys have the server's defaults. */
export interface ServerSettings {
  readonly shards?: number | 'auto';
  readonly http?: object;
  readonly resp?: object;
  readonly limits?: object;
  readonly journal?: object;
  readonly backup?: object;
  readonly tasks?: object;
  readonly scripts?: object;
}

const serverFile = path.resolve(import.meta.dirname, '../../src/main/server.ts');
const startMsMax = 300_000;
const readyPollMs = 5;

export class DragonLock implements LoadedServer {
  readonly target: Target;
  readonly pid: number;
  /** From the start of the process until /readyz answers 200. */
  readonly startMs: number;
  /** The server's log line that says that it serves. */
  readonly serving: LogLine;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, target: Target, startMs: number, serving: LogLine) {
    this.#process = process;
    this.pid = process.pid!;
    this.target = target;
    this.startMs = startMs;
    this.serving = serving;
  }

  /**
   * @param onSpawn called before the process is ready, so that the load test ends it on any exit
   * @param program absent: the sources; else what Node is started with, behind a command if there are several words
   */
  static async start(
    dataDirectory: string,
    settings: ServerSettings,
    onSpawn: OnSpawn,
    program: readonly string[] = [process.execPath, serverFile],
  ): Promise<DragonLock> {
    fs.mkdirSync(dataDirectory, { recursive: true });
    const config = path.join(dataDirectory, 'config.yml');
    // JSON is YAML.
    fs.writeFileSync(config, JSON.stringify(settings));
    const [command = '', ...before] = program;
    const args = [...before, '--config', config, '--listen', '127.0.0.1:0', '--data-dir', dataDirectory];
    const startedAt = performance.now();
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    onSpawn(child);
    const { listening, serving } = readLog(child);
    const { url, respPort } = await listening;
    const port = Number(new URL(String(url)).port);
    while (!(await isReady(port))) {
      if (performance.now() - startedAt > startMsMax)
        throw new Error(`The server was not ready within ${startMsMax} ms`);
      await sleep(readyPollMs);
    }
    const startMs = performance.now() - startedAt;
    const target: Target = {
      host: '127.0.0.1',
      port,
      dialect: 'dragonlock',
      ...(typeof respPort === 'number' && { respPort }),
    };
    return new DragonLock(child, target, startMs, await serving);
  }

  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  /** Drains and ends the server; kills it if that takes too long. */
  async stop(): Promise<void> {
    const ended = await endProcess(this.#process, 'SIGTERM');
    if (ended !== 0) throw new Error(`The server's exit code: expected 0, got ${ended}`);
  }

  /** Ends the server like a power cut, except that the kernel still writes its page cache. */
  async kill(): Promise<void> {
    await endProcess(this.#process, 'SIGKILL');
  }
}

/** A server that was running before (`--target`). */
export class RunningServer implements LoadedServer {
  readonly target: Target;
  readonly pid = undefined;

  constructor(target: Target) {
    this.target = target;
  }

  pause(): void {
    // The load test did not start it.
  }

  resume(): void {
    // It was never paused.
  }

  async stop(): Promise<void> {
    // The load test did not start it.
  }
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.arrayBuffer();
  return response.ok;
}

type LogLine = Readonly<Record<string, unknown>>;

/** Reads the two log lines that report the start; prints warnings and errors. */
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
  // Callers that await see the rejection; without one it must not end the process.
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
