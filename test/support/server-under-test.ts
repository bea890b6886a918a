/**
 * The whole server in a process of its own (see server-program.ts), real sockets, a real data directory. It calls nothing of `src`; it only reads the registry of error codes, to check every reply against it.
 *
 * `call` checks what API.md promises of every reply: the boot header, `Rev` on success, never a revision older than one
 * acknowledged before the request was sent, and on failure a known code with its status, a message and a RequestID. No
 * test may expect a 500.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, type TestContext } from 'node:test';
import { createInterface } from 'node:readline';
import { Agent, request } from 'undici';
import { errorCodes, type ErrorCode } from '../../src/protocol/errors.ts';
import { withLaneSwitch } from './lane-switch.ts';
import type { ReplyBody } from './reply-body.ts';
import { compileCache, serverProgram } from './server-program.ts';

/** Anything longer is a hang; a machine may be very busy. */
const patienceMs = process.env['DRAGONLOCK_LOAD_SCALE'] === 'full' ? 240_000 : 60_000;

export interface ServerOptions {
  /** Text of a config.yml. */
  readonly config?: string;
  /** Absent: a fresh directory, which is removed in the end. */
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly listen?: string;
  /** A command in front of Node's. */
  readonly wrapper?: readonly string[];
  /** What its standard output goes to instead of the test: then there is no log to wait for. */
  readonly stdout?: number;
}

export type Method = 'GET' | 'POST' | 'DELETE' | 'PUT' | 'PATCH' | 'OPTIONS';
export type Headers = Readonly<Record<string, string>>;

export interface CallOptions {
  readonly headers?: Headers;
  /** Closes the connection. */
  readonly signal?: AbortSignal;
}

export interface Place {
  readonly url: string;
  readonly account: string;
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly url?: string;
  readonly boot?: string;
  readonly start?: number;
  readonly replayed?: number;
  readonly [field: string]: unknown;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The JSON of `text`; an empty object if it is not JSON. */
  readonly body: ReplyBody;
}

export class ServerUnderTest {
  readonly directory: string;
  readonly dataDir: string;
  /** Codes of all error replies so far, over restarts. */
  readonly codesSeen = new Set<ErrorCode>();
  url = '';
  boot = '';
  logs: LogLine[] = [];
  stderr = '';
  #options: ServerOptions;
  #child: ChildProcess | undefined;
  /** Resolves when the process has ended and all its output was read. */
  #ended = true;
  #closed: Promise<void> = Promise.resolve();
  #agent = new Agent({ pipelining: 1, connections: null });
  #acknowledged = 0;
  #onLog: (() => void)[] = [];
  #account = 'acc';
  #places = 0;

  private constructor(options: ServerOptions) {
    this.#options = options;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-test-'));
    this.dataDir = options.dataDir ?? path.join(this.directory, 'data');
  }

  /** Not started yet. */
  static prepare(options: ServerOptions = {}): ServerUnderTest {
    return new ServerUnderTest(options);
  }

  /** Serving; stopped when the test ends, its files kept when the test fails. */
  static async forTest(t: TestContext, options: ServerOptions = {}): Promise<ServerUnderTest> {
    const server = ServerUnderTest.prepare(options);
    t.after(() => server.dispose(t.passed));
    await server.start();
    return server;
  }

  get pid(): number {
    assert(this.#child?.pid !== undefined, 'the server runs');
    return this.#child.pid;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Where Redis clients are served. */
  get respPort(): number {
    const port = this.logs.find((line) => line['respPort'] !== undefined)?.['respPort'];
    assert(typeof port === 'number', 'config.yml has resp.listen');
    return port;
  }

  /** Starts the process. Resolves when it serves. */
  async start(options: Partial<ServerOptions> = {}): Promise<void> {
    this.launch(options);
    const serving = await this.logLine((line) => line.msg.startsWith('Serving on'), 'serves');
    assert(typeof serving.url === 'string' && typeof serving.boot === 'string');
    this.url = serving.url;
    this.boot = serving.boot;
    const ready = await this.call('GET', '/readyz');
    assert.equal(ready.status, 200, 'ready when it says so');
  }

  /** Resolves when it serves, for one whose log cannot be read. */
  async answers(): Promise<void> {
    const ready = async (): Promise<boolean> => {
      const reply = await request(`${this.url}/readyz`, { dispatcher: this.#agent }).catch(() => undefined);
      await reply?.body.dump();
      return reply?.statusCode === 200;
    };
    await eventually('the server serves', ready, patienceMs);
  }

  /** Only starts the process. */
  launch(options: Partial<ServerOptions> = {}): void {
    assert(this.#child === undefined, 'started once at a time');
    this.#options = { ...this.#options, ...options };
    const { config, env, listen = '127.0.0.1:0', wrapper = [], stdout = 'pipe' } = this.#options;
    fs.writeFileSync(path.join(this.directory, 'config.yml'), withLaneSwitch(config ?? ''));
    const argv = [...wrapper, process.execPath, serverProgram, '--listen', listen, '--data-dir', this.dataDir];
    // A second front end costs a third of a start: whoever tests what lies between two asks for them.
    const threads = config?.includes('threads:') === true ? {} : { DRAGONLOCK_HTTP_THREADS: '1' };
    const child = spawn(argv[0]!, argv.slice(1), {
      cwd: this.directory,
      env: { NODE_COMPILE_CACHE: compileCache, ...process.env, ...threads, ...env },
      stdio: ['ignore', stdout, 'pipe'],
    });
    this.logs = [];
    this.stderr = '';
    this.#child = child;
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => {
        const parsed: unknown = line.startsWith('{') ? JSON.parse(line) : { level: 30, msg: line };
        this.logs.push(parsed as LogLine);
        for (const look of this.#onLog) look();
      });
    // Why a server cannot start is a line for people; tests find it beside the log.
    createInterface({ input: child.stderr! }).on('line', (msg) => {
      this.stderr += `${msg}\n`;
      this.logs.push({ level: 60, msg });
      for (const look of this.#onLog) look();
    });
    this.#ended = false;
    this.#closed = once(child, 'close').then(() => {
      this.#ended = true;
      for (const look of this.#onLog) look();
    });
  }

  /** Resolves with the first line of the log that fits, written already or later. */
  async logLine(fits: (line: LogLine) => boolean, what: string): Promise<LogLine> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#onLog = this.#onLog.filter((other) => other !== look);
      };
      const look = (): void => {
        const line = this.logs.find(fits);
        if (line !== undefined) {
          done();
          resolve(line);
        } else if (this.#ended) {
          done();
          reject(
            new Error(`The server ended (${child?.exitCode ?? child?.signalCode}) before it ${what}\n${this.#said()}`),
          );
        }
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`Not within ${patienceMs} ms: the server ${what}\n${this.#said()}`));
      }, patienceMs);
      this.#onLog.push(look);
      look();
    });
  }

  /** Sends SIGTERM. @returns the exit code */
  async terminate(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** Stops cleanly: SIGTERM, and exit code 0. */
  async stop(): Promise<void> {
    assert.equal(await this.terminate(), 0, `SIGTERM ends with exit code 0\n${this.#said()}`);
  }

  /** Kills the process (SIGKILL), as a power cut would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Resolves with the code of a process that ends by itself. */
  async exitCode(): Promise<number | null> {
    return this.#end(undefined);
  }

  async restart(how: 'stop' | 'kill', options: Partial<ServerOptions> = {}): Promise<void> {
    await this[how]();
    await this.start(options);
  }

  /** Ends the process if it still runs, and removes the files unless they may explain a failure. */
  async dispose(passed: boolean): Promise<void> {
    if (this.#child !== undefined) await this.#end('SIGKILL');
    await this.#agent.destroy();
    if (passed) fs.rmSync(this.directory, { recursive: true, force: true });
    else console.error(`Kept for a look: ${this.directory}\n${this.#said()}`);
  }

  async call(method: Method, target: string, payload?: unknown, options: CallOptions = {}): Promise<Reply> {
    const json = payload !== undefined && typeof payload !== 'string' && !Buffer.isBuffer(payload);
    const acknowledged = this.#acknowledged;
    const timeout = AbortSignal.timeout(patienceMs);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
    const received = await request(this.url + target, {
      method,
      dispatcher: this.#agent,
      headers: { ...(json ? { 'content-type': 'application/json' } : {}), ...options.headers },
      body: payload === undefined ? null : json ? JSON.stringify(payload) : payload,
      signal,
    }).catch((error: unknown) => {
      if (timeout.aborted) assert.fail(`No reply within ${patienceMs} ms: ${method} ${target}\n${this.#said()}`);
      throw error;
    });
    const text = await received.body.text();
    const isJson = String(received.headers['content-type']).startsWith('application/json');
    const reply: Reply = {
      status: received.statusCode,
      headers: received.headers,
      text,
      body: (isJson && text !== '' ? JSON.parse(text) : {}) as ReplyBody,
    };
    this.#check(method, target, reply, acknowledged);
    return reply;
  }

  /** Makes a call that must succeed. */
  async ok(method: Method, target: string, payload?: unknown, options?: CallOptions): Promise<ReplyBody> {
    const reply = await this.call(method, target, payload, options);
    assert.equal(reply.status, 200, `${method} ${target} ${JSON.stringify(payload) ?? ''} → ${reply.text}`);
    return reply.body;
  }

  /** Makes a call that must fail with this code (and so with its status). */
  async fails(
    code: ErrorCode,
    method: Method,
    target: string,
    payload?: unknown,
    options?: CallOptions,
  ): Promise<ReplyBody> {
    const reply = await this.call(method, target, payload, options);
    const asked = `${method} ${target} ${JSON.stringify(payload)?.slice(0, 500) ?? ''}`;
    assert.equal(reply.body.Code, code, `${asked} → ${reply.status} ${reply.text.slice(0, 500)}`);
    return reply.body;
  }

  /** A new account on it, which is that of `batch` from now on: for a test that shares it with others. */
  place(): Place {
    this.#places += 1;
    this.#account = `account-${this.#places}`;
    return { url: this.url, account: this.#account };
  }

  batch(body: unknown, account = this.#account, options?: CallOptions): Promise<ReplyBody> {
    return this.ok('POST', `/db/${account}`, body, options);
  }

  batchFails(code: ErrorCode, body: unknown, account = this.#account): Promise<ReplyBody> {
    return this.fails(code, 'POST', `/db/${account}`, body);
  }

  async metric(name: string, labels = ''): Promise<number> {
    const { text } = await this.call('GET', '/metrics');
    const line = text
      .split('\n')
      .find((line) => line.startsWith(`${name}${labels} `) || line.startsWith(`${name}{${labels}`));
    assert(line !== undefined, `/metrics has ${name}${labels}`);
    return Number(line.slice(line.lastIndexOf(' ') + 1));
  }

  /** Resolves when this many requests wait for a lock or mutex, on all shards together. */
  async waiters(count: number): Promise<void> {
    await eventually(`${count} waiters`, async () => (await this.#sum('dragonlock_shard_waiters')) === count);
  }

  async watchers(count: number, name = 'dragonlock_watchers'): Promise<void> {
    await eventually(`${count} watchers`, async () => (await this.metric(name)) === count);
  }

  async #sum(name: string): Promise<number> {
    const { text } = await this.call('GET', '/metrics');
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** Opens a bare connection, for bytes that no HTTP client would send. */
  connect(): net.Socket {
    return net.connect({ host: '127.0.0.1', port: this.port, allowHalfOpen: true });
  }

  #check(method: Method, target: string, { status, headers, text, body }: Reply, acknowledged: number): void {
    const call = `${method} ${target} → ${status} ${text.slice(0, 500)}`;
    assert.notEqual(status, 500, `${call}\n${this.#said()}`);
    if (this.boot !== '') assert.equal(headers['dragonlock-boot'], this.boot, `the boot header: ${call}`);
    if (status >= 400) {
      const entry = errorCodes[body.Code];
      assert(entry !== undefined && entry.status === status, `a registered code with its status: ${call}`);
      assert(typeof body.Message === 'string' && body.Message.length > 0, `a message: ${call}`);
      assert(body.RequestID.startsWith(String(headers['dragonlock-boot'])), `a RequestID: ${call}`);
      if (status === 429 || status === 503) assert(Number(headers['retry-after']) > 0, `Retry-After: ${call}`);
      this.codesSeen.add(body.Code);
      return;
    }
    if (status !== 200 || !/^\/(db|watch)\//.test(target) || Array.isArray(body)) return;
    assert(Number.isSafeInteger(body.Rev) && body.Rev > 0, `Rev on every success: ${call}`);
    if (headers['idempotent-replayed'] === 'true' || target.startsWith('/watch/')) return;
    assert(body.Rev >= acknowledged, `Rev ${body.Rev} after ${acknowledged} was acknowledged: ${call}`);
    this.#acknowledged = Math.max(this.#acknowledged, body.Rev);
  }

  async #end(signal: NodeJS.Signals | undefined): Promise<number | null> {
    const child = this.#child;
    assert(child !== undefined, 'the server was started');
    this.#child = undefined;
    if (signal !== undefined) child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    await this.#closed;
    clearTimeout(timer);
    assert(signal === 'SIGKILL' || child.signalCode === null, `ended within ${patienceMs} ms\n${this.#said()}`);
    return child.exitCode;
  }

  #said(): string {
    const lines = this.logs.slice(-30).map((line) => JSON.stringify(line));
    return [...lines, this.stderr].join('\n');
  }
}

/** Starts one server for all tests of a file; its files are kept if one of them fails. */
export function serverForFile(options: ServerOptions = {}): ServerUnderTest {
  const server = ServerUnderTest.prepare(options);
  let passed = true;
  before(() => server.start());
  afterEach((t) => {
    if (!(t as TestContext).passed) passed = false;
  });
  after(() => server.dispose(passed));
  return server;
}

/** Polls until the condition holds. Only for what has no event to wait for. */
export async function eventually(what: string, isSo: () => Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) assert.fail(`Not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The server's time is in whole milliseconds, and its difference from wall time too. */
const roundedMs = 2;

/** Waits until the server's time is this, by the wall clock: for leases and TTLs, which nothing else ends. */
export async function untilTime(unixMs: number): Promise<void> {
  const until = unixMs + roundedMs;
  while (Date.now() < until) await new Promise((resolve) => setTimeout(resolve, until - Date.now() + 1));
}

/** Whether it is still pending after every reply to a round trip made meanwhile: a call that waits, waits. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending;
}
