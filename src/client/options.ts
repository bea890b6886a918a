/** Options of a client, with their defaults from the environment. */
export interface DragonLockOptions {
  /** URL of the server. Default: `DRAGONLOCK_URL`, or `http://127.0.0.1:8081`. */
  readonly url?: string | undefined;
  /** Default: `DRAGONLOCK_ACCOUNT`. */
  readonly account?: string | undefined;
  /** Default: `DRAGONLOCK_TOKEN`; without it, the client sends no token. */
  readonly token?: string | undefined;
  /** Milliseconds for one call with all its retries, in addition to the wait that it asks for. Default 15,000. */
  readonly timeout?: number | undefined;
  /** Calls of one turn of the event loop travel in one request. Default true. */
  readonly coalesce?: boolean | undefined;
  /**
   * Each write carries an idempotency id, so that it can be sent again if its reply was lost. Each costs the server a
   * record, kept for twice the `timeout`. Without ids such a write fails with `outcome_unknown`. Default true.
   */
  readonly retryWrites?: boolean | undefined;
  /** Connections for calls that do not wait; each waiting call and each watch has one of its own. Default 8. */
  readonly connections?: number | undefined;
}

export interface Settings {
  /** Without a trailing slash. */
  readonly url: string;
  readonly account: string;
  readonly token: string | undefined;
  readonly timeoutMs: number;
  readonly coalesce: boolean;
  readonly retryWrites: boolean;
  readonly connections: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Combines options and environment. @throws TypeError that names the option */
export function settingsOf(options: DragonLockOptions, environment: Environment): Settings {
  const url = options.url ?? set(environment['DRAGONLOCK_URL']) ?? 'http://127.0.0.1:8081';
  const account = options.account ?? set(environment['DRAGONLOCK_ACCOUNT']);
  const token = options.token ?? set(environment['DRAGONLOCK_TOKEN']);
  if (account === undefined) {
    throw new TypeError('account: expected it as an option or in DRAGONLOCK_ACCOUNT, got neither');
  }
  if (!/^[\w.-]{1,64}$/.test(account)) {
    throw new TypeError(`account: expected 1 to 64 characters of A-Z a-z 0-9 . _ -, got ${JSON.stringify(account)}`);
  }
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new TypeError('token: expected printable ASCII without spaces, got other characters');
  }
  return {
    url: baseUrl(url),
    account,
    token,
    timeoutMs: positive(options.timeout ?? 15_000, 'timeout', 'milliseconds'),
    coalesce: options.coalesce ?? true,
    retryWrites: options.retryWrites ?? true,
    connections: positive(options.connections ?? 8, 'connections', 'a whole number'),
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

function positive(value: number, name: string, what: string): number {
  if (!Number.isFinite(value) || value <= 0) throw new TypeError(`${name}: expected ${what} above 0, got ${value}`);
  return value;
}
