/**
 * A real server that tests kill: a process group of its own (see server-program.ts), real files, real sockets.
 *
 * A test may start it any number of times on the same directory, and it may end at any moment: nothing here waits for
 * an answer that a dead process cannot give. A request is answered, or its outcome is unknown; `ask` tells the two
 * apart and never throws for the second.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'undici';
import { compileCache, serverProgram } from './server-program.ts';

/** Anything longer is a hang; a machine may be very busy. */
const patienceMs = 120_000;

export interface LaunchOptions {
  readonly shards?: number;
  /** The number of front ends, of which each costs a third of a start; absent: 1. */
  readonly threads?: number;
  /** `name:n`, see src/shared/failpoints.ts. */
  readonly failpoint?: string;
  readonly keepBytes?: number;
  /** Lines of config.yml, instead of the small limits and segments. */
  readonly config?: readonly string[];
  /** A command that runs the server, e.g. strace with its options. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export class CrashServer {
  readonly directory: string;
  readonly dataDir: string;
  url = '';
  log: LogLine[] = [];
  stderr = '';
  /** By all processes, with the command line of each. */
  saidInAll = '';
  /** Wall-clock milliseconds of the launch of the running process. */
  launchedAt = 0;
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  #serving: Promise<LogLine | undefined> = Promise.resolve(undefined);

  constructor(name: string) {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), `dragonlock-crash-${name}-`));
    this.dataDir = path.join(this.directory, 'data');
  }

  get journalDirectory(): string {
    return path.join(this.dataDir, 'journal');
  }

  get pid(): number {
    assert(this.#child?.pid !== undefined, 'the server runs');
    return this.#child.pid;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Resolves when the running process has ended, for whatever reason. */
  get exit(): Promise<Exit> {
    return this.#exit;
  }

  /** Only starts the process. Segments and memtables are small, so that rotation and checkpoints happen often. */
  launch(options: LaunchOptions = {}): void {
    const { shards = 3, threads = 1, failpoint, keepBytes = 16 << 20, wrapper = [] } = options;
    const { config = [`http: { threads: ${threads} }`, ...smallSizes(keepBytes)] } = options;
    assert(this.#child === undefined, 'one process at a time');
    const lines = ['listen: 127.0.0.1:0', `shards: ${shards}`, ...config];
    fs.writeFileSync(path.join(this.directory, 'config.yml'), `${lines.join('\n')}\n`);
    const argv = [...wrapper, process.execPath, serverProgram];
    const unset = { DRAGONLOCK_LISTEN: undefined, DRAGONLOCK_DATA_DIR: undefined };
    const own = { DRAGONLOCK_FAILPOINT: failpoint, NODE_COMPILE_CACHE: compileCache, ...options.env };
    const env = { ...process.env, ...unset, ...own };
    const child = spawn(argv[0]!, argv.slice(1), {
      cwd: this.directory,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.launchedAt = Date.now();
    this.log = [];
    this.stderr = '';
    this.url = '';
    this.#child = child;
    this.saidInAll += `--- ${shards} shards, failpoint ${failpoint ?? 'none'}, process ${child.pid}\n`;
    // Why a server cannot start is a line for people; tests find it beside the log.
    createInterface({ input: child.stderr }).on('line', (msg) => {
      this.stderr += `${msg}\n`;
      this.saidInAll += `${msg}\n`;
      this.log.push({ level: 60, msg });
    });
    this.#exit = new Promise((resolve) => {
      child.on('error', (error) => (this.stderr += error.message));
      child.on('close', (code, signal) => {
        if (this.#child === child) this.#child = undefined;
        resolve({ code, signal });
      });
    });
    this.#serving = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on('line', (text) => {
        this.saidInAll += `${text}\n`;
        const line = (text.startsWith('{') ? JSON.parse(text) : { level: 30, msg: text }) as LogLine;
        this.log.push(line);
        if (!line.msg.startsWith('Serving on')) return;
        this.url = String(line['url']);
        resolve(line);
      });
      void this.#exit.then(() => resolve(undefined));
    });
  }

  /** Resolves when it serves, with its log line; undefined if the process has ended before. */
  async serving(): Promise<LogLine | undefined> {
    return this.#inTime(this.#serving, 'serves');
  }

  /** Launches a process that must get to serve. */
  async start(options?: LaunchOptions): Promise<LogLine> {
    this.launch(options);
    const line = await this.serving();
    assert(line !== undefined, `The server must start.\n${this.said()}`);
    return line;
  }

  /** Sends SIGKILL to the whole process group. */
  async kill(): Promise<Exit> {
    this.#signal('SIGKILL');
    return this.#exit;
  }

  /** Stops cleanly, by SIGTERM. */
  async stop(): Promise<void> {
    this.#signal('SIGTERM');
    const { code } = await this.ended();
    assert.equal(code, 0, `SIGTERM ends with exit code 0.\n${this.said()}`);
  }

  /** Resolves when the process has ended by itself. */
  async ended(): Promise<Exit> {
    return this.#inTime(this.#exit, 'ends');
  }

  client(): CrashClient {
    return new CrashClient(this.url);
  }

  said(): string {
    return [...this.log.slice(-15).map((line) => JSON.stringify(line)), this.stderr].join('\n');
  }

  /** Ends the process; removes the files, or says where they are. */
  async dispose(keep: boolean): Promise<void> {
    await this.kill();
    if (!keep) fs.rmSync(this.directory, { recursive: true, force: true });
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It has just ended.
    }
  }

  async #inTime<T>(promise: Promise<T>, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`Not within ${patienceMs} ms: the server ${what}\n${this.said()}`)),
        patienceMs,
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function smallSizes(keepBytes: number): string[] {
  return [
    'limits: { body_bytes_max: 1048576, value_bytes_max: 524288, memtable_bytes_max: 1048576 }',
    `journal: { segment_bytes: 4194304, keep_bytes: ${keepBytes} }`,
  ];
}

export interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  readonly text: string;
  readonly body: AnswerBody;
}

/** The members of replies that these tests read. */
export interface AnswerBody {
  readonly Status: number;
  readonly Rev: number;
  readonly Code: string;
  readonly Message: string;
  readonly Lock: number;
  readonly TillMs: number;
  readonly Locked: boolean;
  readonly Why: string;
  readonly Recover?: { readonly Lock: number; readonly Why: string };
  readonly Atomic?: readonly { readonly Key: string; readonly Value: number; readonly Old: number }[];
  readonly KV?: readonly KvItem[];
  readonly KVSet?: readonly { readonly Key: string; readonly Version: number; readonly Deleted?: boolean }[];
  readonly Key: string;
  readonly Version: number;
  readonly Value: number;
  readonly Old: number;
  readonly From: number;
  readonly To: number;
  readonly After: string;
  readonly More?: boolean;
  readonly Events: readonly WatchEvent[];
  readonly Oldest: number;
}

export interface KvItem {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly TillMs?: number;
}

export interface WatchEvent extends KvItem {
  readonly Rev: number;
  readonly Deleted?: boolean;
  readonly Expired?: boolean;
}

/** One keep-alive connection, one request at a time. */
export class CrashClient {
  readonly #client: Client;

  constructor(url: string) {
    this.#client = new Client(url, { pipelining: 1, keepAliveTimeout: 60_000 });
  }

  /** Returns the answer; undefined without one: then the outcome of the request is unknown. */
  async ask(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    target: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer | undefined> {
    try {
      const received = await this.#client.request({
        method,
        path: target,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        body: body === undefined ? null : JSON.stringify(body),
        headersTimeout: patienceMs,
        bodyTimeout: patienceMs,
      });
      const text = await received.body.text();
      return {
        status: received.statusCode,
        replayed: received.headers['idempotent-replayed'] === 'true',
        text,
        body: (/^[{[]/.test(text) ? JSON.parse(text) : {}) as AnswerBody,
      };
    } catch {
      return undefined;
    }
  }

  /** Makes a request that must succeed, because nothing is being killed. */
  async must(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    target: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<AnswerBody> {
    const answer = await this.ask(method, target, body, headers);
    const asked = `${method} ${target} ${JSON.stringify(body)?.slice(0, 500) ?? ''}`;
    assert(answer !== undefined, `no answer: ${asked}`);
    assert.equal(answer.status, 200, `${asked} → ${answer.status} ${answer.text.slice(0, 1000)}`);
    return answer.body;
  }

  async close(): Promise<void> {
    await this.#client.destroy();
  }
}
