/**
 * Translates a command into the request that a client sends for it, from which the HTTP front end makes that very
 * command. The body of a batch is the contract's, everything else goes over REST.
 */
import { unreachable } from '../../src/shared/assert.ts';
import type { TaskOperation, TaskTarget } from '../../src/protocol/operations/task-definition.ts';
import type { TaskSetting } from '../../src/protocol/operations/task-setting.ts';
import type { LimitOperation } from '../../src/protocol/operations/limit.ts';
import type { CounterOperation } from '../../src/protocol/operations/counter.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import type { IdempotencyRequest } from '../../src/protocol/operations/idempotency.ts';
import type { LockOperation } from '../../src/protocol/operations/lock.ts';
import type { RangeOperation } from '../../src/protocol/operations/kv-pages.ts';
import type { CheckOperation, SetOperation } from '../../src/protocol/operations/kv.ts';
import { linesOfLoad } from './generators/whole-account.ts';
import type { QueueChange } from '../../src/protocol/operations/queue-change.ts';

export interface HttpCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly target: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export function httpCall(command: Command): HttpCall {
  const { account } = command;
  const db = `/db/${account}`;
  switch (command.kind) {
    case 'batch':
      return command.format === 'batch'
        ? { method: 'POST', target: db, body: batchBody(command) }
        : withKey(restCall(db, command), command.idempotency);
    case 'kv.list':
    case 'counter.list':
    case 'lock.list': {
      const { prefix, after, limit } = command;
      return {
        method: 'GET',
        target: `${db}/${command.kind.replace('.list', '')}${query({ prefix, after, limit })}`,
      };
    }
    case 'queue.list': {
      const { prefix, after, limit } = command;
      return { method: 'GET', target: `${db}/queue${query({ prefix, after, limit })}` };
    }
    case 'script.list': {
      const { prefix, after, limit } = command;
      return { method: 'GET', target: `${db}/script${query({ prefix, after, limit })}` };
    }
    case 'script.get':
      return { method: 'GET', target: `${db}/script/${command.id}${query({ version: command.version })}` };
    case 'queue.stat':
      return { method: 'GET', target: `${db}/queue/${command.queue}` };
    case 'queue.peek': {
      const { queue, state, after, limit } = command;
      return { method: 'GET', target: `${db}/peek/${queue}${query({ state, after, limit })}` };
    }
    case 'account.usage':
      return { method: 'GET', target: `${db}/usage` };
    case 'lock.inspect':
      return { method: 'GET', target: `${db}/lock/${command.id}${query({ fence: command.fence })}` };
    case 'mutex.lock':
      return { method: 'POST', target: `${db}/mlock/${command.lock.id}${lockQuery(command.lock)}` };
    case 'mutex.unlock': {
      const { id, fence, owner } = command.unlock;
      return { method: 'POST', target: `${db}/munlock/${id}${unlockQuery({ fence, owner })}` };
    }
    case 'watch.key':
      return {
        method: 'POST',
        target: `/watch/${account}`,
        body: { ID: command.key, Version: command.version, Wait: 0 },
      };
    case 'task.list': {
      const { prefix, after, limit: most, state } = command;
      return { method: 'GET', target: `${db}/task${query({ prefix, after, limit: most, state })}` };
    }
    case 'flow.get':
      return { method: 'GET', target: `${db}/flow/${command.id}` };
    case 'task.get':
      return { method: 'GET', target: `${db}/task/${command.id}` };
    case 'watch.lock':
      return {
        method: 'POST',
        target: `/watch/${account}`,
        body: { LockID: command.id, Version: command.version, Wait: 0 },
      };
    case 'account.export':
      return { method: 'GET', target: `${db}/export?limit=${command.limit}` };
    case 'account.list':
    case 'lock.longest':
    case 'lock.line':
    case 'audit.list':
    case 'task.due':
    case 'task.begin':
      throw new Error(`${command.kind} is for administrators`);
    default:
      return unreachable(command);
  }
}

/** Only for the format `batch`. */
export function batchBody(batch: Batch): object {
  const { lock, locks, unlock, unlocks, guard, check, idempotency, limit, counter, get, range, set } = batch;
  return {
    ...(lock && {
      LockID: lock.id,
      LockDur: lock.durMs / 1000,
      ...(lock.waitMs > 0 && { LockWait: lock.waitMs / 1000 }),
      ...(lock.owner !== undefined && { LockOwner: lock.owner }),
      ...(lock.meta !== undefined && { LockMeta: JSON.parse(lock.meta) as unknown }),
      ...(lock.read !== undefined && { RLock: true }),
      ...(lock.limit !== undefined && { LockLimit: lock.limit }),
      ...(lock.extend !== undefined && { UnlockID: lock.id, Unlock: lock.extend }),
    }),
    ...(locks && {
      LockIDs: locks.map(({ id }) => id),
      LockDur: locks[0]!.durMs / 1000,
      ...(locks[0]!.waitMs > 0 && { LockWait: locks[0]!.waitMs / 1000 }),
      ...(locks[0]!.owner !== undefined && { LockOwner: locks[0]!.owner }),
      ...(locks[0]!.extend !== undefined && { UnlockIDs: locks.map(({ id }) => id), Unlock: locks[0]!.extend }),
    }),
    ...(unlock && { UnlockID: unlock.id, Unlock: unlock.fence }),
    ...(unlocks && { UnlockIDs: unlocks.map(({ id }) => id), Unlock: unlocks[0]!.fence }),
    ...(guard && { Guard: guard.map(({ id, fence }) => ({ LockID: id, Lock: fence })) }),
    ...(check && { Check: check.map(checkItem) }),
    ...(idempotency && {
      IdempotencyIDs: idempotency.ids,
      IdempotencyTTL: idempotency.ttlMs / 1000,
      ...(idempotency.mode === 'replay' && { IdempotencyMode: 'replay' }),
    }),
    ...(limit && { Limit: limit.map(limitItem) }),
    ...(counter && { Atomic: counter.map(atomicItem) }),
    ...((get ?? range) && {
      KVGet: range === undefined ? get : (get ?? ([] as unknown[])).toSpliced(range.place, 0, rangeItem(range)),
    }),
    ...(set && { KVSet: set.map(setItem) }),
    ...queueParts(batch),
    ...(batch.tasks && { Tasks: batch.tasks.map((task) => ({ ID: task.key, ...taskMembers(task) })) }),
    ...(batch.taskCancel && {
      TaskCancel: batch.taskCancel.map(({ key: ID, version: Version }) => ({
        ID,
        ...(Version !== undefined && { Version }),
      })),
    }),
  };
}

function restCall(db: string, batch: Batch): HttpCall {
  const { format, lock, unlock, sequence } = batch;
  const counter = `${db}/counter/${batch.counter?.[0]?.key}`;
  const number = `${db}/sequence/${sequence?.key}`;
  const key = `${db}/kv/${batch.get?.[0] ?? batch.set?.[0]?.key}`;
  switch (format) {
    case 'kv.get':
      return { method: 'GET', target: key };
    case 'kv.clear': {
      const { prefix, after, limit: most } = batch.clear!;
      const what = prefix === '' ? { all: 'true' } : { prefix };
      return { method: 'DELETE', target: `${db}/kv${query({ ...what, after, limit: most })}` };
    }
    case 'kv.set': {
      const { value, version, ttlMs } = batch.set![0]!;
      const ttl = ttlMs === undefined ? undefined : ttlMs / 1000;
      return { method: 'POST', target: `${key}${query({ ver: version, ttl })}`, body: JSON.parse(value!) as unknown };
    }
    case 'kv.delete':
      return { method: 'DELETE', target: `${key}${query({ ver: batch.set![0]!.version })}` };
    case 'counter.get':
      return { method: 'GET', target: counter };
    case 'counter.add':
      return { method: 'POST', target: `${counter}${addQuery(batch.counter![0]!)}` };
    case 'counter.reset':
      return { method: 'DELETE', target: counter };
    case 'sequence.get':
      return { method: 'GET', target: number };
    case 'sequence.next':
      return { method: 'POST', target: `${number}${query({ n: sequence!.n })}` };
    case 'sequence.reset':
      return { method: 'DELETE', target: number };
    case 'lock.acquire':
      return { method: 'POST', target: `${db}/lock/${lock!.id}${lockQuery(lock!)}` };
    case 'lock.release':
      return {
        method: 'DELETE',
        target: `${db}/lock/${unlock!.id}${unlockQuery(unlock!)}`,
      };
    case 'limit.take': {
      const { Key, ...parameters } = limitItem(batch.limit![0]!);
      const lower = Object.entries(parameters).map(([name, value]) => [name.toLowerCase(), value]);
      return { method: 'POST', target: `${db}/limit/${Key}${query(Object.fromEntries(lower))}` };
    }
    case 'queue.send': {
      const { key: id, data, group, dedup, delayMs, ttlMs, priority } = batch.enqueue![0]!;
      const times = { delay: delayMs === 0 ? undefined : delayMs / 1000, ttl: ttlMs === 0 ? undefined : ttlMs / 1000 };
      const search = query({ group, dedup, ...times, priority: priority === 0 ? undefined : priority });
      return { method: 'POST', target: `${db}/queue/${id}${search}`, body: JSON.parse(data) as unknown };
    }
    case 'queue.take': {
      const { key: id, max, groupMax, durMs, waitMs, attempt } = batch.dequeue!;
      const wait = waitMs === 0 ? undefined : waitMs / 1000;
      return {
        method: 'POST',
        target: `${db}/dequeue/${id}${query({ max, groupmax: groupMax, dur: durMs / 1000, wait, attempt })}`,
      };
    }
    case 'queue.ack': {
      const { key: queue, id, lock: held } = batch.ack![0]!;
      return { method: 'POST', target: `${db}/ack/${queue}${query({ id, lock: held })}` };
    }
    case 'queue.nack': {
      const { key: queue, id, lock: held, delayMs, error, returned } = batch.nack![0]!;
      const more = { delay: delayMs === undefined ? undefined : delayMs / 1000, error, return: returned && 'true' };
      return { method: 'POST', target: `${db}/nack/${queue}${query({ id, lock: held, ...more })}` };
    }
    case 'queue.extend': {
      const { key: queue, id, lock: held, durMs } = batch.extend![0]!;
      return { method: 'POST', target: `${db}/extend/${queue}${query({ id, lock: held, dur: durMs / 1000 })}` };
    }
    case 'queue.policy':
    case 'queue.delete':
    case 'queue.pause':
    case 'queue.resume':
    case 'queue.purge':
    case 'queue.redrive':
      return changeCall(db, batch.queueChange!);
    case 'task.create':
      return { method: 'POST', target: `${db}/task/${batch.tasks![0]!.key}`, body: taskMembers(batch.tasks![0]!) };
    case 'task.make':
      return { method: 'POST', target: `${db}/task`, body: taskMembers(batch.tasks![0]!) };
    case 'task.cancel': {
      const { key: id, version } = batch.taskCancel![0]!;
      return { method: 'DELETE', target: `${db}/task/${id}${query({ ver: version })}` };
    }
    case 'task.run':
      return { method: 'POST', target: `${db}/run/${batch.taskChange!.key}` };
    case 'task.pause':
      return { method: 'POST', target: `${db}/pause/task/${batch.taskChange!.key}` };
    case 'task.resume':
      return { method: 'POST', target: `${db}/resume/task/${batch.taskChange!.key}` };
    case 'account.import':
      return { method: 'POST', target: `${db}/import`, body: { Lines: linesOfLoad(batch) } };
    case 'account.delete':
      return { method: 'DELETE', target: `${db}?confirm=${batch.account}` };
    case 'flow.set':
      return flowCall(db, batch.taskSetting!);
    case 'flow.delete':
      return flowCall(db, batch.taskSetting!);
    case 'secret.get':
    case 'secret.rotate':
      throw new Error(`no history has ${batch.format}`);
    case 'script.put': {
      const { key: id, source, version } = batch.script!;
      return { method: 'PUT', target: `${db}/script/${id}${query({ ver: version })}`, body: source };
    }
    case 'script.delete': {
      const { key: id, version } = batch.script!;
      return { method: 'DELETE', target: `${db}/script/${id}${query({ ver: version })}` };
    }
    case 'script.call':
    case 'script.read':
      throw new Error('the executor of scripts makes it');
    case 'batch':
    case 'ops':
      throw new Error('a batch is no REST call');
    default:
      return unreachable(format);
  }
}

function taskMembers({ definition, delayMs, atMs, replace, version }: TaskOperation): object {
  const { target, schedule, retry, misfire, maxLateMs, untilMs } = definition;
  return {
    ...targetMembers(target),
    ...(schedule !== undefined && 'everyMs' in schedule && { Every: schedule.everyMs / 1000 }),
    ...(schedule !== undefined && 'cron' in schedule && { Cron: schedule.cron, TZ: schedule.tz }),
    ...(schedule !== undefined && { Misfire: misfire }),
    ...(delayMs !== undefined && { Delay: delayMs / 1000 }),
    ...(atMs !== undefined && schedule === undefined && { At: atMs / 1000 }),
    Retry: { Max: retry.max, Min: retry.minMs / 1000, MaxDelay: retry.maxMs / 1000, Factor: retry.factor },
    ...(maxLateMs !== undefined && { MaxLate: maxLateMs / 1000 }),
    ...(untilMs !== undefined && { Until: untilMs / 1000 }),
    ...(replace && { Replace: true }),
    ...(version !== undefined && { Version: version }),
  };
}

function changeCall(db: string, change: QueueChange): HttpCall {
  const { key } = change;
  switch (change.change) {
    case 'policy':
      return { method: 'PUT', target: `${db}/queue/${key}`, body: change.policy };
    case 'delete':
      return { method: 'DELETE', target: `${db}/queue/${key}` };
    case 'pause':
    case 'resume':
      return { method: 'POST', target: `${db}/${change.change}/queue/${key}` };
    case 'purge':
      return { method: 'POST', target: `${db}/purge/${key}` };
    case 'redrive': {
      const { how, id, group, limit } = change;
      return { method: 'POST', target: `${db}/redrive/${key}${query({ do: how, id, group, limit })}` };
    }
    default:
      return unreachable(change);
  }
}

function queueParts({ ack, nack, extend, dequeue, enqueue }: Batch): object {
  return {
    ...(ack && { Ack: ack.map(receipt) }),
    ...(nack && {
      Nack: nack.map((each) => ({
        ...receipt(each),
        Delay: each.delayMs === undefined ? undefined : each.delayMs / 1000,
        Error: each.error,
        Return: each.returned,
      })),
    }),
    ...(extend && { Extend: extend.map((each) => ({ ...receipt(each), LockDur: each.durMs / 1000 })) }),
    ...(dequeue && {
      Dequeue: {
        Queue: dequeue.key,
        DequeueMax: dequeue.max,
        GroupMax: dequeue.groupMax,
        LockDur: dequeue.durMs / 1000,
        LockWait: dequeue.waitMs / 1000,
        AttemptID: dequeue.attempt,
      },
    }),
    ...(enqueue && {
      Enqueue: enqueue.map(({ key, data, group, dedup, delayMs, ttlMs, priority }) => ({
        Queue: key,
        Data: JSON.parse(data) as unknown,
        Group: group,
        DedupID: dedup,
        Delay: delayMs / 1000,
        TTL: ttlMs / 1000,
        Priority: priority,
      })),
    }),
  };
}

/** With neither fence nor owner, the lock is forced. */
function unlockQuery({ fence, owner }: { readonly fence?: number | undefined; readonly owner?: string | undefined }) {
  return query({ lock: fence, owner, force: fence === undefined && owner === undefined ? 1 : undefined });
}

function withKey(call: HttpCall, idempotency: IdempotencyRequest | undefined): HttpCall {
  return idempotency === undefined ? call : { ...call, headers: { 'idempotency-key': idempotency.ids[0]! } };
}

/** `meta` is a string, because a query has no other type. */
function lockQuery({ durMs, waitMs, owner, meta }: LockOperation): string {
  const text = meta === undefined ? undefined : (JSON.parse(meta) as string);
  return query({ dur: durMs / 1000, wait: waitMs === 0 ? undefined : waitMs / 1000, id: owner, meta: text });
}

function addQuery({ n, floor, ceil, ttlMs }: CounterOperation): string {
  return query({ add: n, floor, ceil, ttl: ttlMs && ttlMs / 1000 });
}

function atomicItem({ key, op, n, ifEq, floor, ceil, ttlMs }: CounterOperation): object {
  const name = { add: 'Add', set: 'Set', max: 'Max', min: 'Min', get: 'Get', reset: 'Reset' }[op];
  return { Key: key, [name]: n, IfEq: ifEq, Floor: floor, Ceil: ceil, TTL: ttlMs && ttlMs / 1000 };
}

function limitItem({ key, rateThousandths, perMs, burst, cost, waitMs }: LimitOperation): {
  readonly Key: string;
  readonly [name: string]: string | number;
} {
  return {
    Key: key,
    Rate: rateThousandths / 1000,
    Per: perMs / 1000,
    Burst: burst,
    Cost: cost,
    ...(waitMs > 0 && { Wait: waitMs / 1000 }),
  };
}

function checkItem({ key, version, exists, equals, counter }: CheckOperation): object {
  if (counter !== undefined) return { Counter: key, Equals: counter };
  const Equals = equals === undefined ? undefined : (JSON.parse(equals) as unknown);
  return { Key: key, Version: version, Exists: exists, Equals };
}

function rangeItem({ prefix, after, limit }: RangeOperation): unknown {
  return { Prefix: prefix, After: after, Limit: limit };
}

function setItem({ key, value, version, ttlMs, merge, old }: SetOperation): object {
  const condition = { ...(version !== undefined && { Version: version }), ...(old && { Old: true }) };
  if (value === undefined) return { Key: key, Delete: true, ...condition };
  const ttl = ttlMs === undefined ? {} : { TTL: ttlMs / 1000 };
  return { Key: key, [merge ? 'Merge' : 'Value']: JSON.parse(value) as unknown, ...condition, ...ttl };
}

function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return given.length === 0
    ? ''
    : `?${given.map(([name, value]) => `${name}=${encodeURIComponent(value!)}`).join('&')}`;
}

function receipt({ key, id, lock }: { readonly key: string; readonly id: string; readonly lock?: number }): object {
  return { Queue: key, ID: id, Lock: lock };
}

function targetMembers(target: TaskTarget): object {
  if (target.kind === 'queue') {
    const Group = target.group === undefined ? {} : { Group: target.group };
    return { Queue: target.queue, Data: JSON.parse(target.data) as unknown, ...Group };
  }
  if (target.kind === 'script') return { Script: target.script, Args: JSON.parse(target.args) as unknown };
  const { url: URL, method: Method, headers: Headers, body, deadlineMs } = target;
  const Body = body === undefined ? {} : { Body: JSON.parse(body) as unknown };
  return { URL, Method, Headers, Deadline: deadlineMs / 1000, ...Body };
}

function flowCall(db: string, setting: TaskSetting): HttpCall {
  const target = `${db}/${setting.key.replace(':', '/')}`;
  if (setting.change !== 'flow.set') return { method: 'DELETE', target };
  const { rate, perMs, parallel, paused } = setting.flow;
  const body = {
    ...(rate !== undefined && { Rate: rate, Per: perMs / 1000 }),
    ...(parallel !== undefined && { Parallel: parallel }),
    Paused: paused,
  };
  return { method: 'PUT', target, body };
}
