/**
 * Makes the `Config` of the server from command line, environment and config.yml. A flag wins over the environment, the
 * environment over the file, the file over the defaults. One error reports all problems, each with its place:
 * `config.yml:12:3: limits.body_bytes_max: expected an integer from 1024 to 33554432 (bytes), got "8MB"`.
 */
import { hash } from 'node:crypto';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { accountShare, accountShares, limitRelations, type Limits } from '../../shared/limits.ts';
import { parseStorageUrl } from '../../backup/storage/storage-url.ts';
import { ConfigFileReader } from './config-file.ts';
import { configDefaults, type Config, type ConfigFile, type TokenConfig } from '../../front-end/config-schema.ts';
import { isLoopback, parseListen } from './listen-address.ts';

export const usage = `Usage: npm start -- [--config FILE] [--listen HOST:PORT] [--data-dir DIRECTORY]

  --config FILE         default: config.yml in the working directory, if there is one
  --listen HOST:PORT    default: 127.0.0.1:8081; also DRAGONLOCK_LISTEN; port 0 takes any free one
  --data-dir DIRECTORY  default: ./data; also DRAGONLOCK_DATA_DIR
  --help, --version     print this, or the version, and exit

docs/config.md has all settings.
`;

/** @returns what the command line asks for instead of a server; undefined: a server */
export function askedFor(argv: readonly string[]): 'help' | 'version' | undefined {
  // Whatever else is there, or is wrong: somebody who asks for help gets it.
  if (argv.includes('--help') || argv.includes('-h')) return 'help';
  return argv.includes('--version') ? 'version' : undefined;
}

/** The server cannot start with this configuration. The message is for people and may have several lines. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

export interface ConfigSources {
  /** Without node and script: `process.argv.slice(2)`. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `os.availableParallelism()`. */
  readonly cores: number;
  /** Throws what `fs.readFileSync` throws. */
  readonly readFile?: (file: string) => string;
}

/** `auto` starts no more front ends: measure first whether more help. */
const frontEndsAutoMax = 4;

/** @throws ConfigError */
export function loadConfig({ argv, env, cores, readFile = readText }: ConfigSources): Config {
  const flags = parseFlags(argv);
  const file = new ConfigFileReader(flags.config ?? 'config.yml', flags.config === undefined ? 'optional' : 'required');
  const content = file.read(readFile);
  const merged = merge(content);

  const listenSource = firstGiven(
    ['--listen', flags.listen],
    ['DRAGONLOCK_LISTEN', env['DRAGONLOCK_LISTEN']],
    [file.place(['listen']), merged.listen],
  );
  const listen = parseListen(listenSource.value);
  if (listen === undefined) {
    file.problem(`${listenSource.name}: expected host:port or [IPv6]:port, got ${JSON.stringify(listenSource.value)}`);
  }
  const dataDir = firstGiven(
    ['--data-dir', flags['data-dir']],
    ['DRAGONLOCK_DATA_DIR', env['DRAGONLOCK_DATA_DIR']],
    ['', merged.data_dir],
  ).value;

  const tokens = readTokens(content.tokens ?? [], file);
  if (listen !== undefined && (content.tokens ?? []).length === 0 && !isLoopback(listen.host)) {
    file.problem(
      `${listenSource.name}: ${listenSource.value} can be reached from other machines, and no tokens are configured; ` +
        'expected a loopback address such as 127.0.0.1:8081, or tokens',
    );
  }
  const resp = respOf(merged.resp, readFile, file, tokens.length > 0);
  checkRelations(merged, file);
  checkAccounts(merged, file);
  checkBackup(merged, file);
  if (file.problems.length > 0 || listen === undefined) throw new ConfigError(file.problems);
  const { ui, limits, accounts, journal, backup, log } = merged;
  const shards = merged.shards === 'auto' ? Math.max(1, cores - 1) : merged.shards;
  const threads = merged.http.threads === 'auto' ? Math.min(cores, frontEndsAutoMax) : merged.http.threads;
  const http = { ...merged.http, threads };
  return { listen, ui, data_dir: dataDir, shards, tokens, http, resp, limits, accounts, journal, backup, log };
}

function readText(file: string): string {
  return fs.readFileSync(file, 'utf8');
}

function parseFlags(argv: readonly string[]): { config?: string; listen?: string; 'data-dir'?: string } {
  const text = { type: 'string' } as const;
  try {
    const options = { config: text, listen: text, 'data-dir': text };
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new ConfigError([`${error instanceof Error ? error.message : String(error)}\n\n${usage}`]);
  }
}

type Source = readonly [name: string, value: string | undefined];

/** An empty environment variable counts as not set. */
function firstGiven(...sources: readonly [...Source[], readonly [string, string]]): { name: string; value: string } {
  for (const [name, value] of sources) {
    if (value !== undefined && value !== '') return { name, value };
  }
  const [name, value] = sources.at(-1) ?? ['', ''];
  return { name, value: value ?? '' };
}

type Auto = number | 'auto';
type Merged = Omit<Config, 'listen' | 'tokens' | 'shards' | 'http' | 'resp'> & {
  readonly listen: string;
  readonly shards: Auto;
  readonly http: Omit<Config['http'], 'threads'> & { readonly threads: Auto };
  readonly resp: NonNullable<ConfigFile['resp']>;
};

function merge(file: ConfigFile): Merged {
  return {
    listen: file.listen ?? configDefaults.listen,
    ui: file.ui ?? configDefaults.ui,
    data_dir: file.data_dir ?? configDefaults.data_dir,
    shards: file.shards ?? configDefaults.shards,
    http: { ...configDefaults.http, ...file.http },
    resp: { ...configDefaults.resp, ...file.resp },
    limits: limitsOf(file.limits ?? {}),
    accounts: file.accounts ?? configDefaults.accounts,
    journal: { ...configDefaults.journal, ...file.journal },
    backup: backupOf(file.backup ?? {}),
    log: { ...configDefaults.log, ...file.log },
  };
}

/** Where Redis clients are served. Files of certificates are read now, so that a wrong path is one of the problems. */
function respOf(
  { listen: text = '', tls }: Merged['resp'],
  readFile: (file: string) => string,
  file: ConfigFileReader,
  withTokens: boolean,
): Config['resp'] {
  if (text === '') return { listen: undefined, tls: undefined };
  const listen = parseListen(text);
  if (listen === undefined)
    file.problemAt(['resp', 'listen'], `expected host:port or [IPv6]:port, got ${JSON.stringify(text)}`);
  else if (!withTokens && !isLoopback(listen.host)) {
    file.problemAt(
      ['resp', 'listen'],
      `${text} can be reached from other machines, and no tokens are configured; ` +
        'expected a loopback address such as 127.0.0.1:6379, or tokens',
    );
  }
  if (tls === undefined) return { listen, tls };
  const read = (name: 'cert' | 'key'): string => {
    try {
      return readFile(tls[name]);
    } catch (error) {
      file.problemAt(
        ['resp', 'tls', name],
        `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      );
      return '';
    }
  };
  return { listen, tls: { cert: read('cert'), key: read('key') } };
}

/** Digits of a token's hash that are its name when it has none. */
const nameDigits = 8;

/** What the file leaves out has its default; a limit of accounts leaves something of the server's to others. */
function limitsOf(file: Partial<Limits>): Limits {
  const limits = { ...configDefaults.limits, ...file };
  const shares = Object.entries(accountShares)
    .filter(([mine]) => !(mine in file))
    .map(([mine, all]) => [mine, Math.min(limits[mine as keyof Limits], accountShare(limits[all]))]);
  return { ...limits, ...Object.fromEntries(shares) } as Limits;
}

function readTokens(listed: NonNullable<ConfigFile['tokens']>, file: ConfigFileReader): TokenConfig[] {
  const seen = new Map<string, number>();
  const names = new Map<string, number>();
  return listed.map(({ token, sha256, name: given, accounts, scopes }, i) => {
    if ((token === undefined) === (sha256 === undefined)) {
      file.problemAt(['tokens', i], `expected either token or sha256, got ${token === undefined ? 'none' : 'both'}`);
    }
    const digest = sha256?.toLowerCase() ?? hash('sha256', token ?? '', 'hex');
    const before = seen.get(digest);
    if (before !== undefined)
      file.problemAt(['tokens', i], `the same token as tokens[${before}]; expected each only once`);
    seen.set(digest, i);
    if (given !== undefined && given === token)
      file.problemAt(['tokens', i, 'name'], 'the token itself; expected a name, which logs may show');
    const name = given ?? digest.slice(0, nameDigits);
    const namesake = names.get(name);
    if (namesake !== undefined && before === undefined)
      file.problemAt(
        ['tokens', i],
        `the same name as tokens[${namesake}], ${JSON.stringify(name)}; expected each only once`,
      );
    names.set(name, i);
    return { sha256: digest, name, accounts, scopes };
  });
}

/** Reports, in the terms of the file, which limits of accounts are beyond those of the server, or given twice. */
function checkAccounts({ limits, accounts }: Merged, file: ConfigFileReader): void {
  const names = new Map<string, number>();
  accounts.forEach(({ name, waiters_max = 0, watchers_max = 0 }, i) => {
    const before = names.get(name);
    if (before !== undefined)
      file.problemAt(['accounts', i, 'name'], `the same account as accounts[${before}]; expected each only once`);
    names.set(name, i);
    const { waiters_per_shard_max, watchers_max: watchers } = limits;
    if (waiters_max > waiters_per_shard_max) {
      const expected = `expected at most limits.waiters_per_shard_max (${waiters_per_shard_max})`;
      file.problemAt(['accounts', i, 'waiters_max'], `${expected}, got ${waiters_max}`);
    }
    if (watchers_max > watchers) {
      file.problemAt(
        ['accounts', i, 'watchers_max'],
        `expected at most limits.watchers_max (${watchers}), got ${watchers_max}`,
      );
    }
  });
}

function backupOf(file: NonNullable<ConfigFile['backup']>): Config['backup'] {
  const { s3, ...rest } = file;
  return { ...configDefaults.backup, ...rest, s3: { ...configDefaults.backup.s3, ...s3 } };
}

/** Reports what is wrong with the place of the backups. */
function checkBackup(
  { backup: { url, keep_moments_days, keep_copies_days, s3 } }: Merged,
  file: ConfigFileReader,
): void {
  if (url === '') return;
  const place = parseStorageUrl(url);
  if (typeof place === 'string') file.problemAt(['backup', 'url'], place);
  if (keep_copies_days < keep_moments_days)
    file.problemAt(
      ['backup', 'keep_copies_days'],
      `expected at least backup.keep_moments_days (${keep_moments_days}), got ${keep_copies_days}`,
    );
  if ((s3.access_key_id === '') !== (s3.secret_access_key_file === ''))
    file.problemAt(['backup', 's3'], 'expected both access_key_id and secret_access_key_file, or none, got one');
}

/** Reports, in the terms of the file, which of `limitRelations` do not hold. */
function checkRelations(merged: Merged, file: ConfigFileReader): void {
  for (const { inner, times, outer } of limitRelations) {
    const [least, got] = [times * valueAt(merged, inner), valueAt(merged, outer)];
    if (least <= got) continue;
    const product = times === 1 ? inner : `${times} × ${inner}`;
    if (times === 1) file.problemAt(inner.split('.'), `expected at most ${outer} (${got}), got ${least}`);
    else file.problemAt(outer.split('.'), `expected at least ${product} (${least}), got ${got}`);
  }
}

/** @param name of a key within a section: `limits.body_bytes_max` */
function valueAt(merged: Merged, name: string): number {
  const [section = '', key = ''] = name.split('.');
  return (merged as unknown as Record<string, Record<string, number>>)[section]![key]!;
}
