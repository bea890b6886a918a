/**
 * Two front ends of one server, over connections that are known to be on different ones: changes answered through one
 * are seen through the other, limits hold once for both, and a stop or a bug in one is that of the whole server.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Client } from 'undici';
import { freePort } from '../support/free-port.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import { serverForFile, ServerUnderTest, type Method } from '../support/server-under-test.ts';

/** One connection, on one front end. */
class OneConnection {
  readonly #client: Client;

  constructor(url: string) {
    this.#client = new Client(url, { pipelining: 1, keepAliveTimeout: 60_000 });
  }

  async call(method: Method, path: string, body?: unknown): Promise<{ status: number; text: string }> {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const payload = body === undefined ? null : JSON.stringify(body);
    const reply = await this.#client.request({ method, path, headers, body: payload });
    return { status: reply.statusCode, text: await reply.body.text() };
  }

  async ok(method: Method, path: string, body?: unknown): Promise<ReplyBody> {
    const { status, text } = await this.call(method, path, body);
    assert.equal(status, 200, `${method} ${path} → ${text}`);
    return JSON.parse(text) as ReplyBody;
  }

  async metric(name: string): Promise<number> {
    const { text } = await this.call('GET', '/metrics');
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    assert(line !== undefined, `/metrics has ${name}`);
    return Number(line.slice(line.lastIndexOf(' ') + 1));
  }

  /** The first events of a stream; the connection is of no use afterwards. */
  async events(path: string, until: string): Promise<string> {
    const reply = await this.#client.request({ method: 'GET', path });
    let read = '';
    for await (const chunk of reply.body.setEncoding('utf8')) {
      read += String(chunk);
      if (read.includes(until)) break;
    }
    return read;
  }

  /** Open connections by front end, this one among them. */
  async connections(): Promise<number[]> {
    const { text } = await this.call('GET', '/metrics');
    return [...text.matchAll(/^dragonlock_connections\{front_end="\d+"\} (\d+)$/gm)].map(([, count]) => Number(count));
  }

  async close(): Promise<void> {
    await this.#client.destroy();
  }
}

/** Opens connections on the front ends 0 and 1. The server's own count says which is which. */
async function onBoth(t: TestContext, server: ServerUnderTest): Promise<[OneConnection, OneConnection]> {
  const found: (OneConnection | undefined)[] = [undefined, undefined];
  const opened: OneConnection[] = [];
  t.after(() => Promise.all(opened.map((connection) => connection.close())));
  const observer = new OneConnection(server.url);
  opened.push(observer);
  let before = await observer.connections();
  assert.equal(before.length, 2, 'a row for each front end');
  for (let tries = 0; found.includes(undefined); tries += 1) {
    assert(tries < 100, 'the kernel gives connections to both');
    const connection = new OneConnection(server.url);
    opened.push(connection);
    await connection.ok('GET', '/livez');
    const after = await observer.connections();
    const grown = after.flatMap((count, i) => (count > before[i]! ? [i] : []));
    // A connection of the setup may have closed meanwhile, which says nothing.
    if (grown.length === 1) found[grown[0]!] ??= connection;
    before = after;
  }
  return [found[0]!, found[1]!];
}

const servers = {
  1: serverForFile({ config: 'shards: 1\nhttp: { threads: 2 }' }),
  3: serverForFile({ config: 'shards: 3\nhttp: { threads: 2 }' }),
};

for (const shards of [1, 3] as const) {
  const server = servers[shards];

  test(`${shards} shards: whatever was answered through one front end is seen through the other at once`, async (t) => {
    const both = await onBoth(t, server);
    for (let i = 0; i < 60; i += 1) {
      const [a, b] = i % 2 === 0 ? both : [both[1], both[0]];
      const set = await a.ok('POST', `/db/acc/kv/k${i}`, i);
      const got = await b.ok('GET', `/db/acc/kv/k${i}`);
      assert.deepEqual([got.Value, got.Version], [i, set.Rev]);
      assert(got.Rev >= set.Rev);
      // A batch over all shards, when there are several.
      const keys = Array.from({ length: 6 }, (_, n) => ({ Key: `b${n}`, Value: i }));
      const batch = await b.ok('POST', '/db/acc', { KVSet: keys, LockID: `l${i}`, LockDur: 60 });
      const list = await a.ok('GET', '/db/acc/kv?prefix=b');
      assert.deepEqual(new Set(list.KV.map(({ Version }) => Version)), new Set([batch.Rev]));
      assert(list.Rev >= batch.Rev);
      assert.equal((await a.ok('GET', `/db/acc/lock/l${i}`)).Locked, true);
      // No revision is ahead of what the other front end knows, and past changes need no waiting.
      const poll = await a.ok('POST', '/watch/acc', { Prefix: 'b', After: batch.Rev - 1, Wait: 20 });
      assert.deepEqual(new Set(poll.Events.map(({ Rev }) => Rev)), new Set([batch.Rev]));
      const nothing = await a.call('POST', '/watch/acc', { Prefix: 'b', After: batch.Rev, Wait: 0.001 });
      assert.equal(nothing.status, 200, nothing.text);
      const changed = await a.ok('POST', '/watch/acc', { ID: 'b0', Version: batch.Rev - 1, Wait: 20 });
      assert.equal(changed.Version, batch.Rev);
      await a.ok('DELETE', `/db/acc/lock/l${i}?lock=${batch.Lock}`);
      assert.equal((await b.ok('GET', `/db/acc/lock/l${i}`)).Locked, false);
      assert((await b.metric('dragonlock_durable_revision')) > batch.Rev);
    }
    const { Rev } = await both[0].ok('POST', '/db/acc/kv/streamed', 'past');
    assert.match(
      await both[1].events(`/watch/acc?prefix=streamed&after=${Rev - 1}`, 'past'),
      new RegExp(`^id: ${Rev}$`, 'm'),
    );
  });

  test(`${shards} shards: watchers, streams and waiters on one front end hear of writes through the other`, async (t) => {
    const [a, b] = await onBoth(t, server);
    for (let i = 0; i < 10; i += 1) {
      const watched = b.ok('POST', '/watch/second', { ID: `k${i}`, Version: 0, Wait: 20 });
      await server.watchers(1);
      const { Rev } = await a.ok('POST', `/db/second/kv/k${i}`, i);
      assert.equal((await watched).Version, Rev);
    }
    const prefix = b.ok('POST', '/watch/second', { Prefix: 'p', Wait: 20 });
    await server.watchers(1);
    const { Rev } = await a.ok('POST', '/db/second/kv/p1', 1);
    assert.deepEqual(
      (await prefix).Events.map((event) => event.Rev),
      [Rev],
    );
    const held = await a.ok('POST', '/db/second/lock/l?dur=60');
    const waiting = b.ok('POST', '/db/second/lock/l?dur=60&wait=20');
    await server.waiters(1);
    await a.ok('DELETE', `/db/second/lock/l?lock=${held.Lock}`);
    assert((await waiting).Lock > held.Lock);
    const events = b.events('/watch/second?prefix=s', 'streamed');
    await server.watchers(1, 'dragonlock_streams');
    await a.ok('POST', '/db/second/kv/s1', 'streamed');
    assert.match(await events, /streamed/);
  });
}

test('large replies go on for ever, from every shard through either front end', { timeout: 60_000 }, async (t) => {
  const server = servers[3];
  const both = await onBoth(t, server);
  const keys = Array.from({ length: 12 }, (_, i) => `large${i}`);
  const value = 'x'.repeat(900_000);
  for (const key of keys) await both[0].ok('POST', `/db/acc/kv/${key}`, value);
  // From each shard to each front end go more bytes than may ever be on their way.
  for (let i = 0; i < 3 * keys.length; i += 1) {
    const read = both.map((connection) => connection.ok('GET', `/db/acc/kv/${keys[i % keys.length]}`));
    for (const { Value } of await Promise.all(read)) assert.equal(Value, value);
  }
});

test('metrics: either front end tells of both', async (t) => {
  const server = servers[1];
  const both = await onBoth(t, server);
  for (const connection of both) {
    for (let i = 0; i < 5; i += 1) await connection.ok('POST', '/db/acc/counter/c');
  }
  for (const connection of both) {
    const { text } = await connection.call('GET', '/metrics');
    assert(text.includes('dragonlock_requests_total{operation="counter_add",status="200"} 10\n'), text);
    assert(text.includes('dragonlock_request_seconds_count{operation="counter_add"} 10\n'), text);
    assert.match(text, /^nodejs_eventloop_utilization_ratio\{front_end="1"\} /m);
  }
});

test('limits: rates and watchers are counted once over both front ends', async (t) => {
  const limits = '{ account_requests_per_second: 30, watchers_max: 3 }';
  const server = await ServerUnderTest.forTest(t, { config: `http: { threads: 2 }\nlimits: ${limits}` });
  const [a, b] = await onBoth(t, server);
  const statuses = { 200: 0, 429: 0 };
  const startedAt = performance.now();
  while (statuses[429] < 5) {
    for (const { status } of await Promise.all([a, b].map((one) => one.call('GET', '/db/fast/kv')))) {
      assert(status === 200 || status === 429);
      statuses[status] += 1;
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  assert(statuses[200] >= 30 && statuses[200] <= 30 + 30 * seconds + 1, JSON.stringify({ statuses, seconds }));
  const watch = { ID: 'k', Version: 0, Wait: 20 };
  const open = Array.from({ length: 3 }, () => server.call('POST', '/watch/w', watch));
  await server.watchers(3);
  for (const connection of [a, b]) {
    const { status, text } = await connection.call('POST', '/watch/w', watch);
    assert.equal(status, 429, text);
    assert.match(text, /too_many_waiters/);
  }
  await a.ok('POST', '/db/w/kv/k', 1);
  for (const reply of await Promise.all(open)) assert.equal(reply.status, 200);
  await server.watchers(0);
  const next = b.ok('POST', '/watch/w', { ID: 'j', Version: 0, Wait: 20 });
  await server.watchers(1);
  await a.ok('POST', '/db/w/kv/j', 1);
  await next;
});

test('errors: no two have one RequestID, through whichever front end', async (t) => {
  const server = servers[1];
  const ids = new Set<string>();
  for (const connection of await onBoth(t, server)) {
    for (let i = 0; i < 3; i += 1) {
      const { text } = await connection.call('GET', '/db/acc/kv/missing');
      ids.add((JSON.parse(text) as ReplyBody).RequestID);
    }
  }
  assert.equal(ids.size, 6);
});

test('stop: every waiting client is answered, through both front ends, and the exit code is 0', async (t) => {
  const server = servers[3];
  await server.ok('POST', '/db/stopped/lock/l?dur=60');
  const keys = Array.from({ length: 8 }, (_, i) => ({ Key: `k${i}`, Value: 1 }));
  const [first, second] = [await onBoth(t, server), await onBoth(t, server)];
  const locking = { LockID: 'l', LockDur: 9, LockWait: 60, KVSet: keys };
  const waiting = first.map((one) => one.call('POST', '/db/stopped', locking));
  waiting.push(...second.map((one) => one.call('POST', '/watch/stopped', { ID: 'never', Wait: 60 })));
  await Promise.all([server.waiters(2), server.watchers(2)]);
  const startedAt = performance.now();
  const stopped = server.stop();
  for (const { status, text } of await Promise.all(waiting)) {
    assert.equal(status, 503, text);
    assert.match(text, /"draining"/);
  }
  await stopped;
  assert(performance.now() - startedAt < 10_000, 'idle connections do not hold it up');
});

/** Runs in every thread of the server: a request to /throw throws in the front end that is no main thread. */
const bug = `
import { isMainThread } from 'node:worker_threads';
import { subscribe } from 'node:diagnostics_channel';
if (!isMainThread) subscribe('http.server.request.start', ({ request }) => {
  if (request.url === '/throw') throw new Error('planted');
});`;

test('a front-end thread that throws takes the process down with 70', async (t) => {
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(bug)}` };
  const server = await ServerUnderTest.forTest(t, { config: 'http: { threads: 2 }', env });
  const [first, second] = await onBoth(t, server);
  assert.equal((await first.call('GET', '/throw')).status, 404);
  await second.call('GET', '/throw').catch(() => undefined);
  assert.equal(await server.exitCode(), 70);
  assert(JSON.stringify(server.logs).includes('planted'), JSON.stringify(server.logs.slice(-3)));
});

test('start: of servers that start at once on one address exactly one serves, and the others say why not', async (t) => {
  const port = await freePort();
  for (let round = 0; round < 2; round += 1) {
    const servers = Array.from({ length: 2 }, () =>
      ServerUnderTest.prepare({ config: 'http: { threads: 2 }', listen: `127.0.0.1:${port}` }),
    );
    t.after(() => Promise.all(servers.map((server) => server.dispose(t.passed))));
    for (const server of servers) server.launch();
    const serving = await Promise.all(
      servers.map((server) =>
        server
          .logLine(({ msg }) => msg.startsWith('Serving on'), 'serves')
          .then(
            () => true,
            () => false,
          ),
      ),
    );
    assert.equal(serving.filter((serves) => serves).length, 1, 'one has the port');
    for (const [i, server] of servers.entries()) {
      if (serving[i]) assert.equal(await server.terminate(), 0);
      else {
        assert.equal(await server.exitCode(), 1);
        assert.match(server.logs.at(-1)?.msg ?? '', /address is in use/);
      }
    }
  }
});
