/** One run of the command: its global options, its terminal, its client. */
import type { DragonLock } from '../client/dragon-lock.ts';
import type { LeaseClock } from '../client/lease-clock.ts';
import type { DragonLockOptions } from '../client/options.ts';
import { systemAfter } from '../shared/clock.ts';
import { exitCodes, UsageError } from './exit-codes.ts';
import { readToken } from './files.ts';
import type { Launch } from './launch.ts';
import { parseDuration } from './parse.ts';
import { Terminal } from './terminal.ts';

/** Values by the long name without dashes; an option without a value is `true`. */
export type Options = Readonly<Record<string, string | true>>;

const closeMsMax = 2000;

export class Invocation {
  readonly terminal = new Terminal();
  readonly launch: Launch;
  exitCode: number = exitCodes.done;
  #globals: Options = {};
  #client: DragonLock | undefined;

  constructor(launch: Launch) {
    this.launch = launch;
  }

  set globals(options: Options) {
    this.#globals = options;
    if (options['no-color']) this.terminal.color = false;
  }

  setGlobal(name: string, value: string): void {
    this.globals = { ...this.#globals, [name]: value };
  }

  get json(): boolean {
    return this.#globals['json'] === true;
  }

  /** The options for a connection to the server. @throws UsageError */
  connection(): DragonLockOptions & { readonly url: string } {
    const timeout = this.#global('timeout');
    const token = this.#token();
    this.terminal.secret = token;
    return {
      url: this.#global('url') || process.env['DRAGONLOCK_URL'] || 'http://127.0.0.1:8081',
      token,
      machine: process.env['DRAGONLOCK_MACHINE'] || undefined,
      timeout: timeout === undefined ? undefined : parseDuration(timeout, '--timeout'),
      coalesce: false,
    };
  }

  account(): string {
    const account = this.#global('account') || process.env['DRAGONLOCK_ACCOUNT'];
    if (!account) throw new UsageError('account: expected --account NAME or DRAGONLOCK_ACCOUNT, got neither');
    return account;
  }

  /** @param more replaces options of the connection; a clock for leases @throws UsageError */
  async client(more: { readonly timeout?: number; readonly clock?: LeaseClock } = {}): Promise<DragonLock> {
    if (this.#client !== undefined) return this.#client;
    const { clock, ...replaced } = more;
    const options = { ...this.connection(), account: this.account(), ...replaced };
    // Load the client only when needed, to keep help and completion fast.
    const [{ DragonLock }, { NodeTransport }] = await Promise.all([
      import('../client/dragon-lock.ts'),
      import('./node-transport.ts'),
    ]);
    this.#client = withUsageErrors(
      () =>
        new DragonLock(options, {
          transport: (settings) => new NodeTransport(settings),
          ...(clock !== undefined && { clock }),
        }),
    );
    return this.#client;
  }

  /** Closes the client, for a short time at most; the server cleans up when the connections end. */
  async close(): Promise<void> {
    if (this.#client === undefined) return;
    const late = new Promise<void>((resolve) => void systemAfter(closeMsMax, resolve));
    await Promise.race([this.#client.close(), late]);
  }

  #global(name: string): string | undefined {
    const value = this.#globals[name];
    return typeof value === 'string' ? value : undefined;
  }

  #token(): string | undefined {
    const token = this.#global('token');
    const tokenFile = this.#global('token-file');
    if (token) return token;
    if (tokenFile) return readToken(tokenFile);
    const { env } = process;
    if (env['DRAGONLOCK_TOKEN']) return env['DRAGONLOCK_TOKEN'];
    // An empty variable counts as unset. Delete it, so that the client does not read it.
    delete env['DRAGONLOCK_TOKEN'];
    return env['DRAGONLOCK_TOKEN_FILE'] ? readToken(env['DRAGONLOCK_TOKEN_FILE']) : undefined;
  }
}

/** Turns a TypeError of the client about its options into a UsageError. */
export function withUsageErrors<Result>(make: () => Result): Result {
  try {
    return make();
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}
