/**
 * Makes the `Config` of the server from command line, environment and config.yml. A flag wins over the environment, the
 * environment over the file, the file over the defaults. One error reports all problems, each with its place:
 * `config.yml:12:3: limits.body_bytes_max: expected an integer from 1024 to 33554432 (bytes), got "8MB"`.
 */
import { badRange } from '../../front-end/request-log-settings.ts';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { accountShare, accountShares, limitRelations, type Limits } from '../../shared/limits.ts';
import { flawOfAllowed } from '../../shared/target-policy.ts';
import { backupOf, checkBackup } from './backup.ts';
import { readClusterConfig } from './cluster.ts';
import { ConfigFileReader } from './config-file.ts';
import { configDefaults, type Config, type ConfigFile } from '../../front-end/config-schema.ts';
import { listenText, type Listen } from '../../front-end/listen.ts';
import { wallMs } from '../../shared/clock.ts';
import { readSecretFile } from '../../shared/secret-file.ts';
import { ActivatedSockets } from './activated-sockets.ts';
import { scriptThreads } from '../../front-end/script-settings.ts';
import { environmentOverrides, splitList, unknownSettings } from './environment.ts';
import { isAmong, isReachable, listenForms, parseListen } from './listen-address.ts';
import { readTls, type FileReaders, type TlsSettings } from './tls-files.ts';
import { readMachines } from './machines.ts';
import { readTokens } from './tokens.ts';

export const usage = `Usage: npm start -- [--config FILE] [--listen HOST:PORT] [--data-dir DIRECTORY]

  --config FILE         default: config.yml in the working directory, if there is one
  --listen HOST:PORT    default: 127.0.0.1:8081; also DRAGONLOCK_LISTEN; port 0 takes any free one; unix:/PATH
                        is a Unix socket; several with commas
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
  /** See `readSecretFile`, which is the default. */
  readonly readSecret?: (file: string) => string;
  /** Of the process, for which systemd may have opened sockets; by default this one. */
  readonly pid?: number;
  /** Milliseconds since the Unix epoch, for certificates; by default the machine's. */
  readonly now?: () => number;
}

/** `auto` starts no more front ends: measure first whether more help. */
const frontEndsAutoMax = 4;

/** @throws ConfigError */
export function loadConfig(sources: ConfigSources): Config {
  const {
    argv,
    env,
    cores,
    readFile = readText,
    readSecret = readSecretFile,
    pid = process.pid,
    now = wallMs,
  } = sources;
  const flags = parseFlags(argv);
  const file = new ConfigFileReader(flags.config ?? 'config.yml', flags.config === undefined ? 'optional' : 'required');
  const content = file.read(readFile, environmentOverrides(env));
  for (const problem of unknownSettings(env)) file.problem(problem);
  const merged = merge(content);

  const activated = new ActivatedSockets(env, pid);
  const hasTokens = (content.tokens ?? []).length > 0 || merged.tokens_file !== '';
  const resp = respOf(merged.resp, { activated, hasTokens, readFile, readSecret, now }, file);
  const context = { activated, hasTokens, file };
  const admin = merged.admin.listen && listenAt(merged.admin.listen, file.place(['admin', 'listen']), context);
  const listenName = flags.listen === undefined ? file.place(['listen']) : '--listen';
  const listen = listenOf(flags.listen === undefined ? merged.listen : splitList(flags.listen), listenName, context);
  if (admin && isAmong(admin, listen))
    file.problemAt(['admin', 'listen'], `${listenText(admin)} is in listen, too; expected another address`);
  const tokens = readTokens({ tokens: content.tokens ?? [], tokensFile: merged.tokens_file, readSecret }, file);
  if (hasTokens && tokens.length === 0 && file.problems.length === 0)
    file.problemAt(['tokens_file'], `${merged.tokens_file} has no tokens; expected at least one`);
  if (merged.http.cors_origins.length > 0 && !hasTokens)
    file.problemAt(['http', 'cors_origins'], 'expected tokens beside it: without them any page could do everything');
  for (const [i, range] of merged.http.trusted_proxies.entries()) {
    const why = badRange(range);
    if (why !== undefined) file.problemAt(['http', 'trusted_proxies', i], why);
  }
  for (const [i, entry] of merged.tasks.allow.entries()) {
    const why = flawOfAllowed(entry);
    if (why !== undefined) file.problemAt(['tasks', 'allow', i], why);
  }
  const httpTls = readTls('http', merged.http.tls, { readFile, readSecret, now }, file);
  checkRelations(merged, file);
  checkAccounts(merged, file);
  checkBackup(merged.backup, file);
  const machines = readMachines(content.machines, file);
  const cluster = readClusterConfig(content, file);
  if (file.problems.length > 0) throw new ConfigError(file.problems);
  const { ui, metrics, limits, accounts, journal, backup, tasks, log } = merged;
  const scripts = { ...merged.scripts, threads: scriptThreads(merged.scripts.threads, cores) };
  const shards = merged.shards === 'auto' ? Math.max(1, cores - 1) : merged.shards;
  const threads = merged.http.threads === 'auto' ? autoThreads(listen, cores) : merged.http.threads;
  const http = { ...merged.http, threads, tls: httpTls, socket_mode: Number.parseInt(merged.http.socket_mode, 8) };
  const data_dir = flags['data-dir'] ?? merged.data_dir;
  return {
    listen: admin ? [...listen, { ...admin, admin: true }] : listen,
    ui,
    metrics,
    data_dir,
    shards,
    tokens,
    http,
    resp,
    limits,
    accounts,
    scripts,
    tasks,
    journal,
    backup,
    machines,
    cluster,
    log,
  };
}

/** A Unix socket, or one that systemd has opened, is served by one front end. */
function autoThreads(listen: readonly Listen[], cores: number): number {
  const fds = listen.reduce((sum, one) => sum + (one.kind === 'fd' ? one.fds.length : 0), 0);
  const useful = listen.some(({ kind }) => kind === 'tcp') ? frontEndsAutoMax : Math.max(1, fds);
  return Math.min(cores, frontEndsAutoMax, useful);
}

interface ListenContext {
  readonly activated: ActivatedSockets;
  readonly hasTokens: boolean;
  readonly file: ConfigFileReader;
}

/** What systemd has opened, and nothing asks for by name, takes the place of `listen`. */
function listenOf(given: string | readonly string[], name: string, context: ListenContext): Listen[] {
  const { activated, file } = context;
  const texts = typeof given === 'string' ? [given] : given;
  const all = texts.flatMap((text) => listenAt(text, name, context) ?? []);
  const rest = activated.takeRest();
  const seen = new Set<string>();
  for (const text of texts) {
    if (seen.has(text)) file.problem(`${name}: ${text} is there twice`);
    seen.add(text);
  }
  return rest === undefined ? all : [...all.filter(({ kind }) => kind === 'fd'), rest];
}

function listenAt(text: string, name: string, { activated, hasTokens, file }: ListenContext): Listen | undefined {
  const listen = parseListen(text, activated);
  if (listen === undefined) {
    const why = text.startsWith('fd:')
      ? `systemd has passed no socket of this name (FileDescriptorName=): ${JSON.stringify(text)}`
      : `expected ${listenForms}, got ${JSON.stringify(text)}`;
    file.problem(`${name}: ${why}`);
  } else if (isReachable(listen) && !hasTokens) {
    const example = name.endsWith('resp.listen') ? '127.0.0.1:6379' : '127.0.0.1:8081';
    file.problem(
      `${name}: ${text} can be reached from other machines, and no tokens are configured; ` +
        `expected a loopback address such as ${example}, or tokens`,
    );
  }
  return listen;
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

type Auto = number | 'auto';
type Merged = Omit<Config, 'listen' | 'tokens' | 'shards' | 'http' | 'resp' | 'scripts' | 'machines' | 'cluster'> & {
  readonly listen: string | readonly string[];
  readonly admin: { readonly listen: string };
  readonly tokens_file: string;
  readonly shards: Auto;
  readonly http: Omit<Config['http'], 'threads' | 'tls' | 'socket_mode'> & {
    readonly threads: Auto;
    readonly tls: TlsSettings;
    readonly socket_mode: string;
  };
  readonly resp: { readonly listen: string; readonly tls: TlsSettings };
  readonly scripts: Omit<Config['scripts'], 'threads'> & { readonly threads: Auto };
};

function merge(file: ConfigFile): Merged {
  return {
    listen: file.listen ?? configDefaults.listen,
    ui: file.ui ?? configDefaults.ui,
    admin: { ...configDefaults.admin, ...file.admin },
    metrics: { ...configDefaults.metrics, ...file.metrics },
    data_dir: file.data_dir ?? configDefaults.data_dir,
    shards: file.shards ?? configDefaults.shards,
    tokens_file: file.tokens_file ?? configDefaults.tokens_file,
    http: { ...configDefaults.http, ...file.http, tls: { ...configDefaults.http.tls, ...file.http?.tls } },
    resp: { ...configDefaults.resp, ...file.resp, tls: { ...configDefaults.resp.tls, ...file.resp?.tls } },
    limits: limitsOf(file.limits ?? {}),
    accounts: file.accounts ?? configDefaults.accounts,
    scripts: { ...configDefaults.scripts, ...file.scripts },
    journal: { ...configDefaults.journal, ...file.journal },
    backup: backupOf(file.backup ?? {}),
    tasks: { ...configDefaults.tasks, ...file.tasks },
    log: { ...configDefaults.log, ...file.log },
  };
}

/** Where Redis clients are served. */
function respOf(
  { listen: text, tls }: Merged['resp'],
  context: Omit<ListenContext, 'file'> & FileReaders,
  file: ConfigFileReader,
): Config['resp'] {
  if (text === '') return { listen: undefined, tls: undefined };
  const listen = listenAt(text, file.place(['resp', 'listen']), { ...context, file });
  return { listen, tls: readTls('resp', tls, context, file) };
}

/** What the file leaves out has its default; a limit of accounts leaves something of the server's to others. */
function limitsOf(file: Partial<Limits>): Limits {
  const limits = { ...configDefaults.limits, ...file };
  const shares = Object.entries(accountShares)
    .filter(([mine]) => !(mine in file))
    .map(([mine, all]) => [mine, Math.min(limits[mine as keyof Limits], accountShare(limits[all]))]);
  return { ...limits, ...Object.fromEntries(shares) } as Limits;
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
