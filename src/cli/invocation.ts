/** One run of the command: its global options, its terminal, its client. */
import type { Command } from 'commander';
import type { DragonLock } from '../client/dragon-lock.ts';
import type { DragonLockOptions } from '../client/options.ts';
import { systemAfter } from '../shared/clock.ts';
import { exitCodes, UsageError } from './exit-codes.ts';
import { readToken } from './files.ts';
import { parseDuration } from './parse.ts';
import { Terminal } from './terminal.ts';

export interface GlobalOptions {
  readonly url?: string;
  readonly account?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly timeout?: string;
  readonly json?: boolean;
  readonly color: boolean;
}

const closeMsMax = 2000;

export class Invocation {
  readonly terminal = new Terminal();
  exitCode: number = exitCodes.done;
  readonly #program: Command;
  #client: DragonLock | undefined;

  constructor(program: Command) {
    this.#program = program;
  }

  get global(): GlobalOptions {
    return this.#program.opts<GlobalOptions>();
  }

  get json(): boolean {
    return this.global.json === true;
  }

  /** The options for a connection to the server. @throws UsageError */
  connection(): DragonLockOptions & { readonly url: string } {
    const { global } = this;
    const token = this.#token();
    this.terminal.secret = token;
    return {
      url: global.url || process.env['DRAGONLOCK_URL'] || 'http://127.0.0.1:8081',
      token,
      timeout: global.timeout === undefined ? undefined : parseDuration(global.timeout, '--timeout'),
      coalesce: false,
    };
  }

  account(): string {
    const account = this.global.account || process.env['DRAGONLOCK_ACCOUNT'];
    if (!account) throw new UsageError('account: expected --account NAME or DRAGONLOCK_ACCOUNT, got neither');
    return account;
  }

  /** @throws UsageError */
  async client(): Promise<DragonLock> {
    if (this.#client !== undefined) return this.#client;
    const options = { ...this.connection(), account: this.account() };
    // Load the client only when needed, to keep help and completion fast.
    const { DragonLock } = await import('../client/dragon-lock.ts');
    this.#client = withUsageErrors(() => new DragonLock(options));
    return this.#client;
  }

  /** Closes the client, for a short time at most; the server cleans up when the connections end. */
  async close(): Promise<void> {
    if (this.#client === undefined) return;
    const late = new Promise<void>((resolve) => void systemAfter(closeMsMax, resolve));
    await Promise.race([this.#client.close(), late]);
  }

  #token(): string | undefined {
    const { token, tokenFile } = this.global;
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
