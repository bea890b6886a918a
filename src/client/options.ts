import { anInteger, durationMs, gotText, type Duration } from './checks.ts';
import { InvalidError } from './errors.ts';
import { optionFault, type NamesOf } from './option-names.ts';

/** Options of a client, with their defaults from the environment. */
export interface DragonLockOptions {
  /** URL of the server. Default: `DRAGONLOCK_URL`, or `http://127.0.0.1:8081`. */
  readonly url?: string | undefined;
  /** The account whose keys and locks these are. Default: `DRAGONLOCK_ACCOUNT`. */
  readonly account?: string | undefined;
  /** The token that the server knows. Default: `DRAGONLOCK_TOKEN`; without it, the client sends no token. */
  readonly token?: string | undefined;
  /**
   * Milliseconds, or `'15s'`, for one call with all its retries, in addition to the wait that it asks for. Default
   * 15,000.
   */
  readonly timeout?: Duration | undefined;
  /**
   * Where several machines share out the accounts: the name of the one to ask, which answers even if the account is on
   * another one. For whoever moves accounts, with the scope `admin`. Default: `DRAGONLOCK_MACHINE`.
   */
  readonly machine?: string | undefined;
  /** Calls of one turn of the event loop travel in one request. Default true. */
  readonly coalesce?: boolean | undefined;
  /**
   * Each write carries an idempotency id, so that it can be sent again if its reply was lost. Each costs the server a
   * record, kept for twice the `timeout`. Without ids such a write fails with `outcome_unknown`. Default true.
   */
  readonly retryWrites?: boolean | undefined;
  /** Connections for calls that do not wait; each waiting call and each watch has one of its own. Default 8. */
  readonly connections?: number | undefined;
  /**
   * On SIGTERM and SIGINT, closes the client, so that nothing stays locked for its ttl, and then ends the process by the
   * same signal, unless the application listens to it too. Default false.
   */
  readonly releaseOnSignals?: boolean | undefined;
}

export interface Settings {
  /** Without a trailing slash. */
  readonly url: string;
  readonly account: string;
  readonly token: string | undefined;
  readonly machine: string | undefined;
  readonly timeoutMs: number;
  readonly coalesce: boolean;
  readonly retryWrites: boolean;
  readonly connections: number;
  readonly releaseOnSignals: boolean;
}

const optionNames: NamesOf<DragonLockOptions> = {
  url: true,
  account: true,
  token: true,
  machine: true,
  timeout: true,
  coalesce: true,
  retryWrites: true,
  connections: true,
  releaseOnSignals: true,
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Combines options and environment. @throws TypeError that names the option */
export function settingsOf(options: DragonLockOptions, environment: Environment): Settings {
  const fault = optionFault(options, optionNames);
  if (fault !== undefined) throw new TypeError(fault);
  const url = options.url ?? set(environment['DRAGONLOCK_URL']) ?? 'http://127.0.0.1:8081';
  const account = options.account ?? set(environment['DRAGONLOCK_ACCOUNT']);
  const token = options.token ?? set(environment['DRAGONLOCK_TOKEN']);
  if (typeof url !== 'string') throw new TypeError(`url: expected a string, got ${gotText(url)}`);
  if (account === undefined) {
    throw new TypeError('account: expected it as an option or in DRAGONLOCK_ACCOUNT, got neither');
  }
  if (!/^[\w.-]{1,64}$/.test(account)) {
    throw new TypeError(`account: expected 1 to 64 characters of A-Z a-z 0-9 . _ -, got ${JSON.stringify(account)}`);
  }
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new TypeError('token: expected printable ASCII without spaces, got other characters');
  }
  const machine = options.machine ?? set(environment['DRAGONLOCK_MACHINE']);
  if (machine !== undefined && !/^[\w.-]{1,64}$/.test(machine)) {
    throw new TypeError(`machine: expected 1 to 64 characters of A-Z a-z 0-9 . _ -, got ${JSON.stringify(machine)}`);
  }
  return {
    url: baseUrl(url),
    account,
    token,
    machine,
    timeoutMs: asTypeError(() => durationMs(options.timeout ?? 15_000, 'timeout')),
    coalesce: yesOrNo(options.coalesce ?? true, 'coalesce'),
    retryWrites: yesOrNo(options.retryWrites ?? true, 'retryWrites'),
    connections: asTypeError(() => anInteger(options.connections ?? 8, 'connections', 1)),
    releaseOnSignals: yesOrNo(options.releaseOnSignals ?? false, 'releaseOnSignals'),
  };
}

/** A variable that is set to nothing counts as unset, as in a shell. */
function set(variable: string | undefined): string | undefined {
  return variable === '' ? undefined : variable;
}

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new TypeError(`url: expected the server's address, e.g. http://127.0.0.1:8081, got ${JSON.stringify(text)}`);
  }
  if (url.username !== '' || url.password !== '')
    throw new TypeError('url: expected no credentials, got some; use token');
  return url.href.replace(/\/+$/, '');
}

function yesOrNo(value: boolean, name: string): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${name}: expected true or false, got ${gotText(value)}`);
  return value;
}

/** A constructor has no server to ask and throws at once: its mistakes are TypeErrors. */
export function asTypeError<Result>(check: () => Result): Result {
  try {
    return check();
  } catch (error) {
    throw error instanceof InvalidError ? new TypeError(error.message) : error;
  }
}
