/**
 * An arsenal of hostile loads: what one token can send in order to keep the server from serving the others. Each is a
 * few connections that send chunks of pipelined requests, one chunk after the other, as soon as the last is answered.
 */
export interface Load {
  readonly name: string;
  readonly connections: number;
  /** Default: `http`. */
  readonly door?: 'http' | 'resp';
  /** Requests that are sent once, one connection after the other, before the load begins. */
  readonly prepare?: readonly Buffer[];
  /** Returns what a connection sends next. `n` counts all chunks of all its connections. */
  readonly chunk: (n: number) => Chunk;
}

export interface Chunk {
  readonly bytes: Buffer;
  /** How many replies the connection waits for; 0: it does not read, and sends on. */
  readonly replies: number;
}

export const evilToken = 'evil-token';
/** A Redis client's last command of a chunk says it, and so does the reply. */
export const endOfChunk = 'END-OF-CHUNK';
export const hello = `AUTH evil ${evilToken}\r\n`;
const account = 'evil';

export function request(method: string, path: string, body?: unknown): Buffer {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${evilToken}\r\n`;
  const about = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`;
  return Buffer.from(`${head}${body === undefined ? '' : about}\r\n${text}`);
}

function times(count: number, each: Buffer): Chunk {
  return { bytes: Buffer.concat(Array.from({ length: count }, () => each)), replies: count };
}

function list<Item>(count: number, item: (i: number) => Item): Item[] {
  return Array.from({ length: count }, (_, i) => item(i));
}

const batch = (body: unknown): Buffer => request('POST', `/db/${account}`, body);
const evaluate = (source: string): Buffer => request('POST', `/db/${account}/eval`, { Source: source });
const kib = 1024;
const mib = 1024 * kib;
const megabyteKeys = list(15, (i) => `large/${i}`);

/** Leases that end at once: the locks stay in the store for an hour, free. */
const tombstones = list(10, (n) => batch(list(1000, (i) => ({ LockID: `gone/${n}/${i}`, LockDur: 0.05 }))));
const largeValues = megabyteKeys.map((Key) => batch({ KVSet: { Key, Value: 'v'.repeat(mib - 100) } }));
const manyKeys = list(20, (n) => batch({ KVSet: list(1000, (i) => ({ Key: `many/${n}/${i}`, Value: i })) }));

const deep = '['.repeat(7 * mib);
const lists = `[${'[],'.repeat(2 * mib)}[]]`;
const members = JSON.stringify({
  KVSet: { Key: 'm', Value: Object.fromEntries(list(60_000, (i) => [`member${i}`, 1])) },
});

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const command = (...args: readonly string[]): string => `*${args.length}\r\n${args.map(bulk).join('')}`;
/** Commands of a Redis client; the attacker waits for the echo of the last one. */
const commands = (...all: readonly string[]): Chunk => {
  return { bytes: Buffer.from(all.join('') + command('ECHO', endOfChunk)), replies: 1 };
};
const spin = 'local n = 0 for i = 1, 100000 do n = n + i % 7 end return n';
const manyReads = `for i = 1, 500 do redis.call('GET', 'many/' .. i % 20 .. '/' .. i) end return 1`;

export const loads: readonly Load[] = [
  {
    name: 'lists over 10,000 locks that are free',
    connections: 4,
    prepare: tombstones,
    chunk: () => times(250, request('GET', `/db/${account}/lock?limit=1`)),
  },
  {
    name: 'pages of 1,000 keys, pipelined',
    connections: 8,
    prepare: manyKeys,
    chunk: () => times(50, request('GET', `/db/${account}/kv?prefix=many/&limit=1000`)),
  },
  {
    name: 'batches of 1,000 writes',
    connections: 16,
    chunk: (n) => ({
      bytes: batch({ KVSet: list(1000, (i) => ({ Key: `b/${i}`, Value: n })) }),
      replies: 1,
    }),
  },
  {
    name: 'batches of 7 MiB',
    connections: 4,
    chunk: (n) => ({
      bytes: batch({ KVSet: list(7, (i) => ({ Key: `big/${n % 4}/${i}`, Value: 'v'.repeat(mib - 100) })) }),
      replies: 1,
    }),
  },
  {
    name: 'arrays of 1,000 batches',
    connections: 8,
    chunk: (n) => ({
      bytes: batch(list(1000, (i) => ({ KVSet: { Key: `a/${n % 100}/${i}`, Value: i } }))),
      replies: 1,
    }),
  },
  {
    name: 'reads of 15 MiB',
    connections: 8,
    prepare: largeValues,
    chunk: () => times(2, batch({ KVGet: megabyteKeys })),
  },
  {
    name: 'reads of 15 MiB that nobody takes',
    connections: 8,
    prepare: largeValues,
    chunk: () => ({ ...times(2, batch({ KVGet: megabyteKeys })), replies: 0 }),
  },
  {
    name: 'watches of 1,000 keys each that end at once',
    connections: 8,
    chunk: (n) =>
      times(10, request('POST', `/watch/${account}`, { IDs: list(1000, (i) => ({ ID: `w/${n}/${i}` })), Wait: 0.001 })),
  },
  {
    name: 'readers of all history',
    connections: 16,
    prepare: [...largeValues, ...manyKeys],
    chunk: () => times(4, request('POST', `/watch/${account}`, { Prefix: 'nothing', After: 1, Wait: 0.001 })),
  },
  { name: 'JSON of 7 MiB of [', connections: 4, chunk: () => ({ bytes: batch(deep), replies: 1 }) },
  { name: 'JSON of two million lists', connections: 4, chunk: () => ({ bytes: batch(lists), replies: 1 }) },
  { name: 'values of 60,000 members', connections: 4, chunk: () => ({ bytes: batch(members), replies: 1 }) },
  {
    name: 'reads pipelined by the thousand',
    connections: 16,
    chunk: () => times(1000, request('GET', `/db/${account}/kv/k`)),
  },
  {
    name: 'writes pipelined by the thousand',
    connections: 16,
    chunk: () => times(1000, request('POST', `/db/${account}/kv/k`, 1)),
  },
  {
    name: 'writes over 400 connections',
    connections: 400,
    chunk: () => times(1, request('POST', `/db/${account}/kv/k`, 1)),
  },
  {
    name: 'waiters that all end in the same moment',
    connections: 8,
    chunk: (n) => times(500, batch({ LockID: `w${n % 2}`, LockDur: 60, LockWait: 0.5 })),
  },
  {
    name: 'waiters whose conditions fail, by the thousand',
    connections: 4,
    prepare: [batch({ KVSet: { Key: 'taken', Value: 1 } })],
    chunk: () => {
      const failing = {
        LockID: 'f',
        LockDur: 10,
        LockWait: 10,
        Check: list(200, () => ({ Key: 'taken', Version: 0 })),
      };
      const take = batch({ LockID: 'f', LockDur: 0.05, LockWait: 10 });
      const bytes = Buffer.concat([take, ...list(200, () => batch(failing))]);
      return { bytes, replies: 201 };
    },
  },
  {
    name: 'keys that expire by the thousand',
    connections: 8,
    chunk: (n) => ({
      bytes: batch({ KVSet: list(1000, (i) => ({ Key: `t/${n}/${i}`, Value: i, TTL: 1 })) }),
      replies: 1,
    }),
  },
  {
    name: 'mutexes that end by the thousand',
    connections: 8,
    chunk: (n) => {
      const bytes = Buffer.concat(list(500, (i) => request('POST', `/db/${account}/mlock/x${n}-${i}?dur=0.5`)));
      return { bytes, replies: 500 };
    },
  },
  {
    name: 'messages enqueued and taken by the thousand',
    connections: 8,
    chunk: (n) => {
      const add = batch({ Enqueue: list(1000, (i) => ({ Queue: `q${n % 3}`, Data: i, Group: `g${i % 50}` })) });
      const take = batch({ Dequeue: { Queue: `q${n % 3}`, LockDur: 0.2, DequeueMax: 100 } });
      return { bytes: Buffer.concat([add, ...list(10, () => take)]), replies: 11 };
    },
  },
  {
    name: 'consumers that wait for messages, and get one each',
    connections: 8,
    chunk: (n) => {
      const wait = batch({ Dequeue: { Queue: `w${n % 4}`, LockDur: 1, LockWait: 0.3 } });
      const add = batch({ Enqueue: list(200, (i) => ({ Queue: `w${n % 4}`, Data: i })) });
      return { bytes: Buffer.concat([...list(400, () => wait), add]), replies: 401 };
    },
  },
  {
    name: 'queues: groups whose leases end at once',
    connections: 8,
    chunk: (n) => {
      const add = batch({ Enqueue: list(1000, (i) => ({ Queue: 'g', Data: i, Group: `g${i}` })) });
      const wait = batch({ Dequeue: { Queue: 'g', LockDur: 0.001, DequeueMax: 1000, LockWait: 0.05 } });
      return {
        bytes: Buffer.concat([...(n % 8 === 0 ? [add] : []), ...list(50, () => wait)]),
        replies: n % 8 === 0 ? 51 : 50,
      };
    },
  },
  {
    name: 'queues: peeks under a deep line',
    connections: 8,
    prepare: list(20, (n) =>
      batch({ Enqueue: list(1000, (i) => ({ Queue: 'deep', Data: i, ...(n % 2 === 0 && { Group: `${n}-${i}` }) })) }),
    ),
    chunk: (n) => {
      const state = ['ready', 'inflight', 'delayed', 'blocked'][n % 4]!;
      return times(20, request('GET', `/db/${account}/peek/deep?state=${state}&limit=1000`));
    },
  },
  {
    name: 'queues: delayed by the thousand, all due in the same moment',
    connections: 8,
    chunk: (n) => ({
      bytes: batch({ Enqueue: list(1000, (i) => ({ Queue: `d${n % 3}`, Data: i, Delay: 3 - (n % 3000) / 1000 })) }),
      replies: 1,
    }),
  },
  {
    name: 'queues: one group whose messages are too old at once',
    connections: 4,
    chunk: () => {
      const add = batch({ Enqueue: list(1000, (i) => ({ Queue: 'old', Data: i, Group: 'g', TTL: 0.2 })) });
      const take = batch({ Dequeue: { Queue: 'old', LockDur: 0.01, DequeueMax: 1000, GroupMax: 1000 } });
      return { bytes: Buffer.concat([add, ...list(20, () => take)]), replies: 21 };
    },
  },
  {
    name: 'readers and permits that end at once, by the thousand',
    connections: 8,
    chunk: (n) => {
      const reader = (i: number): Buffer => {
        return batch({ LockID: `r${i % 3}`, LockDur: 0.05, LockOwner: `${n}-${i}`, RLock: true, LockWait: 0.1 });
      };
      const permit = (i: number): Buffer => {
        return batch({ LockID: `p${i % 3}`, LockDur: 0.05, LockOwner: `${n}-${i}`, LockLimit: 10_000, LockWait: 0.1 });
      };
      return { bytes: Buffer.concat(list(500, (i) => (i % 2 === 0 ? reader(i) : permit(i)))), replies: 500 };
    },
  },
  {
    name: 'requests that wait for a rate limit',
    connections: 8,
    chunk: (n) => times(500, batch({ Limit: { Key: `l${n % 5}`, Rate: 100, Per: 1, Wait: 1 } })),
  },
  {
    name: 'prefixes that are written and deleted',
    connections: 8,
    chunk: (n) => {
      const write = batch({ KVSet: list(1000, (i) => ({ Key: `gone/${n % 16}/${i}`, Value: i })) });
      return {
        bytes: Buffer.concat([write, request('DELETE', `/db/${account}/kv?prefix=gone/${n % 16}/`)]),
        replies: 2,
      };
    },
  },
  {
    name: 'arrays that read 60 MiB',
    connections: 4,
    prepare: largeValues,
    chunk: () => ({ bytes: batch(list(60, () => ({ KVGet: megabyteKeys[0] }))), replies: 1 }),
  },
  {
    name: 'scripts that never end',
    connections: 8,
    chunk: () => times(20, evaluate('export default () => { for (;;) {} }')),
  },
  {
    name: 'scripts of 60 KiB that are compiled and write 1,000 keys',
    connections: 8,
    chunk: (n) =>
      times(
        4,
        evaluate(
          `export default (tx) => { for (let i = 0; i < 1000; i += 1) tx.set('s/' + i, ${n}) }\n//${'x'.repeat(60 * kib)}`,
        ),
      ),
  },
  {
    name: 'scripts that read and write what others of them write',
    connections: 32,
    chunk: () => times(10, evaluate(`export default (tx) => tx.set('hot', (tx.get('hot') ?? 0) + 1)`)),
  },
  {
    name: 'tasks by the thousand that are all due at once',
    connections: 8,
    chunk: (n) => ({
      bytes: batch({
        Tasks: list(200, (i) => ({
          ID: `t/${n}/${i}`,
          Delay: 1 - ((n * 200 + i) % 1000) / 1000,
          Queue: `t${n % 3}`,
          Data: i,
        })),
      }),
      replies: 1,
    }),
  },
  {
    name: 'tasks that run every second',
    connections: 2,
    prepare: list(5, (n) =>
      batch({ Tasks: list(200, (i) => ({ ID: `e/${n}/${i}`, Every: 1, Queue: 'every', Data: i })) }),
    ),
    chunk: () => times(20, request('POST', `/db/${account}/run/e/0/0`)),
  },
  {
    name: 'RESP: reads pipelined by the thousand',
    connections: 16,
    door: 'resp',
    chunk: () => commands(...list(1000, () => command('GET', 'k'))),
  },
  {
    name: 'RESP: MGET of 15 MiB',
    connections: 8,
    door: 'resp',
    prepare: largeValues,
    chunk: () => commands(command('MGET', ...megabyteKeys)),
  },
  {
    name: 'RESP: MSET of 1,000 keys',
    connections: 8,
    door: 'resp',
    chunk: (n) => commands(command('MSET', ...list(2000, (i) => (i % 2 === 0 ? `m/${i}` : `${n}`)))),
  },
  {
    name: 'RESP: scripts that spin',
    connections: 8,
    door: 'resp',
    chunk: () => commands(...list(20, () => command('EVAL', spin, '0'))),
  },
  {
    name: 'RESP: scripts that read 500 keys',
    connections: 8,
    door: 'resp',
    prepare: manyKeys,
    chunk: () => commands(...list(10, () => command('EVAL', manyReads, '0'))),
  },
  {
    name: 'metrics, pipelined',
    connections: 8,
    chunk: () => times(50, request('GET', '/metrics')),
  },
];
