/**
 * The command line as a table: parsing, help and completion are derived from it, and each command loads its own file
 * only when it runs, so that a short call starts fast.
 */
import { backupCommands } from './backup-commands.ts';
import type { CommandSpec, OptionSpec } from './command-spec.ts';
import { dataCommands } from './data-commands.ts';
import { queueCommands } from './queue-commands.ts';
import { taskCommands } from './task-commands.ts';
import { scriptCommands } from './script-commands.ts';

export const globalOptions = [
  { long: 'url', value: 'url', about: 'address of the server (DRAGONLOCK_URL; default http://127.0.0.1:8081)' },
  { long: 'account', value: 'name', about: 'account that owns the locks and keys (DRAGONLOCK_ACCOUNT)' },
  {
    long: 'token',
    value: 'token',
    about: 'visible in the list of processes: prefer DRAGONLOCK_TOKEN or --token-file',
  },
  { long: 'token-file', value: 'file', about: 'read the token from this file (DRAGONLOCK_TOKEN_FILE)' },
  { long: 'timeout', value: 'duration', about: 'for one call, with its retries (default 15s)' },
  { long: 'json', about: 'print JSON, one document a line, with the names of the HTTP API' },
  { long: 'no-color', about: 'no colors (also: NO_COLOR)' },
  { long: 'version', short: 'V', about: 'print the version' },
  { long: 'help', short: 'h', about: 'print this help' },
] as const satisfies readonly OptionSpec[];

export const shells = ['bash', 'fish', 'zsh'] as const;

const lock: CommandSpec = {
  name: 'lock',
  about: 'run a command while holding a lock, or several',
  usage: 'NAME… [options] -- COMMAND [ARGUMENT…]',
  args: [
    { name: 'name', names: 'lock', about: 'name of the lock; several are taken together' },
    { name: 'command', optional: true, rest: true, about: 'after --' },
  ],
  options: [
    { long: 'wait', short: 'w', value: 'duration', about: 'wait at most this long (default: without limit)' },
    { long: 'no-wait', short: 'n', about: 'do not wait: exit with 75 if the lock is busy' },
    { long: 'ttl', value: 'duration', about: 'the lock expires this long after its holder vanishes (default 30s)' },
    { long: 'conflict-exit-code', short: 'E', value: 'n', about: 'exit with this instead of 75 if the lock is busy' },
    { long: 'meta', value: 'json', about: 'shown to other clients instead of host, process and command' },
    { long: 'read', about: 'hold it together with other readers' },
    { long: 'limit', value: 'n', about: 'take one of N permits, 2 to 10000, instead of all of it' },
  ],
  load: async () => (await import('./lock.ts')).runLock,
};

const locks: CommandSpec = {
  name: 'locks',
  about: 'list held locks with their holders and waiters',
  args: [{ name: 'prefix', optional: true, names: 'lock', about: 'only names that begin with this' }],
  options: [
    {
      long: 'force-unlock',
      value: 'name',
      names: 'lock',
      about: 'take this lock from its holder instead (needs the scope force)',
    },
  ],
  commands: [
    {
      name: 'watch',
      about: 'print who holds a lock, then each grant and each end of a lease, until interrupted',
      args: [{ name: 'name', names: 'lock' }],
      options: [
        { long: 'if-version', value: 'n', about: 'start when the lock has another version than N' },
        { long: 'once', about: 'end after the first line' },
      ],
      load: async () => (await import('./locks.ts')).watchLocks,
    },
  ],
  load: async () => (await import('./locks.ts')).runLocks,
};

const serverConfig: OptionSpec = {
  long: 'config',
  value: 'file',
  about: 'default: config.yml in the working directory, if there is one',
};

const others: readonly CommandSpec[] = [
  {
    name: 'batch',
    about: 'run a batch of the HTTP API, or an array of batches, and print the reply',
    options: [{ long: 'file', short: 'f', value: 'file', required: true, about: 'JSON; - reads stdin' }],
    load: async () => (await import('./batch.ts')).runBatch,
  },
  {
    name: 'usage',
    about: 'what the account has stored, and what it may store',
    options: [
      {
        long: 'recount',
        about: 'compare the counts of a stopped server with its content; exits with 1 if they differ',
      },
      { long: 'data-dir', value: 'directory', about: 'with --recount: of the server' },
    ],
    load: async () => (await import('./usage.ts')).showUsage,
  },
  {
    name: 'export',
    about: 'write all that the account has as lines of JSON, as of one revision',
    options: [
      { long: 'file', short: 'f', value: 'file', about: 'write to this file instead of stdout' },
      { long: 'resume', about: 'go on with a file whose export was interrupted' },
    ],
    load: async () => (await import('./account.ts')).exportAccount,
  },
  {
    name: 'import',
    about: 'put what an export has into the account, over what is there (needs the scope admin)',
    args: [{ name: 'file', about: 'the export; - reads stdin' }],
    options: [
      { long: 'resume', value: 'place', about: 'go on where an import of this file has stopped' },
      { long: 'partial', about: 'take a file whose export was interrupted, as far as it goes' },
    ],
    load: async () => (await import('./account.ts')).importAccount,
  },
  {
    name: 'account',
    about: 'the account as a whole',
    commands: [
      {
        name: 'delete',
        about: 'delete everything that the account has, and wait until it is gone (needs the scope admin)',
        args: [{ name: 'name', about: 'of the account' }],
        options: [{ long: 'no-wait', about: 'do not wait until all is gone' }],
        load: async () => (await import('./account.ts')).deleteAccount,
      },
    ],
  },
  {
    name: 'status',
    about: 'version, readiness, latency and some metrics of the server; exits with 69 if it does not serve',
    load: async () => (await import('./status.ts')).showStatus,
  },
  {
    name: 'serve',
    about: 'run the server from a checkout; takes the options of npm start',
    usage: '[--config FILE] [--listen HOST:PORT] [--data-dir DIRECTORY]',
    args: [{ name: 'options', optional: true, rest: true }],
    passesOptions: true,
    load: async () => (await import('./serve.ts')).serve,
  },
  {
    name: 'config',
    about: 'the configuration of the server',
    commands: [
      {
        name: 'check',
        about: 'list the errors of a configuration, each with its place; exits with 1 if there are any',
        options: [serverConfig],
        load: async () => (await import('./config.ts')).checkConfig,
      },
    ],
  },
  {
    name: 'doctor',
    about: 'look whether this machine is fit for the server; exits with 1 if something is not',
    options: [serverConfig],
    load: async () => (await import('./doctor.ts')).runDoctor,
  },
  {
    name: 'health',
    about: 'exit with 0 if the server of this configuration is ready, for supervisors of containers',
    options: [serverConfig],
    load: async () => (await import('./doctor.ts')).runHealth,
  },
  {
    name: 'cluster',
    about: 'several machines over one database (under construction: docs/cluster.md)',
    commands: [
      {
        name: 'init',
        about: 'make the tables of a cluster in the database of cluster.engine',
        options: [serverConfig],
        load: async () => (await import('./cluster.ts')).initCluster,
      },
      {
        name: 'status',
        about: 'show its nodes, and which cells have no owner',
        options: [serverConfig],
        load: async () => (await import('./cluster.ts')).showCluster,
      },
    ],
  },
  {
    name: 'completion',
    about: `print a completion script for ${shells.join(', ')}`,
    args: [{ name: 'shell', names: shells }],
    load: async () => (await import('./completion.ts')).printScript,
  },
  {
    name: '__complete',
    about: 'print candidates for the last of these words',
    args: [{ name: 'words', optional: true, rest: true }],
    hidden: true,
    load: async () => (await import('./completion.ts')).printCandidates,
  },
];

export const program: CommandSpec = {
  name: 'dragonlock',
  about: 'Locks, keys, counters, sequences, queues and batches of a Dragon Lock server.',
  commands: [lock, locks, ...dataCommands, queueCommands, taskCommands, scriptCommands, ...backupCommands, ...others],
};
