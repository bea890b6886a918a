/**
 * Whatever a client sends, the fast lane and Node's server answer it with the same bytes, but for the date: no client
 * can tell which of them has served it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { readReplies } from '../../../fuzz/read-replies.ts';
import { openDoor } from '../../../support/door-in-process.ts';
import { makeDoor } from '../http-door-under-test.ts';

/** A connection that collects all that comes. */
class Collector {
  readonly socket: net.Socket;
  #received = Buffer.alloc(0);
  #look = (): void => {};

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#look();
    });
    socket.on('error', () => {});
    socket.on('end', () => this.#look());
    socket.on('close', () => this.#look());
  }

  static async open(t: TestContext, port: number): Promise<Collector> {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    return new Collector(socket);
  }

  /** Resolves with all that has come since the last call, once these are so many replies, or the server has closed. */
  take(count: number): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        const { statuses, problem } = readReplies(this.#received);
        if (problem !== undefined) reject(new Error(problem));
        if (statuses.length < count && !this.socket.readableEnded && !this.socket.destroyed) return;
        this.#look = () => {};
        const text = this.#received.toString('latin1');
        this.#received = Buffer.alloc(0);
        resolve(text.replaceAll(/\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/g, '\r\nDate: now\r\n'));
      };
      this.#look();
    });
  }
}

const ways = [true, false] as const;

/** Within a pipeline, how new a read is, and the number of an error, depend on what else was under way. */
function withoutNumbers(text: string): string {
  return text.replaceAll(/"boot7-0-\d+"/g, '"id"').replaceAll(/"Rev":\d+/g, '"Rev":0');
}

function request(method: string, target: string, body?: string | Buffer, ...lines: string[]): Buffer {
  const head = [`${method} ${target} HTTP/1.1`, 'Host: localhost', ...lines];
  if (body !== undefined) head.push(`Content-Length: ${Buffer.byteLength(body)}`);
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), Buffer.from(body ?? '')]);
}

function batch(body: unknown, ...lines: string[]): Buffer {
  return request('POST', '/db/acc', JSON.stringify(body), 'Content-Type: application/json', ...lines);
}

/** The lane takes all of them. */
const plain: readonly Buffer[] = [
  batch({
    KVSet: [
      { Key: 'a', Value: { n: [1, 2, 3] } },
      { Key: 'b/c', Value: 'x' },
    ],
    KVGet: ['none'],
  }),
  batch({ KVGet: ['a', 'b/c', 'none'] }),
  batch({ KVGet: 'a' }, 'Accept: */*', 'Connection: keep-alive', 'User-Agent: a', 'X-Twice: 1', 'X-Twice: 2'),
  batch({ KVSet: { Key: 'é€', Value: '\u{1f600} ü' } }),
  request('GET', '/db/acc/kv/%C3%A9%E2%82%AC'),
  request('GET', '/db/acc/kv/b%2Fc'),
  request('GET', '/db/acc/kv/b/c'),
  request('GET', '/db/acc/kv/missing'),
  request('GET', '/db/acc/kv/%00'),
  request('GET', `/db/acc/kv/${'k'.repeat(600)}`),
  request('GET', '/db/acc/kv?prefix=b%2F&limit=1'),
  request('GET', '/db/acc/kv?limt=1'),
  request('GET', '/db/acc/kv?prefix=%zz'),
  request('POST', '/db/acc/kv/t?as=text', 'plain text', 'Content-Type: text/plain'),
  request('POST', '/db/acc/kv/t', 'plain text', 'Content-Type: text/plain'),
  request('POST', '/db/acc/kv/t', '{"no json', 'Content-Type: application/json'),
  request('POST', '/db/acc/kv/t', Buffer.of(0x22, 0xff, 0x22)),
  request('POST', '/db/acc/kv/t', Buffer.of(0x1f, 0x8b, 0x08)),
  request('POST', '/db/acc/kv/t', '<x/>', 'Content-Type: text/xml'),
  request('POST', '/db/acc/kv/t?if=1', '1'),
  request('POST', '/db/acc/kv/large', JSON.stringify('v'.repeat(60_000))),
  request('GET', '/db/acc/kv/large'),
  request('POST', '/db/acc/kv/u', JSON.stringify('ü'.repeat(20_000))),
  request('GET', '/db/acc/kv/u'),
  request('DELETE', '/db/acc/kv/t'),
  request('DELETE', '/db/acc/kv/t'),
  request('POST', '/db/acc/counter/c?add=5'),
  request('POST', '/db/acc/counter/c?add=x'),
  request('GET', '/db/acc/counter/c'),
  request('POST', '/db/acc/counter/c?add=1', '', 'Idempotency-Key: one'),
  request('POST', '/db/acc/counter/c?add=1', undefined, 'Idempotency-Key: one'),
  request('POST', '/db/acc/counter/c?add=2', undefined, 'Idempotency-Key: one'),
  batch({ Atomic: { Key: 'c', Add: 1 } }, 'Idempotency-Key: two'),
  batch({ Atomic: { Key: 'c', Add: 1 } }, 'Idempotency-Key: two'),
  batch({ Atomic: { Key: 'c', Add: 1 }, IdempotencyIDs: ['three'] }),
  batch({ Atomic: { Key: 'c', Add: 1 }, IdempotencyIDs: ['three'] }),
  request('POST', '/db/acc/sequence/s?n=3'),
  request('GET', '/db/acc/sequence/s'),
  request('POST', '/db/acc/lock/l?dur=10&id=me'),
  request('POST', '/db/acc/lock/l?dur=10&id=you'),
  request('GET', '/db/acc/lock/l'),
  request('GET', '/db/acc/lock?limit=2'),
  request('DELETE', '/db/acc/lock/l?owner=me'),
  batch({ LockID: 'l2', LockDur: 10 }),
  batch({ LockID: 'l2', LockDur: 10, LockWait: 0 }),
  batch({ UnlockID: 'l2', Unlock: 1 }),
  request('POST', '/db/acc/mlock/m?dur=10&owner=me'),
  request('POST', '/db/acc/mlock/m?dur=10', undefined, 'Idempotency-Key: no'),
  request('POST', '/db/acc/munlock/m?owner=me'),
  batch([{ KVGet: 'a' }, { Atomic: { Key: 'c', Add: 1 } }, { Check: { Key: 'a', Version: 1 } }]),
  batch([]),
  batch({
    Check: [
      { Key: 'a', Version: 77 },
      { Key: 'none', Exists: true },
    ],
  }),
  batch({ Unknown: 1 }),
  request('POST', '/db/acc', '{"KVGet":"a","KVGet":"b"}'),
  request('POST', '/db/acc'),
  request('POST', '/db/acc', '[1,2'),
  request('POST', '/watch/acc', '{"ID":"a","Version":1,"Wait":0}'),
  request('POST', '/watch/acc', '{"ID":"none","Wait":0}'),
  request('POST', '/watch/acc', '{"ID":"none","Wait":0.02}'),
  request('POST', '/watch/acc', '{"Prefix":"b","After":0,"Wait":0}'),
  request('POST', '/watch/acc', '{"Prefix":"nothing/","Wait":0.02}'),
  request('POST', '/watch/acc', '{"ID":"a","Prefix":"b"}'),
  request('GET', '/db/acc/kv/b/c', undefined, 'Origin: http://localhost'),
  request('GET', '/db/acc/kv/b/c', undefined, 'Origin: http://evil.example'),
  request('GET', '/db/acc/kv/b/c', undefined, 'Authorization: Bearer whatever'),
];

const config = 'http: {threads: 1, keep_alive_timeout_ms: 5500}\nlimits: {body_bytes_max: 1048576}';

function withLane(yaml: string, fastLane: boolean): string {
  return yaml.replace('http: {', `http: {fast_lane: ${fastLane}, `);
}

/** How many connections the lane has given to Node's server. */
async function handedOver(t: TestContext, port: number): Promise<number> {
  const scrape = await Collector.open(t, port);
  scrape.socket.write(request('GET', '/metrics'));
  const text = await scrape.take(1);
  const counts = [...text.matchAll(/^dragonlock_connections_handed_over_total\{[^}]*\} (\d+)$/gm)];
  // The scrape itself is one.
  return counts.reduce((sum, [, count]) => sum + Number(count), -1);
}

test('both ways answer each plain request with the same bytes, one after the other and pipelined', async (t) => {
  const answers: string[][] = [];
  for (const fastLane of ways) {
    const { port } = await openDoor(t, 1, withLane(config, fastLane));
    const one = await Collector.open(t, port);
    const texts: string[] = [];
    for (const bytes of plain) {
      one.socket.write(bytes);
      texts.push(await one.take(1));
    }
    one.socket.write(Buffer.concat(plain));
    texts.push(withoutNumbers(await one.take(plain.length)));
    // Cut where it hurts: within lines, between CR and LF, within bodies.
    const all = Buffer.concat(plain.slice(0, 12));
    for (let at = 0; at < all.length; at += 7) {
      one.socket.write(all.subarray(at, at + 7));
      await new Promise((resolve) => setImmediate(resolve));
    }
    texts.push(withoutNumbers(await one.take(12)));
    answers.push(texts);
    if (fastLane) assert.equal(await handedOver(t, port), 0, 'the lane has answered all of them');
  }
  for (const [i, bytes] of plain.entries()) assert.equal(answers[0]![i], answers[1]![i], bytes.toString('latin1'));
  assert.equal(answers[0]![plain.length], answers[1]![plain.length], 'pipelined');
  assert.equal(answers[0]![plain.length + 1], answers[1]![plain.length + 1], 'in pieces');
});

/** Each on a connection of its own, between two plain requests. */
const unusual: readonly (Buffer | string)[] = [
  request('GET', '/livez'),
  request('HEAD', '/readyz'),
  request('GET', '/nowhere'),
  request('PUT', '/db/acc/kv/k', '1'),
  request('HEAD', '/db/acc/kv/a'),
  request('GET', '/db/acc/kv/'),
  request('GET', '/db/acc/kv/%zz'),
  request('GET', `/db/${'a'.repeat(65)}/kv/k`),
  request('GET', '/db/a%20b/kv/k'),
  request('GET', '/db/acc/kv/k', '{}'),
  request('DELETE', '/db/acc/counter/c', '{}'),
  request('POST', '/db/acc/kv/k', JSON.stringify('v'.repeat(100_000))),
  request('POST', '/db/acc/kv/k', '1', 'Content-Encoding: gzip'),
  request('POST', '/db/acc/kv/k', '1', 'Connection: close'),
  request('POST', '/db/acc/kv/k', '1', 'Host: other'),
  request('POST', '/db/acc/kv/k', '1', 'Idempotency-Key: a', 'Idempotency-Key: b'),
  request('POST', '/db/acc/kv/k', '1', 'Expect: 100-continue'),
  request('POST', '/db/acc/kv/k', '1', 'Content-Length: 2'),
  request('POST', '/db/acc/kv/k', JSON.stringify('v'.repeat(2_000_000))),
  'POST /db/acc/kv/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n',
  'GET /db/acc/kv/k HTTP/1.1\r\n\r\n',
  'GET /db/acc/kv/k HTTP/1.1\r\nHost: evil.example\r\n\r\n',
  'GET /db/acc/kv/k HTTP/1.0\r\n\r\n',
  'GET /db/acc/kv/k HTTP/1.1\nHost: localhost\n\n',
  '\r\nGET /db/acc/kv/k HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'NONSENSE\r\n\r\n',
  'BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client says hello',
  `GET /db/acc/kv/k HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`,
  `GET /db/acc/kv/k HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`,
];

test('both ways answer what is not plain with the same bytes, between plain requests, and close alike', async (t) => {
  const get = request('GET', '/db/acc/kv/k');
  const last = request('GET', '/db/acc/kv/k', undefined, 'Connection: close');
  const answers: string[][] = [];
  for (const fastLane of ways) {
    const { port } = await openDoor(t, 1, withLane(config, fastLane));
    const texts: string[] = [];
    for (const [n, odd] of unusual.entries()) {
      const bytes = Buffer.from(odd as string, 'latin1');
      for (const before of [0, 2]) {
        const one = await Collector.open(t, port);
        for (let i = 0; i < before; i += 1) {
          one.socket.write(get);
          texts.push(withoutNumbers(await one.take(1)));
        }
        // Node drops the replies to earlier requests of a connection when a later one is no HTTP; the lane does not.
        one.socket.write(Buffer.concat([bytes, get, last]));
        texts.push(`${n}: ${withoutNumbers(await one.take(Infinity))}`);
        one.socket.destroy();
      }
    }
    for (const half of halves) {
      const one = await Collector.open(t, port);
      one.socket.write(get);
      texts.push(withoutNumbers(await one.take(1)));
      one.socket.end(half);
      texts.push(withoutNumbers(await one.take(Infinity)));
    }
    answers.push(texts);
  }
  for (const [i, text] of answers[0]!.entries()) assert.equal(text, answers[1]![i]);
});

/** What a client sends that then ends its half of the connection. */
const halves = [
  'POST /db/acc/kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1',
  'POST /db/acc/kv/k HTTP/1.1\r\nHost: loc',
  'G',
];

function bearer(token: string): string {
  return `Authorization: Bearer ${token}`;
}

const tokens = `
tokens:
  - {token: all, accounts: '*', scopes: [read, write]}
  - {token: reader, accounts: [acc], scopes: [read]}
`;

test('both ways refuse with the same bytes: tokens, scopes, rates, connections', async (t) => {
  const answers: string[] = [];
  for (const fastLane of ways) {
    const yaml = withLane(`http: {threads: 1}\nlimits: {account_requests_per_second: 3}${tokens}`, fastLane);
    const door = makeDoor(t, yaml, () => 1000);
    await door.app.listen({ port: 0, host: '127.0.0.1' });
    const one = await Collector.open(t, (door.app.server.address() as net.AddressInfo).port);
    const requests = [
      request('GET', '/db/acc/kv/k'),
      request('GET', '/db/acc/kv/k', undefined, bearer('unknown')),
      request('POST', '/db/acc', '{"KVGet":"k"}', bearer('nobody'), 'Content-Type: application/json'),
      request('GET', '/db/acc/kv/k', undefined, bearer('reader')),
      request('POST', '/db/acc/kv/k', '1', bearer('reader')),
      request('GET', '/db/other/kv/k', undefined, bearer('reader')),
      request('GET', '/db/acc/kv/k', undefined, bearer('all')),
      ...Array.from({ length: 6 }, () => request('POST', '/db/acc', '{"KVGet":"k"}', bearer('all'))),
    ];
    one.socket.write(Buffer.concat(requests));
    answers.push(await one.take(requests.length));
  }
  assert.match(answers[0]!, /HTTP\/1\.1 401[^]*HTTP\/1\.1 403[^]*HTTP\/1\.1 429/);
  assert.equal(answers[0], answers[1]);
});
