/** The command `dragonlock` as users run it: a separate process with arguments, an environment and pipes. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import os from 'node:os';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { commandProgram, compileCache } from '../support/server-program.ts';

/** The sources. Most tests start the bundle of them, `commandProgram`, with less CPU time. */
export const commandFile = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** What users start: it starts Node with the file above. */
export const commandScript = fileURLToPath(new URL('../../src/cli/dragonlock', import.meta.url));
/** Anything that takes longer is a hang. */
const timeoutMs = 60_000;

export interface CommandOptions {
  readonly url?: string;
  readonly account?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The content of stdin. Default: empty. */
  readonly input?: string | Buffer;
  readonly cwd?: string;
  /** A command line that runs the command, instead of the command itself. */
  readonly argv?: readonly string[];
}

export interface Ended {
  /** The exit code, or the name of the signal that ended the process. */
  readonly code: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

export class CommandUnderTest {
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  #onChange = new Set<() => void>();

  constructor(t: TestContext, args: readonly string[], options: CommandOptions = {}) {
    const [file, ...argv] = options.argv ?? [process.execPath, commandProgram, ...args];
    this.process = spawn(file!, argv, {
      cwd: options.cwd ?? os.tmpdir(),
      env: environment(options),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    t.after(() => this.process.kill('SIGKILL'));
    const { stdin, stdout, stderr } = this.process;
    stdin.on('error', () => undefined);
    stdin.end(options.input ?? '');
    stdout.setEncoding('utf8').on('data', (text: string) => this.#read('stdout', text));
    stderr.setEncoding('utf8').on('data', (text: string) => this.#read('stderr', text));
    this.ended = this.#inTime(
      'ends',
      new Promise((resolve, reject) => {
        this.process.on('error', reject);
        this.process.on('close', (code, signal) => {
          resolve({ code: code ?? signal!, stdout: this.stdout, stderr: this.stderr });
          this.#changed();
        });
      }),
    );
    this.ended.catch(() => undefined);
  }

  get pid(): number {
    assert(this.process.pid !== undefined);
    return this.process.pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Resolves with the match as soon as the output so far matches. */
  printed(pattern: RegExp, where: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    return this.#inTime(
      `prints ${pattern}`,
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(this[where]);
          const { exitCode, signalCode } = this.process;
          const over = exitCode !== null || signalCode !== null;
          if (match === null && !over) return;
          this.#onChange.delete(look);
          if (match !== null) resolve(match);
          else
            reject(new Error(`It ended (${exitCode ?? signalCode}) before it printed ${pattern}\n${this.#output()}`));
        };
        this.#onChange.add(look);
        look();
      }),
    );
  }

  #read(where: 'stdout' | 'stderr', text: string): void {
    this[where] += text;
    this.#changed();
  }

  #changed(): void {
    for (const look of this.#onChange) look();
  }

  #output(): string {
    return `stdout: ${this.stdout}\nstderr: ${this.stderr}`;
  }

  async #inTime<Result>(what: string, promise: Promise<Result>): Promise<Result> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`Not within ${timeoutMs} ms: it ${what}\n${this.#output()}`)),
        timeoutMs,
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

export function environment({ url, account = 'acc', env }: CommandOptions): NodeJS.ProcessEnv {
  const others = Object.entries(process.env).filter(([name]) => !/^DRAGONLOCK_|^NO_COLOR$|^FORCE_COLOR$/.test(name));
  return {
    NODE_COMPILE_CACHE: compileCache,
    ...Object.fromEntries(others),
    DRAGONLOCK_URL: url,
    DRAGONLOCK_ACCOUNT: account,
    ...env,
  };
}

/** Runs the command to its end. */
export function runCommand(t: TestContext, args: readonly string[], options?: CommandOptions): Promise<Ended> {
  return new CommandUnderTest(t, args, options).ended;
}

/** Runs the command to its end and asserts its exit code. @returns its stdout */
export async function prints(
  t: TestContext,
  args: readonly string[],
  options?: CommandOptions,
  expectedCode = 0,
): Promise<string> {
  const { code, stdout, stderr } = await runCommand(t, args, options);
  assert.equal(code, expectedCode, `dragonlock ${args.join(' ')}\nstdout: ${stdout}\nstderr: ${stderr}`);
  return stdout;
}

/** Whether a process (or, negative, a group) exists. A zombie exists until its parent has waited for it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
