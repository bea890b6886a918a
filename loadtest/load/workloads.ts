/**
 * The requests of each workload in the dialect of each server: the same number of keys, the same sizes, the same
 * random choice. A dialogue is a generator function that yields requests and gets their replies, so that the unlock
 * can send the lock's fencing token.
 */
import { unreachable } from '../../src/shared/assert.ts';
import type { LoadRequest, Dialect, HttpRequest, QueueLives, Reply, Workload } from './types.ts';

export type Dialogue = Generator<LoadRequest, never, Reply>;

/** A value whose JSON text, with its quotes, is as long as a value on the other servers. */
export function valueOf(bytes: number): string {
  return 'v'.repeat(bytes - 2);
}

export function randomBelow(bound: number): number {
  return Math.floor(Math.random() * bound);
}

/** Whether requests are independent of each other, so that wrk can send them. */
const dialogues: ReadonlySet<Workload['kind']> = new Set([
  'lock',
  'mutex',
  'mixed',
  'kv.idempotent',
  'queue.life',
  'queue.handover',
  'task.create',
]);

export function isSingle({ kind }: Workload): boolean {
  return !dialogues.has(kind);
}

export function unitsOf(workload: Workload): number {
  return workload.kind === 'kv.array' ? workload.writes : 1;
}

export function dialogueOf(workload: Workload, dialect: Dialect, connection: number): Dialogue {
  switch (dialect) {
    case 'dragonlock':
      return dragonLock(workload, connection);
    case 'resp':
      return resp(workload);
    case 'etcd':
      return etcd(workload);
    case 'redis':
      return redis(workload);
    case 'nats':
      return nats(workload);
    case 'sql':
      throw new Error('PostgreSQL is loaded by pgbench, not by this generator');
    default:
      return unreachable(dialect);
  }
}

/** Makes one request of a workload whose requests are independent. */
export function singleRequest(workload: Workload, dialect: Dialect): HttpRequest {
  const dialogue = dialogueOf(workload, dialect, 0);
  const request = dialogue.next({ status: 0, body: '' }).value;
  if ('command' in request || !isSingle(workload))
    throw new Error(`expected a workload of independent HTTP requests, got ${workload.kind}`);
  return request;
}

export function accountPath(account: number): string {
  return `/db/loadtest-${account}`;
}

function* dragonLock(workload: Workload, connection: number): Dialogue {
  const { accounts, keys } = workload;
  const account = (): string => accountPath(randomBelow(accounts));
  const key = (): string => `key-${randomBelow(keys)}`;
  const value = 'bytes' in workload ? valueOf(workload.bytes) : valueOf(64);
  const set = (): string => `{"Key":"${key()}","Value":"${value}"}`;
  let unique = 0;
  for (;;) {
    switch (workload.kind) {
      case 'kv.write':
        yield { path: account(), body: `{"KVSet":[${set()}]}`, units: 1 };
        break;
      case 'kv.read':
        yield { path: account(), body: `{"KVGet":["${key()}"]}`, units: 1 };
        break;
      case 'kv.array':
        yield {
          path: account(),
          body: `[${listOf(workload.writes, () => `{"KVSet":[${set()}]}`)}]`,
          units: workload.writes,
        };
        break;
      case 'kv.batch':
        yield { path: account(), body: `{"KVSet":[${listOf(workload.writes, set)}]}`, units: 1 };
        break;
      case 'kv.idempotent': {
        const id = `${process.pid}-${connection}-${Date.now()}-${unique++}`;
        yield { path: account(), body: `{"IdempotencyIDs":["${id}"],"KVSet":[${set()}]}`, units: 1 };
        break;
      }
      case 'counter':
        yield { path: account(), body: `{"Atomic":[{"Key":"count-${randomBelow(keys)}","Add":1}]}`, units: 1 };
        break;
      case 'sequence':
        yield { path: `${account()}/sequence/number-${randomBelow(keys)}`, body: '', units: 1 };
        break;
      case 'lock': {
        const [path, id] = [account(), `lock-${workload.run}-${randomBelow(keys)}`];
        const mode = workload.among === undefined ? '' : lockModes[workload.among];
        const owner = mode === '' ? '' : `,"LockOwner":"${connection}-${unique++}"`;
        const reply = yield { path, body: `{"LockID":"${id}","LockDur":30,"LockWait":60${mode}${owner}}`, units: 0 };
        yield { path, body: `{"UnlockID":"${id}","Unlock":${fenceIn(reply)}}`, units: 1 };
        break;
      }
      case 'mutex': {
        const [path, id] = [account(), `mutex-${workload.run}-${randomBelow(keys)}`];
        const reply = yield { path: `${path}/mlock/${id}?dur=30&wait=60`, body: '', units: 0 };
        yield { path: `${path}/munlock/${id}?lock=${fenceIn(reply)}`, body: '', units: 1 };
        break;
      }
      case 'limit':
        yield { path: account(), body: `{"Limit":[{"Key":"limit-${randomBelow(keys)}","Rate":1000000}]}`, units: 1 };
        break;
      case 'script.transfer': {
        const [from, to] = [randomBelow(keys), randomBelow(keys)];
        yield {
          path: `${account()}/call/transfer`,
          body: `{"Args":{"from":${from},"to":${to},"amount":1},"Keys":["acct/${from}","acct/${to}"]}`,
          units: 1,
        };
        break;
      }
      case 'task.create': {
        const id = `${process.pid}-${connection}-${Date.now()}-${unique++}`;
        yield {
          path: account(),
          body: `{"Tasks":[{"ID":"${id}","Delay":86400,"Queue":"due","Data":"${value}"}]}`,
          units: 1,
        };
        break;
      }
      case 'queue.enqueue':
        yield {
          path: account(),
          body: `{"Enqueue":[{"Queue":"queue-${randomBelow(keys)}","Data":"${value}"}]}`,
          units: 1,
        };
        break;
      case 'queue.life':
        yield* queueLives(account(), workload.queue ?? `jobs-${workload.run}`, workload, connection);
        break;
      case 'queue.handover':
        yield* handovers(account(), workload.queue);
        break;
      case 'mixed':
        yield* mixed(workload.run, account(), key, value);
        break;
      default:
        unreachable(workload);
    }
  }
}

/** Lives in a row, each of which acks what the one before it took. */
function* queueLives(path: string, queue: string, lives: QueueLives, connection: number): Dialogue {
  const { bytes, messages, groups } = lives;
  const value = valueOf(bytes);
  let count = 0;
  const group = (): string => (groups === true ? `,"Group":"${process.pid}-${connection}-${count++}"` : '');
  const enqueue = (): string => `{"Enqueue":[{"Queue":"${queue}","Data":"${value}"${group()}}]}`;
  const dequeue = `"Dequeue":{"Queue":"${queue}","DequeueMax":${messages},"LockDur":600}`;
  let taken: string[] = [];
  for (;;) {
    yield { path, body: messages === 1 ? enqueue() : `[${listOf(messages, enqueue)}]`, units: 0 };
    const acks = taken.map((receipt) => `{"Ack":[${receipt}]}`);
    let reply: Reply;
    if (messages === 1) {
      const ack = taken.length === 0 ? '' : `"Ack":[${taken[0]}],`;
      reply = yield { path, body: `{${ack}${dequeue}}`, units: taken.length };
    } else {
      if (acks.length > 0) yield { path, body: `[${acks.join(',')}]`, units: acks.length };
      reply = yield { path, body: `{${dequeue}}`, units: 0 };
    }
    taken = receiptsIn(reply, queue);
  }
}

function* handovers(path: string, queue: string): Dialogue {
  let taken: string[] = [];
  for (;;) {
    const ack = taken.length === 0 ? '' : `"Ack":[${taken[0]}],`;
    const body = `{${ack}"Dequeue":{"Queue":"${queue}","LockDur":600}}`;
    taken = receiptsIn(yield { path, body, units: taken.length }, queue);
    if (taken.length === 0) throw new Error(`expected a message of the queue ${queue}, got none`);
  }
}

function receiptsIn({ body }: Reply, queue: string): string[] {
  const found = body.matchAll(/"ID":"([^"]+)"[^}]*?"Lock":(\d+)/g);
  return Array.from(found, ([, id, lock]) => `{"Queue":"${queue}","ID":"${id}","Lock":${lock}}`);
}

const lockModes = { readers: ',"RLock":true', permits: ',"LockLimit":10' } as const;

/**
 * Of 100 requests: 50 reads, 20 writes, 10 counters, 5 batches of three keys and a counter, 5 lock pairs (two requests
 * each), 5 arrays.
 */
function* mixed(run: string, path: string, key: () => string, value: string): Generator<LoadRequest, void, Reply> {
  const dice = randomBelow(95);
  if (dice < 50) yield { path, body: `{"KVGet":["${key()}"]}`, units: 1 };
  else if (dice < 70) yield { path, body: `{"KVSet":[{"Key":"${key()}","Value":"${value}"}]}`, units: 1 };
  else if (dice < 80) yield { path, body: `{"Atomic":[{"Key":"quota-${randomBelow(10)}","Add":1}]}`, units: 1 };
  else if (dice < 85) {
    const sets = [1, 2, 3].map(() => `{"Key":"${key()}","Value":"${value}"}`).join(',');
    yield { path, body: `{"Atomic":[{"Key":"orders","Add":1}],"KVSet":[${sets}]}`, units: 1 };
  } else if (dice < 90) {
    const id = `user-${run}-${randomBelow(100)}`;
    const reply = yield { path, body: `{"LockID":"${id}","LockDur":30,"LockWait":60}`, units: 1 };
    const guarded = `{"Key":"${key()}","Value":"${value}"}`;
    yield { path, body: `{"KVSet":[${guarded}],"UnlockID":"${id}","Unlock":${fenceIn(reply)}}`, units: 1 };
  } else {
    const sets = Array.from({ length: 10 }, () => `{"KVSet":[{"Key":"${key()}","Value":"${value}"}]}`);
    yield { path, body: `[${sets.join(',')}]`, units: 1 };
  }
}

function* etcd(workload: Workload): Dialogue {
  const total = workload.accounts * workload.keys;
  const key = (): string => base64(`key-${randomBelow(total)}`);
  if (workload.kind === 'kv.write') {
    const value = base64('v'.repeat(workload.bytes));
    for (;;) yield { path: '/v3/kv/put', body: `{"key":"${key()}","value":"${value}"}`, units: 1 };
  }
  if (workload.kind === 'kv.read') for (;;) yield { path: '/v3/kv/range', body: `{"key":"${key()}"}`, units: 1 };
  if (workload.kind === 'lock') {
    // The lock API needs a lease: one for each client, longer than any run.
    const lease = textIn(yield { path: '/v3/lease/grant', body: '{"TTL":"600"}', units: 0 }, 'ID');
    for (;;) {
      const name = base64(`lock-${workload.run}-${randomBelow(total)}`);
      const reply = yield { path: '/v3/lock/lock', body: `{"name":"${name}","lease":"${lease}"}`, units: 0 };
      yield { path: '/v3/lock/unlock', body: `{"key":"${textIn(reply, 'key')}"}`, units: 1 };
    }
  }
  throw new Error(`There are no requests to etcd for ${workload.kind}`);
}

function* resp({ kind, accounts, keys, ...workload }: Workload): Dialogue {
  if (kind !== 'lock' || !('run' in workload)) throw new Error(`There are no commands over RESP for ${kind}`);
  for (;;) {
    const name = `lock-${workload.run}-${randomBelow(accounts * keys)}`;
    const reply = yield { command: ['DL.LOCK', name, '30000', 'WAIT', '60000'], units: 0 };
    const handle = /^:(\d+)/.exec(reply.body)?.[1] ?? 'missing';
    yield { command: ['DL.UNLOCK', name, 'HANDLE', handle], units: 1 };
  }
}

const transferScript = `local from = tonumber(redis.call('get', KEYS[1]) or '1000000')
local to = tonumber(redis.call('get', KEYS[2]) or '1000000')
if from < tonumber(ARGV[1]) then return redis.error_reply('insufficient') end
if KEYS[1] ~= KEYS[2] then
  redis.call('set', KEYS[1], from - ARGV[1])
  redis.call('set', KEYS[2], to + ARGV[1])
end
return from - ARGV[1]`;

const unlockScript = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

function* redis(workload: Workload): Dialogue {
  const total = workload.accounts * workload.keys;
  if (workload.kind === 'kv.write') {
    const value = 'v'.repeat(workload.bytes);
    for (;;) yield { command: ['SET', `key:${randomBelow(total)}`, value], units: 1 };
  }
  if (workload.kind === 'script.transfer') {
    const { body: sha } = yield { command: ['SCRIPT', 'LOAD', transferScript], units: 0 };
    for (;;) {
      const [from, to] = [`acct/${randomBelow(total)}`, `acct/${randomBelow(total)}`];
      yield { command: ['EVALSHA', sha, '2', from, to, '1'], units: 1 };
    }
  }
  if (workload.kind === 'queue.enqueue') {
    const value = 'v'.repeat(workload.bytes);
    for (;;) yield { command: ['XADD', `queue:${randomBelow(total)}`, '*', 'd', value], units: 1 };
  }
  if (workload.kind === 'lock') {
    // As the documentation of Redis recommends: SET NX with a token, and a script that deletes the key only if it
    // holds the own token. There is no wait queue: a busy key is tried again at once.
    const token = `${process.pid}-${randomBelow(1e9)}`;
    for (;;) {
      const key = `lock:${workload.run}:${randomBelow(total)}`;
      while ((yield { command: ['SET', key, token, 'NX', 'PX', '30000'], units: 0 }).body !== 'OK');
      yield { command: ['EVAL', unlockScript, '1', key, token], units: 1 };
    }
  }
  throw new Error(`There are no requests to Redis for ${workload.kind}`);
}

function* nats(workload: Workload): Dialogue {
  if (workload.kind !== 'kv.write') throw new Error(`There are no requests to NATS for ${workload.kind}`);
  const value = 'v'.repeat(workload.bytes);
  const total = workload.accounts * workload.keys;
  for (;;) yield { command: [`$KV.loadtest.key-${randomBelow(total)}`, value], units: 1 };
}

function listOf(count: number, item: () => string): string {
  return Array.from({ length: count }, item).join(',');
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function fenceIn(reply: Reply): string {
  // Stays text: it goes into the next request unchanged.
  return /"Lock":"?(\d+)"?/.exec(reply.body)?.[1] ?? 'missing';
}

function textIn(reply: Reply, name: string): string {
  return new RegExp(`"${name}":"([^"]*)"`).exec(reply.body)?.[1] ?? 'missing';
}
