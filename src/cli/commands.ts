/**
 * The command line as a table: parsing, help and completion are derived from it, and each command loads its own file
 * only when it runs, so that a short call starts fast.
 */
import type { Invocation, Options } from './invocation.ts';

export interface Parsed {
  readonly args: readonly string[];
  readonly options: Options;
  /** The arguments after `--`; they are at the end of `args` too. */
  readonly afterDashes: readonly string[] | undefined;
}

export type Run = (invocation: Invocation, parsed: Parsed) => Promise<void>;

export interface OptionSpec {
  readonly long: string;
  readonly short?: string;
  /** The name of its value; absent: it takes none. */
  readonly value?: string;
  readonly required?: true;
  readonly names?: Names;
  readonly about: string;
}

/** What completion proposes for an argument, or for the value of an option. */
export type Names = 'key' | 'lock' | readonly string[];

export interface ArgumentSpec {
  readonly name: string;
  readonly optional?: true;
  /** Takes all that follow. */
  readonly rest?: true;
  readonly names?: Names;
  readonly about?: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly about: string;
  readonly usage?: string;
  readonly args?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  readonly commands?: readonly CommandSpec[];
  readonly hidden?: true;
  /** Options that are not declared are arguments. */
  readonly passesOptions?: true;
  readonly load?: () => Promise<Run>;
}

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

const loadQueue = async (): Promise<typeof import('./queue.ts')> => import('./queue.ts');
const queueName: ArgumentSpec = { name: 'name', about: 'name of the queue' };
const messageId: ArgumentSpec = { name: 'id', about: 'ID of the message' };

const queue: CommandSpec = {
  name: 'queue',
  about: 'messages that are worked on once',
  commands: [
    {
      name: 'send',
      about: 'enqueue a message, and print its ID; the message is a string',
      args: [queueName, { name: 'data', about: '- reads it from stdin, unchanged' }],
      options: [
        { long: 'json-value', short: 'j', about: 'parse the message as JSON' },
        { long: 'group', value: 'name', about: 'deliver those of one group strictly one after the other' },
        { long: 'dedup', value: 'id', about: 'enqueue it once for this id' },
        { long: 'delay', value: 'duration', about: 'deliver it after this' },
        { long: 'ttl', value: 'duration', about: 'drop it after this' },
        { long: 'priority', value: 'n', about: '0 to 9; higher ones are delivered first' },
      ],
      load: async () => (await loadQueue()).sendMessage,
    },
    {
      name: 'take',
      about: 'take messages, and print ID, lock and data; exits with 1 if there is none',
      args: [queueName],
      options: [
        { long: 'max', value: 'n', about: 'take at most N messages (default 1)' },
        { long: 'ttl', value: 'duration', about: 'they are delivered again after this (default 30s)' },
        { long: 'wait', short: 'w', value: 'duration', about: 'wait at most this long for a message' },
      ],
      load: async () => (await loadQueue()).takeMessages,
    },
    {
      name: 'ack',
      about: 'a message is done; without its lock, a dead one is deleted',
      args: [queueName, messageId, { name: 'lock', optional: true, about: 'of its delivery' }],
      load: async () => (await loadQueue()).ackMessage,
    },
    {
      name: 'nack',
      about: 'give a message back, to be tried again',
      args: [queueName, messageId, { name: 'lock', about: 'of its delivery' }],
      options: [
        { long: 'delay', value: 'duration', about: 'deliver it again after this' },
        { long: 'error', value: 'text', about: 'shown to the next consumer' },
        { long: 'return', about: 'it was not begun: the attempt does not count' },
      ],
      load: async () => (await loadQueue()).nackMessage,
    },
    {
      name: 'work',
      about: 'run a command for each message, with the message on stdin; exit code 0 acks it',
      usage: 'NAME [options] -- COMMAND [ARGUMENT…]',
      args: [queueName, { name: 'command', optional: true, rest: true, about: 'after --' }],
      options: [
        { long: 'concurrency', short: 'c', value: 'n', about: 'run N commands at a time (default 1)' },
        {
          long: 'ttl',
          value: 'duration',
          about: 'a message is delivered again this long after we vanish (default 30s)',
        },
      ],
      load: async () => (await import('./queue-work.ts')).workQueue,
    },
    {
      name: 'list',
      about: 'list queues with what is in them',
      args: [{ name: 'prefix', optional: true, about: 'only names that begin with this' }],
      load: async () => (await loadQueue()).listQueues,
    },
    {
      name: 'stat',
      about: 'show what is in a queue',
      args: [queueName],
      load: async () => (await loadQueue()).showQueue,
    },
    {
      name: 'peek',
      about: 'look at messages and take none',
      args: [queueName],
      options: [
        { long: 'state', value: 'state', about: 'ready (default), inflight, delayed, dead or blocked' },
        { long: 'limit', value: 'n', about: 'at most N messages (default 100)' },
      ],
      load: async () => (await loadQueue()).peekQueue,
    },
    {
      name: 'pause',
      about: 'deliver nothing until the queue is resumed',
      args: [queueName],
      load: async () => (await loadQueue()).pauseQueue,
    },
    {
      name: 'resume',
      about: 'deliver again',
      args: [queueName],
      load: async () => (await loadQueue()).resumeQueue,
    },
    {
      name: 'purge',
      about: 'empty the queue at once, and print how many messages it had',
      args: [queueName],
      options: [{ long: 'forget', about: 'forget its policy and what it has seen, too' }],
      load: async () => (await loadQueue()).purgeQueue,
    },
    {
      name: 'redrive',
      about: 'try dead and blocked messages again, at most 1000, and print how many',
      args: [queueName],
      options: [
        { long: 'skip', about: 'drop them instead' },
        { long: 'id', value: 'id', about: 'only this message' },
        { long: 'group', value: 'name', about: 'only messages of this group' },
      ],
      load: async () => (await loadQueue()).redriveQueue,
    },
    {
      name: 'policy',
      about: 'print the policy; with options, set it first: what is left out has its default',
      args: [queueName],
      options: [
        { long: 'max-attempts', value: 'n', about: 'deliveries before --on-fail; 0: endless (default 5)' },
        { long: 'on-fail', value: 'what', about: 'dlq (default), drop or block' },
        { long: 'parallel', value: 'n', about: 'messages out at a time; 0: any' },
        { long: 'max-messages', value: 'n', about: 'messages in the queue; 0: any' },
        { long: 'fifo', about: 'messages without a group form one line' },
        { long: 'retention', value: 'duration', about: 'messages are dropped after this' },
        { long: 'dedup-window', value: 'duration', about: 'how long a --dedup counts, or pending (default 5m)' },
      ],
      load: async () => (await loadQueue()).changePolicy,
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
  commands: [lock, locks, kv, counter, sequence, queue, ...others],
};
