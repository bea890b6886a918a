/** Keys: deleting, existence, times to live, other names. */
import type { ExpireCondition, StringOp } from '../../../protocol/operations/string-op.ts';
import { integerIn, resultNil } from '../../../protocol/operations/string-op.ts';
import { keyOf, shownArgument } from '../argument.ts';
import type { RespCommandSpec, OpsPlan, Plan } from '../command.ts';
import { refuseCommand } from '../resp-error.ts';
import { writeFirst, writeSum, type WriteResults } from '../results.ts';
import { anyTill } from '../till.ts';
import { bytesOfValue } from '../value.ts';
import { array, bulk, integer, simple } from '../writer.ts';
import { text } from '../command.ts';

function ofEach(kind: 'delete' | 'exists') {
  return (args: readonly string[]): OpsPlan => {
    const ops = args.slice(1).map((key): StringOp => ({ kind, key: keyOf(key) }));
    return { kind: 'ops', ops, write: ops.length === 1 ? writeFirst : writeSum };
  };
}

/** Milliseconds as seconds; what is negative is no time. */
const writeSeconds: WriteResults = ([result = '']) => {
  const ms = integerIn(result);
  return integer(ms < 0 ? ms : Math.floor((ms + 500) / 1000));
};

function timeToLive(unit: 'seconds' | 'milliseconds', at?: true) {
  const write = unit === 'seconds' ? writeSeconds : writeFirst;
  return (args: readonly string[]): OpsPlan => {
    const op = { kind: 'ttl', key: keyOf(args[1]!) } as const;
    return { kind: 'ops', ops: [at === undefined ? op : { ...op, at }], write };
  };
}

const expireOptions: ReadonlySet<string> = new Set(['NX', 'XX', 'GT', 'LT']);

function expireCondition(given: readonly string[]): ExpireCondition | undefined {
  const names = new Set(given.map((option) => option.toUpperCase()));
  for (const name of names) if (!expireOptions.has(name)) return refuseCommand(`ERR Unsupported option ${name}`);
  if (names.has('NX') && names.size > 1)
    return refuseCommand('ERR NX and XX, GT or LT options at the same time are not compatible');
  if (names.has('GT') && names.has('LT'))
    return refuseCommand('ERR GT and LT options at the same time are not compatible');
  if (names.has('NX')) return 'nx';
  if (names.has('GT')) return 'gt';
  if (names.has('LT')) return names.has('XX') ? 'xxlt' : 'lt';
  return names.has('XX') ? 'xx' : undefined;
}

function expire(unit: 'EX' | 'PX' | 'EXAT' | 'PXAT') {
  return (args: readonly string[]): OpsPlan => {
    const till = anyTill(unit, args[2]!, args[0]!.toLowerCase());
    const when = expireCondition(args.slice(3));
    const op = { kind: 'expire', key: keyOf(args[1]!), till } as const;
    return { kind: 'ops', ops: [when === undefined ? op : { ...op, when }], write: writeFirst };
  };
}

const writeType: WriteResults = ([result = '']) => simple(integerIn(result) === 1 ? 'string' : 'none');

/** A value that Redis would keep within the key's object. */
const embeddedMax = 44;

const writeEncoding: WriteResults = ([result = ''], writer) => {
  if (result === resultNil) return writer.nil;
  const bytes = bytesOfValue(result);
  const isInteger = /^(?:0|-?[1-9][0-9]{0,18})$/.test(bytes);
  return bulk(isInteger ? 'int' : bytes.length <= embeddedMax ? 'embstr' : 'raw');
};

const objectHelp = [
  'OBJECT <subcommand> <key>. Subcommands are:',
  'ENCODING: how Redis would keep the value.',
  'REFCOUNT: 1.',
  'IDLETIME: 0.',
  'HELP: this text.',
];

function object(args: readonly string[]): Plan {
  const name = args[1]!.toLowerCase();
  if (name === 'help' && args.length === 2) return text(array(objectHelp.map(simple)));
  if (args.length !== 3) return refuseCommand(`ERR wrong number of arguments for 'object|${name}' command`);
  const key = keyOf(args[2]!);
  if (name === 'encoding') return { kind: 'ops', ops: [{ kind: 'get', key }], write: writeEncoding };
  if (name === 'freq')
    return refuseCommand('ERR An LFU maxmemory policy is not selected, access frequency not tracked.');
  if (name !== 'refcount' && name !== 'idletime')
    return refuseCommand(`ERR unknown subcommand '${shownArgument(args[1])}'. Try OBJECT HELP.`);
  const value = name === 'refcount' ? 1 : 0;
  const write: WriteResults = ([result = ''], writer) => (integerIn(result) === 1 ? integer(value) : writer.nil);
  return { kind: 'ops', ops: [{ kind: 'exists', key }], write };
}

const group = 'generic';
const write = { flags: ['write', 'fast'], keys: [1, 1, 1], group, scope: 'write' } as const;
const read = { flags: ['readonly', 'fast'], keys: [1, 1, 1], group, scope: 'read' } as const;
const latestEnd = 'Ends in the year 10889 at the latest. A changed time to live is a write: a new version, an event.';

export const keyCommands: readonly RespCommandSpec[] = [
  {
    ...write,
    keys: [1, -1, 1],
    name: 'del',
    arity: -2,
    usage: 'key [key …]',
    summary: 'Deletes keys',
    plan: ofEach('delete'),
  },
  {
    ...write,
    keys: [1, -1, 1],
    name: 'unlink',
    arity: -2,
    usage: 'key [key …]',
    summary: 'As DEL',
    plan: ofEach('delete'),
  },
  {
    ...read,
    keys: [1, -1, 1],
    name: 'exists',
    arity: -2,
    usage: 'key [key …]',
    summary: 'How many of the keys exist',
    plan: ofEach('exists'),
  },
  {
    ...read,
    keys: [1, -1, 1],
    name: 'touch',
    arity: -2,
    usage: 'key [key …]',
    summary: 'As EXISTS',
    plan: ofEach('exists'),
  },
  {
    ...read,
    name: 'type',
    arity: 2,
    usage: 'key',
    summary: 'The type of a key',
    differs: 'Always string, or none.',
    plan: (args) => ({ kind: 'ops', ops: [{ kind: 'exists', key: keyOf(args[1]!) }], write: writeType }),
  },
  { ...read, name: 'ttl', arity: 2, usage: 'key', summary: 'Seconds that a key has left', plan: timeToLive('seconds') },
  {
    ...read,
    name: 'pttl',
    arity: 2,
    usage: 'key',
    summary: 'Milliseconds that a key has left',
    plan: timeToLive('milliseconds'),
  },
  {
    ...read,
    name: 'expiretime',
    arity: 2,
    usage: 'key',
    summary: 'When a key ends, in Unix seconds',
    plan: timeToLive('seconds', true),
  },
  {
    ...read,
    name: 'pexpiretime',
    arity: 2,
    usage: 'key',
    summary: 'When a key ends, in Unix milliseconds',
    plan: timeToLive('milliseconds', true),
  },
  {
    ...write,
    name: 'expire',
    arity: -3,
    usage: 'key seconds [NX | XX | GT | LT]',
    summary: 'Gives a key a time to live',
    differs: latestEnd,
    plan: expire('EX'),
  },
  {
    ...write,
    name: 'pexpire',
    arity: -3,
    usage: 'key milliseconds [NX | XX | GT | LT]',
    summary: 'Gives a key a time to live',
    differs: latestEnd,
    plan: expire('PX'),
  },
  {
    ...write,
    name: 'expireat',
    arity: -3,
    usage: 'key unix-seconds [NX | XX | GT | LT]',
    summary: 'Says when a key ends',
    differs: latestEnd,
    plan: expire('EXAT'),
  },
  {
    ...write,
    name: 'pexpireat',
    arity: -3,
    usage: 'key unix-milliseconds [NX | XX | GT | LT]',
    summary: 'Says when a key ends',
    differs: latestEnd,
    plan: expire('PXAT'),
  },
  {
    ...write,
    name: 'persist',
    arity: 2,
    usage: 'key',
    summary: 'Takes the time to live off a key',
    plan: (args) => ({ kind: 'ops', ops: [{ kind: 'persist', key: keyOf(args[1]!) }], write: writeFirst }),
  },
  {
    ...read,
    keys: [2, 2, 1],
    name: 'object',
    arity: -2,
    usage: 'ENCODING | REFCOUNT | IDLETIME key | HELP',
    summary: 'What Redis tells of a value',
    differs: 'ENCODING says what Redis would; the others are constant.',
    subcommands: ['encoding', 'refcount', 'idletime', 'freq', 'help'],
    plan: object,
  },
];
