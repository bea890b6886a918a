/**
 * The command line as a table: parsing, help and completion are derived from it, and each command loads its own file
 * only when it runs, so that a short call starts fast.
 */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command-spec.ts';
import { queueCommands } from './queue-commands.ts';

export type { CommandSpec, Names, OptionSpec, Parsed, Run } from './command-spec.ts';

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

const key: ArgumentSpec = { name: 'key', names: 'key' };
const name: ArgumentSpec = { name: 'name' };
const ifVersion: OptionSpec = { long: 'if-version', value: 'n', about: 'only if the key has this version' };

const lock: CommandSpec = {
  name: 'lock',
  about: 'run a command while holding this lock',
  usage: 'NAME [options] -- COMMAND [ARGUMENT…]',
  args: [
    { name: 'name', names: 'lock', about: 'name of the lock' },
    { name: 'command', optional: true, rest: true, about: 'after --' },
  ],
  options: [
    { long: 'wait', short: 'w', value: 'duration', about: 'wait at most this long (default: without limit)' },
    { long: 'no-wait', short: 'n', about: 'do not wait: exit with 75 if the lock is busy' },
    { long: 'ttl', value: 'duration', about: 'the lock expires this long after its holder vanishes (default 30s)' },
    { long: 'conflict-exit-code', short: 'E', value: 'n', about: 'exit with this instead of 75 if the lock is busy' },
    { long: 'meta', value: 'json', about: 'shown to other clients instead of host, process and command' },
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
  load: async () => (await import('./locks.ts')).runLocks,
};

const kv: CommandSpec = {
  name: 'kv',
  about: 'keys and values',
  commands: [
    {
      name: 'get',
      about: 'print the value: a string as it is, anything else as JSON; exits with 1 if there is no such key',
      args: [key],
      load: async () => (await import('./kv.ts')).getKey,
    },
    {
      name: 'put',
      about: 'set the key; the value is stored as a string',
      args: [key, { name: 'value', about: '- reads it from stdin, unchanged' }],
      options: [
        { long: 'json-value', short: 'j', about: 'parse the value as JSON' },
        ifVersion,
        { long: 'if-absent', about: 'only if the key does not exist' },
        { long: 'ttl', value: 'duration', about: 'the key expires after this' },
      ],
      load: async () => (await import('./kv.ts')).putKey,
    },
    {
      name: 'del',
      about: 'delete the key; a missing key is no error',
      args: [key],
      options: [ifVersion],
      load: async () => (await import('./kv.ts')).deleteKey,
    },
    {
      name: 'list',
      about: 'list keys in order, with versions and values',
      args: [{ name: 'prefix', optional: true, names: 'key', about: 'only keys that begin with this' }],
      options: [
        { long: 'keys', about: 'print only the keys, one a line' },
        { long: 'limit', value: 'n', about: 'list at most N keys' },
      ],
      load: async () => (await import('./kv.ts')).listKeys,
    },
    {
      name: 'watch',
      about: 'print the state of the key and each change of it, one a line',
      args: [key],
      options: [
        { long: 'prefix', about: 'watch all keys that begin with KEY' },
        {
          long: 'if-version',
          value: 'n',
          about: 'start when the key has another version than N; 0: when it exists',
        },
        { long: 'after', value: 'rev', about: 'with --prefix: start with the changes after this revision' },
        { long: 'once', about: 'end after the first line' },
      ],
      load: async () => (await import('./kv-watch.ts')).watchKey,
    },
  ],
};

const loadCounter = async (): Promise<typeof import('./counter.ts')> => import('./counter.ts');

const counter: CommandSpec = {
  name: 'counter',
  about: 'integers that many clients may change at once',
  commands: [
    {
      name: 'get',
      about: 'print the counter; 0 if there is none',
      args: [name],
      load: async () => (await loadCounter()).readCounter('get'),
    },
    {
      name: 'add',
      about: 'add N (default 1; may be negative), and print the result',
      args: [name, { name: 'n', optional: true }],
      load: async () => (await loadCounter()).changeCounter('add'),
    },
    {
      name: 'set',
      about: 'set the counter to N',
      args: [name, { name: 'n' }],
      options: [{ long: 'if-eq', value: 'm', about: 'only if the counter is M' }],
      load: async () => (await loadCounter()).setCounter,
    },
    {
      name: 'max',
      about: 'raise the counter to N if it is lower',
      args: [name, { name: 'n' }],
      load: async () => (await loadCounter()).changeCounter('max'),
    },
    {
      name: 'min',
      about: 'lower the counter to N if it is higher',
      args: [name, { name: 'n' }],
      load: async () => (await loadCounter()).changeCounter('min'),
    },
    {
      name: 'reset',
      about: 'delete the counter, and print its last value',
      args: [name],
      load: async () => (await loadCounter()).readCounter('reset'),
    },
  ],
};

const sequence: CommandSpec = {
  name: 'seq',
  about: 'numbers from 1, each issued once, without gaps',
  commands: [
    {
      name: 'next',
      about: 'take the next number, and print it',
      args: [name],
      options: [{ long: 'block', value: 'n', about: 'take N numbers, and print the first and the last' }],
      load: async () => (await import('./sequence.ts')).nextNumbers,
    },
    {
      name: 'get',
      about: 'print the last number taken; 0 if none was',
      args: [name],
      load: async () => (await import('./sequence.ts')).lastNumber,
    },
    {
      name: 'reset',
      about: 'start again at 1',
      args: [name],
      load: async () => (await import('./sequence.ts')).resetSequence,
    },
  ],
};

const others: readonly CommandSpec[] = [
  {
    name: 'batch',
    about: 'run a batch of the HTTP API, or an array of batches, and print the reply',
    options: [{ long: 'file', short: 'f', value: 'file', required: true, about: 'JSON; - reads stdin' }],
    load: async () => (await import('./batch.ts')).runBatch,
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
        options: [
          {
            long: 'config',
            value: 'file',
            about: 'default: config.yml in the working directory, if there is one',
          },
        ],
        load: async () => (await import('./config.ts')).checkConfig,
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
  commands: [lock, locks, kv, counter, sequence, queueCommands, ...others],
};
