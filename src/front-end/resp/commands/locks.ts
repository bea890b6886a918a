/** What Redis has not: locks with fencing, counters, sequences. Their names are apart from the keys. */
import type { LockOperation } from '../../../protocol/operations/lock.ts';
import type { CounterOperation } from '../../../protocol/operations/counter.ts';
import { lockDurMsMax, ttlMsMax } from '../../../shared/limits.ts';
import type { ErrorCode } from '../../../protocol/errors.ts';
import { integerBetween, integerOf, keyOf, optionsOf, syntaxError } from '../argument.ts';
import type { CommandPlan, RespCommandSpec, OpsPlan, Plan, RespClient } from '../command.ts';
import { jsonArgument, plainLock, sharedLock, unlockOperation } from './lock-arguments.ts';
import { refuseCommand } from '../resp-error.ts';
import { array, bulk, bytesOf, integer, ok, type Writer } from '../writer.ts';

interface LeaseBody {
  readonly Lock: number;
  readonly TillMs: number;
  readonly Recover?: { readonly Lock: number; readonly Why: string; readonly Meta?: unknown };
}

function writeLease(body: string, writer: Writer): string {
  const { Lock, TillMs, Recover } = JSON.parse(body) as LeaseBody;
  return array([integer(Lock), integer(TillMs), Recover === undefined ? writer.nil : recovered(Recover, writer)]);
}

function recovered({ Lock, Why, Meta }: NonNullable<LeaseBody['Recover']>, writer: Writer): string {
  const meta = Meta === undefined ? writer.nil : bulk(bytesOf(JSON.stringify(Meta)));
  return array([integer(Lock), bulk(Why), meta]);
}

const nilWhenBusy = (code: ErrorCode, writer: Writer): string | undefined =>
  code === 'not_locked' ? writer.nil : undefined;
const nilWhenMissing = (code: ErrorCode, writer: Writer): string | undefined =>
  code === 'not_found' ? writer.nil : undefined;

function lock(args: readonly string[], { account }: RespClient): CommandPlan {
  const command = { kind: 'batch', account, format: 'lock.acquire', lock: sharedLock(args) } as const;
  return { kind: 'command', command, write: writeLease, failed: nilWhenBusy };
}

function mutexLock(args: readonly string[], { account }: RespClient): CommandPlan {
  const command = {
    kind: 'mutex.lock',
    account,
    lock: plainLock(args),
  } as const;
  return { kind: 'command', command, write: writeLease, failed: nilWhenBusy };
}

const writeOne = (): string => integer(1);
const writeOk = (): string => ok;

function unlock(args: readonly string[], { account }: RespClient): CommandPlan {
  const command = { kind: 'batch', account, format: 'lock.release', unlock: unlockOperation(args) } as const;
  return { kind: 'command', command, write: writeOne };
}

function mutexUnlock(args: readonly string[], { account }: RespClient): CommandPlan {
  return {
    kind: 'command',
    command: { kind: 'mutex.unlock', account, unlock: unlockOperation(args) },
    write: writeOne,
  };
}

function extend(args: readonly string[], { account }: RespClient): CommandPlan {
  const lock: LockOperation = {
    id: keyOf(args[1]!),
    durMs: integerBetween(args[3]!, 1, lockDurMsMax),
    waitMs: 0,
    extend: integerBetween(args[2]!, 1),
  };
  return { kind: 'command', command: { kind: 'batch', account, format: 'lock.acquire', lock }, write: writeLease };
}

function guard(args: readonly string[]): OpsPlan {
  return { kind: 'ops', ops: [], guard: [{ id: keyOf(args[1]!), fence: integerBetween(args[2]!, 1) }], write: writeOk };
}

const counterVerbs = { ADD: 'add', SET: 'set', MAX: 'max', MIN: 'min' } as const;

function counterOperation(args: readonly string[]): CounterOperation {
  const key = keyOf(args[1]!);
  const verb = args[2]!.toUpperCase();
  if (verb === 'GET' && args.length === 3) return { key, op: 'get', n: 0 };
  if (verb === 'RESET' && args.length === 3) return { key, op: 'reset', n: 0 };
  if (!Object.hasOwn(counterVerbs, verb) || args.length < 4) return refuseCommand(syntaxError);
  const op = counterVerbs[verb as keyof typeof counterVerbs];
  const { FLOOR, CEIL, IFEQ } = optionsOf(args.slice(4), ['FLOOR', 'CEIL', 'IFEQ']);
  if (IFEQ !== undefined && op !== 'set') return refuseCommand('ERR IFEQ goes with SET only');
  if ((FLOOR ?? CEIL) !== undefined && op !== 'add') return refuseCommand('ERR FLOOR and CEIL go with ADD only');
  const [floor, ceil] = [FLOOR, CEIL].map((bound) => (bound === undefined ? undefined : integerOf(bound)));
  if (floor !== undefined && ceil !== undefined && floor > ceil) return refuseCommand('ERR FLOOR is above CEIL');
  return {
    key,
    op,
    n: integerOf(args[3]!),
    ...(floor !== undefined && { floor }),
    ...(ceil !== undefined && { ceil }),
    ...(IFEQ !== undefined && { ifEq: integerOf(IFEQ) }),
  };
}

const writeValue = (body: string): string => integer((JSON.parse(body) as { readonly Value: number }).Value);

function counter(args: readonly string[], { account }: RespClient): CommandPlan {
  const operation = counterOperation(args);
  const { op } = operation;
  const format = op === 'get' ? 'counter.get' : op === 'reset' ? 'counter.reset' : 'counter.add';
  const command = { kind: 'batch', account, format, counter: [operation] } as const;
  return { kind: 'command', command, write: writeValue, failed: nilWhenMissing };
}

const writeBlock = (body: string): string => {
  const { From, To } = JSON.parse(body) as { readonly From: number; readonly To: number };
  return array([integer(From), integer(To)]);
};

function sequence(args: readonly string[], { account }: RespClient): CommandPlan {
  const key = keyOf(args[1]!);
  const verb = (args[2] ?? 'NEXT').toUpperCase();
  if (args.length > (verb === 'NEXT' ? 4 : 3)) return refuseCommand(syntaxError);
  if (verb === 'NEXT') {
    const n = args[3] === undefined ? 1 : integerBetween(args[3], 1);
    const command = { kind: 'batch', account, format: 'sequence.next', sequence: { key, op: 'next', n } } as const;
    return { kind: 'command', command, write: writeBlock };
  }
  if (verb !== 'GET' && verb !== 'RESET') return refuseCommand(syntaxError);
  const op = verb === 'GET' ? 'get' : 'reset';
  const command = { kind: 'batch', account, format: `sequence.${op}`, sequence: { key, op, n: 1 } } as const;
  return { kind: 'command', command, write: writeValue, failed: nilWhenMissing };
}

function getJson(args: readonly string[], { account }: RespClient): CommandPlan {
  return {
    kind: 'command',
    command: { kind: 'batch', account, format: 'kv.get', get: [keyOf(args[1]!)] },
    write(body, writer) {
      const { Value, Version, TillMs } = JSON.parse(body) as {
        readonly Value: unknown;
        readonly Version: number;
        readonly TillMs?: number;
      };
      const till = TillMs === undefined ? writer.nil : integer(TillMs);
      return array([bulk(bytesOf(JSON.stringify(Value))), integer(Version), till]);
    },
    failed: nilWhenMissing,
  };
}

function setJson(args: readonly string[], { account, context }: RespClient): Plan {
  const { VERSION, TTL } = optionsOf(args.slice(3), ['VERSION', 'TTL']);
  const limit = { bytes: context.limits.value_bytes_max, name: 'limits.value_bytes_max' };
  const set = {
    key: keyOf(args[1]!),
    value: jsonArgument(args[2]!, 'value', limit),
    ...(VERSION !== undefined && { version: integerBetween(VERSION, 0) }),
    ...(TTL !== undefined && { ttlMs: integerBetween(TTL, 1, ttlMsMax) }),
  };
  return {
    kind: 'command',
    command: { kind: 'batch', account, format: 'kv.set', set: [set] },
    write: (body) => integer((JSON.parse(body) as { readonly Version: number }).Version),
  };
}

const own = { keys: [1, 1, 1], group: 'dragonlock' } as const;
const write = { ...own, alone: true, flags: ['write', 'denyoom'], scope: 'write' } as const;
/** In a transaction it is a condition of all of it. */
const deciding = { ...own, decides: true, flags: ['write', 'denyoom'], scope: 'write' } as const;
const waiting = { ...write, flags: ['write', 'denyoom', 'blocking'] } as const;

export const lockCommands: readonly RespCommandSpec[] = [
  {
    ...deciding,
    flags: ['write', 'denyoom', 'blocking'],
    name: 'dl.lock',
    arity: -3,
    usage: 'key ttl-ms [WAIT ms] [OWNER owner] [META json] [MODE READ | LIMIT n]',
    differs:
      '`MODE READ`: as a reader; `LIMIT n`: one of n permits; both need OWNER. Within MULTI it does not wait, and EXEC does nothing and answers nil if it is busy',
    summary:
      'Takes a lock: `[handle, till-ms, recover]`, or nil when it is busy; `recover` is `[handle, why, meta]` of a lease that was not given back, or nil',
    plan: lock,
  },
  {
    ...deciding,
    name: 'dl.unlock',
    arity: -3,
    usage: 'key HANDLE handle | OWNER owner | FORCE',
    differs: 'Within MULTI EXEC does nothing and answers `-LOCKLOST` unless it is held so; as with DL.EXTEND',
    summary: 'Gives a lock back: 1, or `-LOCKLOST`; FORCE needs the scope `force`',
    plan: unlock,
  },
  {
    ...deciding,
    name: 'dl.extend',
    arity: 4,
    usage: 'key handle ttl-ms',
    summary: 'Holds a lock for longer: as DL.LOCK, or `-LOCKLOST`',
    plan: extend,
  },
  {
    ...own,
    decides: true,
    flags: ['readonly', 'fast'],
    scope: 'read',
    name: 'dl.guard',
    arity: 3,
    usage: 'key handle',
    summary: 'OK while the handle holds the lock, else `-LOCKLOST`. Within MULTI: EXEC does nothing otherwise',
    plan: guard,
  },
  {
    ...waiting,
    name: 'dl.mlock',
    arity: -3,
    usage: 'key ttl-ms [WAIT ms] [OWNER owner] [META json]',
    summary: 'As DL.LOCK, in memory only: without the disk, and gone with the server',
    plan: mutexLock,
  },
  {
    ...write,
    name: 'dl.munlock',
    arity: -3,
    usage: 'key HANDLE handle | OWNER owner | FORCE',
    summary: 'As DL.UNLOCK, of DL.MLOCK',
    plan: mutexUnlock,
  },
  {
    ...write,
    name: 'dl.counter',
    arity: -3,
    usage: 'key ADD n [FLOOR n] [CEIL n] | SET n [IFEQ n] | MAX n | MIN n | GET | RESET',
    summary: 'A counter: its value afterwards; GET of none is nil',
    plan: counter,
  },
  {
    ...write,
    name: 'dl.seq',
    arity: -2,
    usage: 'key [NEXT [n]] | GET | RESET',
    summary: 'Numbers that are given out once: `[from, to]`',
    plan: sequence,
  },
  {
    ...own,
    alone: true,
    flags: ['readonly', 'fast'],
    scope: 'read',
    name: 'dl.getjson',
    arity: 2,
    usage: 'key',
    summary: '`[json, version, till-ms]`, or nil',
    plan: getJson,
  },
  {
    ...write,
    name: 'dl.setjson',
    arity: -3,
    usage: 'key json [VERSION version] [TTL ms]',
    summary: 'Sets a key to any JSON: its version, or `-VERSIONMISMATCH`',
    plan: setJson,
  },
];
