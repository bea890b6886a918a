/** Queues, which Redis has not: messages that are out until they are acked, groups, delays, dead letters. */
import { readMessageId, checkNack, readError } from '../../../protocol/operations/queue-receipts.ts';
import { checkDequeue, checkEnqueue } from '../../../protocol/operations/queue.ts';
import {
  dequeueMax,
  lockDurMsDefault,
  lockDurMsMax,
  priorityMax,
  ttlMsMax,
  waitMsMax,
} from '../../../shared/limits.ts';
import { checked, integerBetween, keyOf, optionsOf } from '../argument.ts';
import type { CommandPlan, RespCommandSpec, RespClient } from '../command.ts';
import { refuseCommand } from '../resp-error.ts';
import { bytesOfValue, jsonOfArgument, textOfArgument } from '../value.ts';
import { array, bulk, bytesOf, integer, type Writer } from '../writer.ts';

function numberOr(given: string | undefined, otherwise: number, min: number, max: number): number {
  return given === undefined ? otherwise : integerBetween(given, min, max);
}

function send(args: readonly string[], { account, context }: RespClient): CommandPlan {
  const { GROUP, DEDUP, DELAY, TTL, PRIORITY } = optionsOf(args.slice(3), [
    'GROUP',
    'DEDUP',
    'DELAY',
    'TTL',
    'PRIORITY',
  ]);
  const data = jsonOfArgument(args[2]!);
  const most = context.limits.value_bytes_max;
  if (Buffer.byteLength(data) > most)
    return refuseCommand(`ERR data: expected at most ${most} bytes as JSON (limits.value_bytes_max)`);
  const operation = {
    key: keyOf(args[1]!),
    data,
    ...(GROUP !== undefined && { group: keyOf(GROUP) }),
    ...(DEDUP !== undefined && { dedup: keyOf(DEDUP) }),
    delayMs: numberOr(DELAY, 0, 0, ttlMsMax),
    ttlMs: numberOr(TTL, 0, 0, ttlMsMax),
    priority: numberOr(PRIORITY, 0, 0, priorityMax),
  };
  const enqueue = [checked(() => checkEnqueue(operation, { ttl: 'TTL', priority: 'PRIORITY' }))];
  return {
    kind: 'command',
    command: { kind: 'batch', account, format: 'queue.send', enqueue },
    write(body) {
      const { ID, Duplicate } = JSON.parse(body) as { readonly ID: string; readonly Duplicate?: true };
      return array([bulk(bytesOf(ID)), integer(Duplicate === true ? 0 : 1)]);
    },
  };
}

interface Message {
  readonly ID: string;
  readonly Data: unknown;
  readonly Lock: number;
  readonly TillMs: number;
  readonly Attempts: number;
  readonly Group?: string;
  readonly At: number;
}

function writeMessages(body: string, writer: Writer): string {
  if (body === '') return array([]);
  const { Messages } = JSON.parse(body) as { readonly Messages: readonly Message[] };
  return array(Messages.map((message) => messageText(message, writer)));
}

function messageText({ ID, Data, Lock, TillMs, Attempts, Group, At }: Message, writer: Writer): string {
  return array([
    bulk(bytesOf(ID)),
    bulk(bytesOfValue(JSON.stringify(Data))),
    integer(Lock),
    integer(TillMs),
    integer(Attempts),
    Group === undefined ? writer.nil : bulk(bytesOf(Group)),
    integer(At),
  ]);
}

function take(args: readonly string[], { account }: RespClient): CommandPlan {
  const { COUNT, GROUPMAX, LEASE, WAIT, ATTEMPT } = optionsOf(args.slice(2), [
    'COUNT',
    'GROUPMAX',
    'LEASE',
    'WAIT',
    'ATTEMPT',
  ]);
  const operation = {
    key: keyOf(args[1]!),
    max: numberOr(COUNT, 1, 1, dequeueMax),
    groupMax: numberOr(GROUPMAX, 1, 1, dequeueMax),
    durMs: numberOr(LEASE, lockDurMsDefault, 1, lockDurMsMax),
    waitMs: numberOr(WAIT, 0, 0, waitMsMax),
    ...(ATTEMPT !== undefined && { attempt: keyOf(ATTEMPT) }),
  };
  const dequeue = checked(() => checkDequeue(operation, 'GROUPMAX'));
  const command = { kind: 'batch', account, format: 'queue.take', dequeue } as const;
  return { kind: 'command', command, write: writeMessages };
}

function idOf(argument: string): string {
  const id = textOfArgument(argument);
  return id === undefined ? refuseCommand('ERR invalid ID') : checked(() => readMessageId(id, 'ID'));
}

function receipt(args: readonly string[]) {
  return { key: keyOf(args[1]!), id: idOf(args[2]!), lock: integerBetween(args[3]!, 1) };
}

const writeOne = (): string => integer(1);

function ack(args: readonly string[], { account }: RespClient): CommandPlan {
  const command = { kind: 'batch', account, format: 'queue.ack', ack: [receipt(args)] } as const;
  return { kind: 'command', command, write: writeOne };
}

function nack(args: readonly string[], { account }: RespClient): CommandPlan {
  const returned = args[4]?.toUpperCase() === 'RETURN';
  const { DELAY, ERROR } = optionsOf(args.slice(returned ? 5 : 4), ['DELAY', 'ERROR']);
  const error = ERROR === undefined ? undefined : textOfArgument(ERROR);
  if (ERROR !== undefined && error === undefined) return refuseCommand('ERR ERROR: expected UTF-8');
  const operation = {
    ...receipt(args),
    ...(DELAY !== undefined && { delayMs: integerBetween(DELAY, 0, ttlMsMax) }),
    ...(error !== undefined && { error: checked(() => readError(error, 'ERROR')) }),
    ...(returned && { returned: true as const }),
  };
  const nacked = [checked(() => checkNack(operation, 'DELAY'))];
  return {
    kind: 'command',
    command: { kind: 'batch', account, format: 'queue.nack', nack: nacked },
    write: writeOne,
  };
}

function extend(args: readonly string[], { account }: RespClient): CommandPlan {
  const extended = [{ ...receipt(args), durMs: integerBetween(args[4]!, 1, lockDurMsMax) }];
  return {
    kind: 'command',
    command: { kind: 'batch', account, format: 'queue.extend', extend: extended },
    write: (body) => integer((JSON.parse(body) as { readonly TillMs: number }).TillMs),
  };
}

const counted = ['Ready', 'InFlight', 'Delayed', 'Dead', 'Blocked'] as const;

function stat(args: readonly string[], { account }: RespClient): CommandPlan {
  return {
    kind: 'command',
    command: { kind: 'queue.stat', account, queue: keyOf(args[1]!) },
    write(body, writer) {
      const stats = JSON.parse(body) as Readonly<Record<(typeof counted)[number], number>>;
      return writer.fields(Object.fromEntries(counted.map((name) => [name.toLowerCase(), integer(stats[name])])));
    },
  };
}

const own = { keys: [1, 1, 1], group: 'dragonlock', alone: true } as const;
const write = { ...own, flags: ['write', 'denyoom'], scope: 'write' } as const;
/** What frees is done when the disk is full, too. */
const settle = { ...own, flags: ['write', 'fast'], scope: 'write' } as const;

export const queueCommands: readonly RespCommandSpec[] = [
  {
    ...write,
    name: 'dl.qsend',
    arity: -3,
    usage: 'queue data [GROUP group] [DEDUP id] [DELAY ms] [TTL ms] [PRIORITY n]',
    summary: 'Puts a message into a queue: `[id, 1]`, or `[id of the first, 0]` for a duplicate',
    plan: send,
  },
  {
    ...own,
    flags: ['write', 'blocking'],
    scope: 'write',
    name: 'dl.qtake',
    arity: -2,
    usage: 'queue [COUNT n] [GROUPMAX n] [LEASE ms] [WAIT ms] [ATTEMPT id]',
    summary:
      'Takes messages: a list of `[id, data, lock, till-ms, attempts, group, at-ms]`, empty when nothing came; they come back if they are not acked before `till-ms`',
    plan: take,
  },
  {
    ...settle,
    name: 'dl.qack',
    arity: 4,
    usage: 'queue id lock',
    summary: 'A message is done: 1, or `-RECEIPTEXPIRED`',
    plan: ack,
  },
  {
    ...settle,
    name: 'dl.qnack',
    arity: -4,
    usage: 'queue id lock [RETURN] [DELAY ms] [ERROR text]',
    summary: 'Gives a message back: 1; with RETURN it was not begun, and the attempt does not count',
    plan: nack,
  },
  {
    ...settle,
    name: 'dl.qextend',
    arity: 5,
    usage: 'queue id lock ms',
    summary: 'Keeps a message for longer: `till-ms`',
    plan: extend,
  },
  {
    ...own,
    flags: ['readonly', 'fast'],
    scope: 'read',
    name: 'dl.qstat',
    arity: 2,
    usage: 'queue',
    summary: 'How many messages are `ready`, `inflight`, `delayed`, `dead` and `blocked`',
    plan: stat,
  },
];
