/** The real server as a child process: `src/main/server.ts` with a config of its own, on a free port of 127.0.0.1. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** As in config.yml; what is left out is the server's default. */
export interface ServerSettings {
  readonly shards?: number | 'auto';
  readonly http?: object;
  readonly limits?: object;
  readonly journal?: object;
}

const serverFile = path.resolve(import.meta.dirname, '../src/main/server.ts');
const startMsMax = 120_000;
const stopMsMax = 60_000;
const readyPollMs = 10;

export class ServerUnderLoad {
  readonly pid: number;
  readonly port: number;
  /** From the start of the process until /readyz says 200. */
  readonly startMs: number;
  /** What the server itself said when it began to serve. */
  readonly serving: Readonly<Record<string, unknown>>;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number, startMs: number, serving: Record<string, unknown>) {
    this.#process = process;
    this.pid = process.pid!;
    this.port = port;
    this.startMs = startMs;
    this.serving = serving;
  }

  /** @param onSpawn is told of the process before it is ready, so that it is ended in any case. */
  static async start(
    dataDirectory: string,
    settings: ServerSettings,
    onSpawn: (process: ChildProcess) => void,
  ): Promise<ServerUnderLoad> {
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
      await new Promise((resolve) => setTimeout(resolve, readyPollMs));
    }
    return new ServerUnderLoad(child, port, performance.now() - startedAt, await serving);
  }

  /** For set-up and checks; measured requests come from load/. */
  async call(call: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.port}${call}`, {
      method: 'POST',
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`POST ${call} was answered ${response.status}: ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }

  /** The sum of a metric over its labels. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.port}/metrics`);
    const values = (await response.text())
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
    if (values.length === 0) throw new Error(`/metrics knows nothing of ${name}`);
    return values.reduce((sum, value) => sum + value, 0);
  }

  /** Drains and ends the server; killed when that takes too long. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), stopMsMax);
    const [code, signal] = (await exited) as [number | null, string | null];
    clearTimeout(timer);
    if (code !== 0) throw new Error(`The server ended with ${code ?? signal} instead of 0`);
  }
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.arrayBuffer();
  return response.ok;
}

type LogLine = Record<string, unknown>;

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
