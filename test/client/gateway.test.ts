/**
 * The client behind gateways: a small one in this process, and HAProxy if it is installed. Both cut what takes longer
 * than a few seconds, and answer with pages of their own while the server restarts.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { DragonLock } from '../../src/client/exports.ts';
import { DragonLockStore } from '../../src/client/store/exports.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

interface Gateway {
  readonly url: string;
  /** Number of pages of its own that it has sent. */
  readonly pages: () => number;
}

/** Forwards requests, and answers 504 itself after `cutMs`, 502 if the server cannot be reached. Keeps no idle sockets. */
async function smallGateway(t: TestContext, port: number, cutMs: number): Promise<Gateway> {
  let pages = 0;
  const gateway = http.createServer((request, response) => {
    const page = (status: number): void => {
      if (response.headersSent) return void response.destroy();
      pages += 1;
      response.writeHead(status, { 'content-type': 'text/html', connection: 'close' });
      response.end(`<h1>${status}</h1>`);
    };
    const { method, url, headers } = request;
    const forwarded = http.request({ host: '127.0.0.1', port, method, path: url, headers, agent: false }, (reply) => {
      clearTimeout(late);
      response.writeHead(reply.statusCode!, reply.headers);
      reply.pipe(response);
    });
    const late = setTimeout(() => {
      page(504);
      forwarded.destroy();
    }, cutMs);
    forwarded.on('error', () => {
      clearTimeout(late);
      page(502);
    });
    request.pipe(forwarded);
  });
  gateway.listen(0, '127.0.0.1');
  await once(gateway, 'listening');
  t.after(() => {
    gateway.closeAllConnections();
    gateway.close();
  });
  return { url: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`, pages: () => pages };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function haproxy(t: TestContext, server: ServerUnderTest): Promise<string> {
  const port = await freePort();
  const file = path.join(server.directory, 'haproxy.cfg');
  fs.writeFileSync(
    file,
    `defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 3s
  timeout http-keep-alive 200ms
  retries 0
listen all
  bind 127.0.0.1:${port}
  server dragonlock 127.0.0.1:${server.port}
`,
  );
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  await eventually('haproxy listens', async () => {
    const socket = net.connect(port, '127.0.0.1');
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    return connected;
  });
  return `http://127.0.0.1:${port}`;
}

/** Locks, writes and watches through a gateway, over a restart of the server behind it. */
async function worksThrough(
  t: TestContext,
  url: string,
  server: ServerUnderTest,
  cuts: () => Promise<unknown>,
): Promise<void> {
  const client = new DragonLock({ url, account: 'acc', timeout: 60_000 });
  t.after(() => client.close());
  const held = await client.lock('held', { ttl: 3_600_000 });
  const leave = new AbortController();
  const seen: number[] = [];
  const watching = (async () => {
    for await (const event of client.watch.prefix('log/', { signal: leave.signal })) {
      if (event.kind === 'commit') seen.push(event.rev);
    }
  })().catch((error: unknown) => error);
  const waiting = client.lock('held', { wait: 120_000, ttl: 3_600_000 });
  const locker = new DragonLockStore({ client }).newLock('stored', { ttl: 3_600_000, value: 'me' });
  const stored = await client.lock('stored', { ttl: 3_600_000 });
  const storing = locker.lock();
  const written = [await client.kv.set('log/0', 0)];
  await cuts();

  await server.kill();
  const during = [client.kv.set('log/1', 1), client.counter.add('n', 5), client.lock('new', { wait: 0 })] as const;
  await Promise.race([...during, new Promise((resolve) => setTimeout(resolve, 300))]);
  await server.start({ listen: `127.0.0.1:${server.port}` });
  written.push(await during[0]);
  assert.equal(await during[1], 5);
  await (await during[2]).release();
  written.push(await client.kv.set('log/2', 2));

  await held.release();
  const next = await waiting;
  assert.ok(next.fence > held.fence);
  assert.equal(await client.locks.isHeld('held', next.fence), true);
  await next.release();
  await stored.release();
  await storing;
  assert.equal((await client.kv.get('stored'))?.value, 'me');
  await locker.unlock();
  assert.equal((await client.locks.get('held')).locked, false);
  await eventually('the watch has seen all', async () => seen.length === written.length, 60_000);
  assert.deepEqual(seen, written, 'each commit once');
  leave.abort(new Error('seen all'));
  assert.match(String(await watching), /seen all/);
}

test('locks, writes and watches work through a gateway that cuts what takes long, and over a restart behind it', {
  timeout: 120_000,
}, async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const gateway = await smallGateway(t, server.port, 1200);
  const cuts = (): Promise<void> => eventually('polls are cut', async () => gateway.pages() >= 4, 30_000);
  await worksThrough(t, gateway.url, server, cuts);
});

test('they work through HAProxy with a timeout of 3 seconds, too', { timeout: 180_000 }, async (t) => {
  if (spawnSync('haproxy', ['-v']).error !== undefined) return t.skip('haproxy is not installed');
  const server = await ServerUnderTest.forTest(t);
  const url = await haproxy(t, server);
  await worksThrough(t, url, server, () => new Promise((resolve) => setTimeout(resolve, 3500)));
});

test('an acquire that is given up behind HAProxy does not wait on, to be granted to nobody', async (t) => {
  if (spawnSync('haproxy', ['-v']).error !== undefined) return t.skip('haproxy is not installed');
  const server = await ServerUnderTest.forTest(t);
  const url = await haproxy(t, server);
  const client = new DragonLock({ url, account: 'acc' });
  const other = new DragonLock({ url: server.url, account: 'acc' });
  t.after(() => other.close());
  for (const kind of ['lock', 'mutex'] as const) {
    const first = await other[kind]('x', { ttl: 3_600_000 });
    const giveUp = new AbortController();
    const rejected = assert.rejects(client[kind]('x', { signal: giveUp.signal }), /enough/);
    await server.waiters(1);
    giveUp.abort(new Error('enough'));
    await rejected;
    await server.waiters(0);
    await first.release();
    await (await other[kind]('x', { wait: 0 })).release();
  }
  await client.close();
});
