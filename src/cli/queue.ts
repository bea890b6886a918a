/** `dragonlock queue`: send, take, ack, nack, list, stat, peek, pause, resume, purge, redrive, policy; work is in queue-work.ts. */
import type { Delivery } from '../client/queue-batch.ts';
import type { QueueStats } from '../client/queue-options.ts';
import type { Run } from './command-spec.ts';
import { NegativeResult, UsageError } from './exit-codes.ts';
import { readInput } from './files.ts';
import { formatDuration, formatKey } from './format.ts';
import type { Invocation, Options } from './invocation.ts';
import { parseDuration, parseInteger, parseJson } from './parse.ts';

export const sendMessage: Run = async (invocation, { args, options }) => {
  const [name = '', given = ''] = args;
  const text = given === '-' ? readInput('-') : given;
  const data = options['json-value'] ? parseJson(text, 'the message') : text;
  const { group, dedup, priority } = options;
  const { id, duplicate } = await (await invocation.client()).queue(name).send(data, {
    group: textOf(group),
    dedup: textOf(dedup),
    delay: durationOf(options, 'delay'),
    ttl: durationOf(options, 'ttl'),
    priority: typeof priority === 'string' ? parseInteger(priority, '--priority') : undefined,
  });
  const { terminal, json } = invocation;
  if (json) return terminal.json({ Queue: name, ID: id, ...(duplicate && { Duplicate: true }) });
  terminal.line(id);
  if (duplicate) terminal.errorLine('It was enqueued before, under the same --dedup; nothing was added.');
};

export const takeMessages: Run = async (invocation, { args, options }) => {
  const { max } = options;
  const client = await invocation.client();
  const dequeue = {
    queue: args[0]!,
    max: typeof max === 'string' ? parseInteger(max, '--max') : undefined,
    ttl: durationOf(options, 'ttl'),
    wait: durationOf(options, 'wait'),
  };
  const { messages = [] } = await client.batch({ dequeue });
  if (messages.length === 0) throw new NegativeResult(`There is no message in the queue ${JSON.stringify(args[0])}.`);
  for (const message of messages) {
    if (invocation.json) invocation.terminal.json(wireMessage(message));
    else invocation.terminal.line(`${message.id}\t${message.lock}\t${JSON.stringify(message.data)}`);
  }
};

export const ackMessage: Run = async (invocation, { args }) => {
  const [queue = '', id = '', lock] = args;
  const receipt = { queue, id, ...(lock !== undefined && { lock: parseInteger(lock, 'lock') }) };
  await (await invocation.client()).batch({ ack: [receipt] });
};

export const nackMessage: Run = async (invocation, { args, options }) => {
  const [queue = '', id = '', lock = ''] = args;
  const how = {
    delay: durationOf(options, 'delay'),
    error: textOf(options['error']),
    return: options['return'] === true,
  };
  const receipt = { queue, id, lock: parseInteger(lock, 'lock') };
  await (await invocation.client()).batch({ nack: [{ ...receipt, ...how }] });
};

export const listQueues: Run = async (invocation, { args }) => {
  const rows: string[][] = [];
  for await (const stats of (await invocation.client()).queues.list(args[0] ?? '')) {
    if (invocation.json) invocation.terminal.json(wireStats(stats));
    else rows.push(rowOf(stats));
  }
  if (rows.length > 0) invocation.terminal.table(columns, rows);
};

export const showQueue: Run = async (invocation, { args }) => {
  const stats = await (await invocation.client()).queue(args[0]!).stats();
  if (invocation.json) return invocation.terminal.json(wireStats(stats));
  invocation.terminal.table(columns, [rowOf(stats)]);
};

const columns = ['QUEUE', 'READY', 'OUT', 'DELAYED', 'DEAD', 'BLOCKED', 'OLDEST', 'CONSUMERS', 'STATE'];

function rowOf(stats: QueueStats): string[] {
  const { queue, ready, inFlight, delayed, dead, blocked, oldest, consumers, paused } = stats;
  const counts = [ready, inFlight, delayed, dead, blocked].map(String);
  return [formatKey(queue), ...counts, formatDuration(oldest), String(consumers), paused ? 'paused' : ''];
}

const states = ['ready', 'inflight', 'delayed', 'dead', 'blocked'] as const;

export const peekQueue: Run = async (invocation, { args, options }) => {
  const { state = 'ready', limit } = options;
  const wanted = states.find((each) => each === state);
  if (wanted === undefined) {
    throw new UsageError(`--state: expected one of ${states.join(', ')}, got ${JSON.stringify(state)}`);
  }
  const most = typeof limit === 'string' ? parseInteger(limit, '--limit') : 100;
  const { messages } = await (await invocation.client()).queue(args[0]!).peek({ state: wanted, limit: most });
  for (const { id, data, attempts, lastError, group } of messages) {
    if (invocation.json) {
      invocation.terminal.json({
        ID: id,
        Data: data,
        Group: group,
        State: wanted,
        Attempts: attempts,
        LastError: lastError,
      });
    } else invocation.terminal.line(`${id}\t${attempts}\t${JSON.stringify(data)}${lastError ? `\t${lastError}` : ''}`);
  }
};

export const pauseQueue: Run = async (invocation, { args }) => (await invocation.client()).queue(args[0]!).pause();
export const resumeQueue: Run = async (invocation, { args }) => (await invocation.client()).queue(args[0]!).resume();

export const purgeQueue: Run = async (invocation, { args, options }) => {
  const queue = (await invocation.client()).queue(args[0]!);
  print(invocation, 'Purged', options['forget'] ? await queue.delete() : await queue.purge());
};

export const redriveQueue: Run = async (invocation, { args, options }) => {
  const { skip, id, group } = options;
  const queue = (await invocation.client()).queue(args[0]!);
  const how = skip ? 'skip' : 'retry';
  print(invocation, skip ? 'Skipped' : 'Redriven', await queue.redrive(how, { id: textOf(id), group: textOf(group) }));
};

export const changePolicy: Run = async (invocation, { args, options }) => {
  const queue = (await invocation.client()).queue(args[0]!);
  const { 'max-attempts': maxAttempts, 'on-fail': onFail, parallel, 'max-messages': maxMessages } = options;
  if (Object.keys(options).length > 0) {
    await queue.setPolicy({
      maxAttempts: integerOf(maxAttempts, '--max-attempts'),
      onFail: textOf(onFail) as 'dlq' | undefined,
      parallel: integerOf(parallel, '--parallel'),
      maxMessages: integerOf(maxMessages, '--max-messages'),
      fifo: options['fifo'] === true ? true : undefined,
      retention: durationOf(options, 'retention'),
      deadRetention: durationOf(options, 'dead-retention'),
      backoff: {
        min: durationOf(options, 'backoff-min'),
        max: durationOf(options, 'backoff-max'),
        factor: numberOf(options['backoff-factor'], '--backoff-factor'),
      },
      dedupWindow: options['dedup-window'] === 'pending' ? 'pending' : durationOf(options, 'dedup-window'),
    });
  }
  const { policy } = await queue.stats();
  invocation.terminal.line(JSON.stringify(policy));
};

function print({ terminal, json }: Invocation, name: string, count: number): void {
  if (json) terminal.json({ [name]: count });
  else terminal.line(String(count));
}

function textOf(option: string | true | undefined): string | undefined {
  return typeof option === 'string' ? option : undefined;
}

function integerOf(option: string | true | undefined, name: string): number | undefined {
  return typeof option === 'string' ? parseInteger(option, name) : undefined;
}

function numberOf(option: string | true | undefined, name: string): number | undefined {
  if (typeof option !== 'string') return undefined;
  const number = Number(option);
  if (option.trim() === '' || !Number.isFinite(number))
    throw new UsageError(`${name}: expected a number, got ${option}`);
  return number;
}

export function durationOf(options: Options, name: string): number | undefined {
  const text = options[name];
  return typeof text === 'string' ? parseDuration(text, `--${name}`) : undefined;
}

function wireMessage({ id, data, group, attempts, at, lock, till, lastError }: Delivery): object {
  return {
    ID: id,
    Data: data,
    Group: group,
    Attempts: attempts,
    At: at,
    Lock: lock,
    TillMs: till,
    LastError: lastError,
  };
}

function wireStats(stats: QueueStats): object {
  return {
    Queue: stats.queue,
    Ready: stats.ready,
    InFlight: stats.inFlight,
    Delayed: stats.delayed,
    Dead: stats.dead,
    Blocked: stats.blocked,
    Groups: stats.groups,
    BlockedGroups: stats.blockedGroups,
    Bytes: stats.bytes,
    OldestMs: stats.oldest,
    Consumers: stats.consumers,
    Paused: stats.paused,
    Policy: stats.policy,
  };
}
