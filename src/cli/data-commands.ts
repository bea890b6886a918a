/** The commands for what a server keeps: keys, counters, sequences, rate limits. */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command-spec.ts';

const key: ArgumentSpec = { name: 'key', names: 'key' };
const name: ArgumentSpec = { name: 'name' };
const ifVersion: OptionSpec = { long: 'if-version', value: 'n', about: 'only if the key has this version' };

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
      name: 'merge',
      about: 'merge a JSON patch (RFC 7396) into the value: null removes a member',
      args: [key, { name: 'patch', about: 'JSON; - reads it from stdin' }],
      options: [ifVersion],
      load: async () => (await import('./kv.ts')).mergeKey,
    },
    {
      name: 'del',
      about: 'delete the key; a missing key is no error',
      args: [{ ...key, optional: true }],
      options: [
        ifVersion,
        {
          long: 'prefix',
          value: 'text',
          names: 'key',
          about: 'delete all keys that begin with this, and print how many',
        },
        { long: 'all', about: 'delete all keys of the account' },
      ],
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
      options: [{ long: 'ttl', value: 'duration', about: 'a counter that this makes ends after this' }],
      load: async () => (await loadCounter()).addToCounter,
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
      name: 'list',
      about: 'list counters in order, with their values',
      args: [{ name: 'prefix', optional: true, about: 'only names that begin with this' }],
      load: async () => (await loadCounter()).listCounters,
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

const limit: CommandSpec = {
  name: 'limit',
  about: 'take from a rate limit, and print what is left; exits with 1 if too little is left',
  args: [name],
  options: [
    { long: 'rate', value: 'n', required: true, about: 'so much comes back in each time of --per' },
    { long: 'per', value: 'duration', about: 'default 1s' },
    { long: 'burst', value: 'n', about: 'the most that can be there at once; default: the rate, rounded up' },
    { long: 'cost', value: 'n', about: 'take N (default 1); 0: only look' },
    { long: 'wait', value: 'duration', about: 'wait until there is enough, for at most this' },
  ],
  load: async () => (await import('./limit.ts')).limitCommand,
};

export const dataCommands: readonly CommandSpec[] = [kv, counter, sequence, limit];
