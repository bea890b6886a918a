/** Parts of strings, and strings that are numbers. */
import type { StringOp } from '../../../protocol/operations/string-op.ts';
import { floatOf, integerOf, keyOf } from '../argument.ts';
import type { OpsPlan, RespCommandSpec } from '../command.ts';
import { refuseCommand } from '../resp-error.ts';
import { writeFirst } from '../results.ts';
import { jsonOfArgument } from '../value.ts';

function ops(operations: readonly StringOp[]): OpsPlan {
  return { kind: 'ops', ops: operations, write: writeFirst };
}

function add(args: readonly string[], sign: 1 | -1): OpsPlan {
  const n = args.length === 2 ? 1 : integerOf(args[2]!);
  return ops([{ kind: 'add', key: keyOf(args[1]!), n: sign * n }]);
}

function range(args: readonly string[]): OpsPlan {
  return ops([{ kind: 'range', key: keyOf(args[1]!), start: integerOf(args[2]!), end: integerOf(args[3]!) }]);
}

function setRange(args: readonly string[]): OpsPlan {
  const offset = integerOf(args[2]!);
  if (offset < 0) return refuseCommand('ERR offset is out of range');
  return ops([{ kind: 'setRange', key: keyOf(args[1]!), offset, value: jsonOfArgument(args[3]!) }]);
}

const bitOffsetMax = 2 ** 32 - 1;

function bitOffset(argument: string): number {
  const offset = integerOf(argument, 'ERR bit offset is not an integer or out of range');
  return offset < 0 || offset > bitOffsetMax
    ? refuseCommand('ERR bit offset is not an integer or out of range')
    : offset;
}

function bitOf(argument: string): 0 | 1 {
  if (argument === '0') return 0;
  return argument === '1' ? 1 : refuseCommand('ERR bit is not an integer or out of range');
}

const group = 'string';
const write = { flags: ['write', 'denyoom', 'fast'], keys: [1, 1, 1], group, scope: 'write' } as const;
const read = { flags: ['readonly', 'fast'], keys: [1, 1, 1], group, scope: 'read' } as const;
const integers = 'Integers are exact within ±(2^53−1), not 2^63.';

export const stringPartCommands: readonly RespCommandSpec[] = [
  {
    ...write,
    name: 'append',
    arity: 3,
    usage: 'key value',
    summary: 'Adds bytes to the end of a key',
    plan: (args) => ops([{ kind: 'append', key: keyOf(args[1]!), value: jsonOfArgument(args[2]!) }]),
  },
  {
    ...read,
    name: 'strlen',
    arity: 2,
    usage: 'key',
    summary: 'The number of bytes of a key',
    plan: (args) => ops([{ kind: 'length', key: keyOf(args[1]!) }]),
  },
  {
    ...write,
    name: 'setrange',
    arity: 4,
    usage: 'key offset value',
    summary: 'Overwrites a part of a key',
    plan: setRange,
  },
  { ...read, name: 'getrange', arity: 4, usage: 'key start end', summary: 'Reads a part of a key', plan: range },
  { ...read, name: 'substr', arity: 4, usage: 'key start end', summary: 'As GETRANGE', plan: range },
  {
    ...write,
    name: 'incr',
    arity: 2,
    usage: 'key',
    summary: 'Adds one',
    differs: integers,
    plan: (args) => add(args, 1),
  },
  {
    ...write,
    name: 'decr',
    arity: 2,
    usage: 'key',
    summary: 'Subtracts one',
    differs: integers,
    plan: (args) => add(args, -1),
  },
  {
    ...write,
    name: 'incrby',
    arity: 3,
    usage: 'key n',
    summary: 'Adds an integer',
    differs: integers,
    plan: (args) => add(args, 1),
  },
  {
    ...write,
    name: 'decrby',
    arity: 3,
    usage: 'key n',
    summary: 'Subtracts an integer',
    differs: integers,
    plan: (args) => add(args, -1),
  },
  {
    ...write,
    name: 'incrbyfloat',
    arity: 3,
    usage: 'key n',
    summary: 'Adds a number',
    differs: 'Computes with doubles (17 digits), not with long doubles.',
    plan: (args) => ops([{ kind: 'addFloat', key: keyOf(args[1]!), n: floatOf(args[2]!) }]),
  },
  {
    ...write,
    name: 'setbit',
    arity: 4,
    usage: 'key offset bit',
    summary: 'Sets one bit, and returns what it was',
    plan: (args) => ops([{ kind: 'setBit', key: keyOf(args[1]!), offset: bitOffset(args[2]!), bit: bitOf(args[3]!) }]),
  },
  {
    ...read,
    name: 'getbit',
    arity: 3,
    usage: 'key offset',
    summary: 'Reads one bit',
    plan: (args) => ops([{ kind: 'getBit', key: keyOf(args[1]!), offset: bitOffset(args[2]!) }]),
  },
];
