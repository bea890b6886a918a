/** Strings: what Redis calls a key with a value. */
import type { CheckOperation } from '../../../protocol/operations/kv.ts';
import type { SetCondition, SetTill, StringOp, ValueCondition } from '../../../protocol/operations/string-op.ts';
import { integerBetween, keyOf, syntaxError } from '../argument.ts';
import type { RespCommandSpec, OpsPlan, RespClient } from '../command.ts';
import { refuseCommand } from '../resp-error.ts';
import { writeAll, writeFirst, writeUnlessFailed, writeWhetherDone, type WriteResults } from '../results.ts';
import { futureTill, tillOptions } from '../till.ts';
import { jsonOfArgument } from '../value.ts';
import { integer, ok } from '../writer.ts';

function ops(operations: readonly StringOp[], write: WriteResults = writeFirst): OpsPlan {
  return { kind: 'ops', ops: operations, write };
}

/** Reads a value to store. */
export function storedValue(argument: string, client: RespClient): string {
  const json = jsonOfArgument(argument);
  const most = client.context.limits.value_bytes_max;
  if (json.length * 3 > most && Buffer.byteLength(json) > most)
    return refuseCommand('ERR string exceeds maximum allowed size (limits.value_bytes_max)');
  return json;
}

interface SetOptions {
  condition?: SetCondition;
  till?: SetTill;
  old?: true;
}

function setOptions(given: readonly string[], command: string): SetOptions {
  const options: SetOptions = {};
  for (let at = 0; at < given.length; at += 1) {
    const name = given[at]!.toUpperCase();
    if (name === 'GET') options.old = true;
    else if (name === 'KEEPTTL' && options.till === undefined) options.till = { kind: 'keep' };
    else if ((name === 'NX' || name === 'XX') && options.condition === undefined)
      options.condition = { kind: name === 'NX' ? 'nx' : 'xx' };
    else if ((name === 'IFEQ' || name === 'IFNE') && options.condition === undefined && at + 1 < given.length)
      options.condition = { kind: name === 'IFEQ' ? 'eq' : 'ne', value: jsonOfArgument(given[++at]!) };
    else if (tillOptions.has(name) && options.till === undefined && at + 1 < given.length)
      options.till = futureTill(name, given[++at]!, command);
    else return refuseCommand(syntaxError);
  }
  return options;
}

function set(args: readonly string[], client: RespClient): OpsPlan {
  const op = { kind: 'set', key: keyOf(args[1]!), value: storedValue(args[2]!, client) } as const;
  return ops([args.length === 3 ? op : { ...op, ...setOptions(args.slice(3), 'set') }]);
}

function setFor(unit: 'EX' | 'PX') {
  return (args: readonly string[], client: RespClient): OpsPlan => {
    const till = futureTill(unit, args[2]!, args[0]!.toLowerCase());
    return ops([{ kind: 'set', key: keyOf(args[1]!), value: storedValue(args[3]!, client), till }]);
  };
}

function getEx(args: readonly string[]): OpsPlan {
  const key = keyOf(args[1]!);
  const get = { kind: 'get', key } as const;
  if (args.length === 2) return ops([get]);
  const name = args[2]!.toUpperCase();
  if (name === 'PERSIST' && args.length === 3) return ops([get, { kind: 'persist', key }]);
  if (!tillOptions.has(name) || args.length !== 4) return refuseCommand(syntaxError);
  return ops([get, { kind: 'expire', key, till: futureTill(name, args[3]!, 'getex') }]);
}

function pairs(given: readonly string[], client: RespClient, till?: SetTill): StringOp[] {
  const sets: StringOp[] = [];
  for (let at = 0; at < given.length; at += 2) {
    const set = { kind: 'set', key: keyOf(given[at]!), value: storedValue(given[at + 1]!, client) } as const;
    sets.push(till === undefined ? set : { ...set, till });
  }
  return sets;
}

function refuseOdd(args: readonly string[]): void {
  if (args.length % 2 === 0) refuseCommand(`ERR wrong number of arguments for '${args[0]!.toLowerCase()}' command`);
}

const done = writeUnlessFailed(ok);
const one = writeUnlessFailed(integer(1));
const zeroWhenRefused = (code: string): string | undefined => (code === 'precondition_failed' ? integer(0) : undefined);

function setPairsIf(sets: readonly StringOp[], exists: boolean | undefined): OpsPlan {
  const check: CheckOperation[] =
    exists === undefined ? [] : [...new Set(sets.map(({ key }) => key))].map((key) => ({ key, exists }));
  return { kind: 'ops', ops: sets, write: one, check, failed: zeroWhenRefused };
}

function mSetEx(args: readonly string[], client: RespClient): OpsPlan {
  const count = integerBetween(args[1]!, 1);
  const options = args.slice(2 + 2 * count);
  if (args.length < 2 + 2 * count) return refuseCommand("ERR wrong number of arguments for 'msetex' command");
  const { condition, till, old } = setOptions(options, 'msetex');
  if (old !== undefined || condition?.kind === 'eq' || condition?.kind === 'ne') return refuseCommand(syntaxError);
  const exists = condition === undefined ? undefined : condition.kind === 'xx';
  return setPairsIf(pairs(args.slice(2, 2 + 2 * count), client, till), exists);
}

function deleteIf(args: readonly string[]): OpsPlan {
  const key = keyOf(args[1]!);
  if (args.length === 2) return ops([{ kind: 'delete', key }]);
  const name = args[2]!.toUpperCase();
  if (args.length !== 4 || (name !== 'IFEQ' && name !== 'IFNE')) return refuseCommand(syntaxError);
  const condition: ValueCondition = { kind: name === 'IFEQ' ? 'eq' : 'ne', value: jsonOfArgument(args[3]!) };
  return ops([{ kind: 'delete', key, condition }]);
}

const group = 'string';
const write = { flags: ['write', 'denyoom', 'fast'], keys: [1, 1, 1], group, scope: 'write' } as const;
const read = { flags: ['readonly', 'fast'], keys: [1, 1, 1], group, scope: 'read' } as const;

export const stringCommands: readonly RespCommandSpec[] = [
  {
    ...write,
    name: 'set',
    arity: -3,
    usage: 'key value [NX | XX | IFEQ value | IFNE value] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]',
    summary: 'Sets a key',
    plan: set,
  },
  {
    ...read,
    name: 'get',
    arity: 2,
    usage: 'key',
    summary: 'Reads a key',
    plan: (args) => ops([{ kind: 'get', key: keyOf(args[1]!) }]),
  },
  {
    ...write,
    name: 'setnx',
    arity: 3,
    usage: 'key value',
    summary: 'Sets a key that does not exist',
    plan: (args, client) =>
      ops(
        [{ kind: 'set', key: keyOf(args[1]!), value: storedValue(args[2]!, client), condition: { kind: 'nx' } }],
        writeWhetherDone,
      ),
  },
  {
    ...write,
    name: 'setex',
    arity: 4,
    usage: 'key seconds value',
    summary: 'Sets a key with a time to live',
    plan: setFor('EX'),
  },
  {
    ...write,
    name: 'psetex',
    arity: 4,
    usage: 'key milliseconds value',
    summary: 'Sets a key with a time to live',
    plan: setFor('PX'),
  },
  {
    ...write,
    name: 'getset',
    arity: 3,
    usage: 'key value',
    summary: 'Sets a key, and returns what it was',
    plan: (args, client) =>
      ops([{ kind: 'set', key: keyOf(args[1]!), value: storedValue(args[2]!, client), old: true }]),
  },
  {
    ...write,
    flags: ['write', 'fast'],
    name: 'getdel',
    arity: 2,
    usage: 'key',
    summary: 'Reads a key and deletes it',
    plan: (args) => ops([{ kind: 'delete', key: keyOf(args[1]!), old: true }]),
  },
  {
    ...write,
    flags: ['write', 'fast'],
    name: 'getex',
    arity: -2,
    usage: 'key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]',
    summary: 'Reads a key and changes its time to live',
    plan: getEx,
  },
  {
    ...read,
    keys: [1, -1, 1],
    name: 'mget',
    arity: -2,
    usage: 'key [key …]',
    summary: 'Reads several keys as of one moment',
    plan: (args) =>
      ops(
        args.slice(1).map((key) => ({ kind: 'get', key: keyOf(key) })),
        writeAll,
      ),
  },
  {
    ...write,
    keys: [1, -1, 2],
    name: 'mset',
    arity: -3,
    usage: 'key value [key value …]',
    summary: 'Sets several keys at once',
    plan(args, client) {
      refuseOdd(args);
      return ops(pairs(args.slice(1), client), done);
    },
  },
  {
    ...write,
    keys: [1, -1, 2],
    name: 'msetnx',
    arity: -3,
    usage: 'key value [key value …]',
    summary: 'Sets several keys if none of them exists',
    plan(args, client) {
      refuseOdd(args);
      return setPairsIf(pairs(args.slice(1), client), false);
    },
  },
  {
    ...write,
    flags: ['write', 'denyoom', 'movablekeys'],
    keysIn: (args) => args.slice(2, 2 + 2 * (Number(args[1]) || 0)).filter((_, i) => i % 2 === 0),
    name: 'msetex',
    arity: -4,
    usage: 'numkeys key value [key value …] [NX | XX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]',
    summary: 'Sets several keys with one time to live',
    differs: 'As in Redis 8.4.',
    plan: mSetEx,
  },
  {
    ...write,
    flags: ['write', 'fast'],
    name: 'delex',
    arity: -2,
    usage: 'key [IFEQ value | IFNE value]',
    summary: 'Deletes a key if it has, or has not, this value',
    differs: 'As in Redis 8.4, without digests.',
    plan: deleteIf,
  },
  {
    ...write,
    flags: ['write', 'fast'],
    name: 'delifeq',
    arity: 3,
    usage: 'key value',
    summary: 'Deletes a key if it has this value: how a lock is released',
    differs: 'As in Valkey 9.',
    plan: (args) =>
      ops([{ kind: 'delete', key: keyOf(args[1]!), condition: { kind: 'eq', value: jsonOfArgument(args[2]!) } }]),
  },
];
