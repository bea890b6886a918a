/** What the fast lane has to see to by itself: ends, limits, slow and silent clients, what it leaves to Node's server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { revision } from '../../../../src/protocol/ids.ts';
import { makeDoor, type HttpDoorUnderTest } from '../http-door-under-test.ts';

const get = 'GET /db/a/kv/k HTTP/1.1\r\nHost: localhost\r\n\r\n';
const lock = post('/db/a', '{"LockID":"a","LockDur":1,"LockWait":300}');
const ok = { rev: revision(1), outcome: 'ok', body: '{}' } as const;

function post(url: string, body: string): string {
  return `POST ${url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

async function connect(t: TestContext, door: HttpDoorUnderTest): Promise<net.Socket> {
  if (!door.app.server.listening) await door.app.listen({ port: 0, host: '127.0.0.1' });
  const socket = net.connect((door.app.server.address() as net.AddressInfo).port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

async function receive(socket: net.Socket, until: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (until.test(text)) return text;
  }
  return assert.fail(`the connection ended before ${String(until)}: ${text.slice(0, 500)}`);
}

async function everything(socket: net.Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

/** Connections that the lane has left to Node's server, by reason, without that of the scrape. */
async function handedOver(t: TestContext, door: HttpDoorUnderTest): Promise<Record<string, number>> {
  const scrape = await connect(t, door);
  scrape.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const text = await everything(scrape);
  const counts = text.matchAll(/^dragonlock_connections_handed_over_total\{reason="(\w+)"\} (\d+)$/gm);
  const all = [...counts].map(([, reason, count]) => [reason!, Number(count) - (reason === 'head' ? 1 : 0)] as const);
  return Object.fromEntries(all.filter(([, count]) => count > 0));
}

test('lane: when the server closes, idle connections end at once, one at work after its reply', async (t) => {
  const door = makeDoor(t);
  const idle = await connect(t, door);
  idle.write(get);
  await receive(idle, /"Rev":7/);
  const silent = await connect(t, door);
  door.dispatcher.reply = undefined;
  const working = await connect(t, door);
  working.write(get);
  await door.dispatcher.until(() => door.dispatcher.asked.length === 2);
  const closed = door.app.close();
  assert.deepEqual(await Promise.all([everything(idle), everything(silent)]), ['', '']);
  door.dispatcher.asked[1]?.client?.deliver(ok);
  assert.match(await everything(working), /^HTTP\/1\.1 200 OK\r\n[^]*\r\nConnection: close\r\n\r\n\{\}$/);
  await closed;
});

test('lane: while the server drains, the next request of a connection is refused, and the connection closed', async (t) => {
  const door = makeDoor(t);
  const socket = await connect(t, door);
  socket.write(get);
  await receive(socket, /"Rev":7/);
  door.state = 'draining';
  socket.write(get + get);
  assert.match(await everything(socket), /^HTTP\/1\.1 503 [^]*\r\nConnection: close\r\n[^]*"Code":"draining"[^\n]*\}$/);
  assert.equal(door.dispatcher.asked.length, 1);
  // The scrape is one of them.
  assert.deepEqual(await handedOver(t, door), { state: 2 });
});

test('lane: a connection that is idle for keep_alive_timeout_ms is closed', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1, keep_alive_timeout_ms: 50}');
  const socket = await connect(t, door);
  socket.write(get);
  assert.match(await everything(socket), /Keep-Alive: timeout=0\r\n\r\n\{"Rev":7\}$/);
  assert.deepEqual(await handedOver(t, door), {});
});

test('lane: a request that does not come to its end is left to Node’s server, which ends it or answers it', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1, header_timeout_ms: 100}');
  const [head, body, nothing] = [await connect(t, door), await connect(t, door), await connect(t, door)];
  const request = post('/db/a', '{"KVGet":"k"}');
  const begun = once(door.app.server, 'request');
  head.write(`${get}GET /db/a/kv/k HTTP/1.1\r\nHost: lo`);
  body.write(get + request.slice(0, -4));
  assert.match(await everything(head), /"Rev":7\}HTTP\/1\.1 400 [^]*too slowly/);
  assert.match(await everything(nothing), /^HTTP\/1\.1 400 [^]*too slowly/);
  await begun;
  body.write(request.slice(-4));
  assert.match(await receive(body, /"Rev":7\}[^]*"Rev":7\}$/), /^HTTP\/1\.1 200/);
  assert.deepEqual(await handedOver(t, door), { slow: 3 });
});

test('lane: a hang-up cancels what waits, also while bytes behind it are left for Node’s server', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const sockets = [await connect(t, door), await connect(t, door), await connect(t, door)];
  sockets[0]!.write(lock);
  sockets[1]!.write(`${lock}GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  sockets[2]!.write(`${lock}POST /db/a HTTP/1.1\r\nHost: loc`);
  await door.dispatcher.until(() => door.dispatcher.asked.length === 3);
  sockets[0]!.destroy();
  sockets[1]!.end();
  sockets[2]!.end();
  await door.dispatcher.until(() => door.dispatcher.asked.every(({ cancelled }) => cancelled));
});

test('lane: what is not plain waits for the replies before it, and is answered in order', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const socket = await connect(t, door);
  socket.write(`${get}GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n${get}`);
  await door.dispatcher.until(() => door.dispatcher.asked.length === 1);
  door.dispatcher.reply = () => ({ body: '{"third":3}' });
  door.dispatcher.asked[0]?.client?.deliver(ok);
  assert.match(await receive(socket, /third/), /\{\}HTTP\/1\.1 200 [^]*"live"\}HTTP\/1\.1 200 [^]*\{"third":3\}$/);
});

test('lane: 1,600 small requests in one chunk do not have the thread for themselves', async (t) => {
  // Refused ones wait for nobody.
  const door = makeDoor(t, "http: {threads: 1}\ntokens: [{token: a, accounts: '*', scopes: [read]}]");
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
  const socket = await connect(t, door);
  const [served] = await accepted;
  const perTurn: number[] = [];
  const write = served.write.bind(served) as (...args: unknown[]) => boolean;
  served.write = (...args: unknown[]) => {
    perTurn.push(String(args[0]).split('HTTP/1.1 401').length - 1);
    return write(...args);
  };
  const one = 'GET /db/a/kv/k HTTP/1.1\r\nHost:localhost\r\n\r\n';
  let text = '';
  socket.write(one.repeat(1600));
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.split('HTTP/1.1 401').length > 1600) break;
  }
  const all = perTurn.reduce((sum, count) => sum + count, 0);
  assert.equal(all, 1600);
  assert.ok(Math.max(...perTurn) <= 32, `${Math.max(...perTurn)} in one turn`);
});

test('lane: replies that wait for one before them are counted, and keep later requests from being begun', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}');
  const { dispatcher } = door;
  dispatcher.reply = undefined;
  const socket = await connect(t, door);
  socket.write(lock);
  await dispatcher.until(() => dispatcher.asked.length === 1);
  dispatcher.reply = () => ({ body: `"${'x'.repeat(100_000)}"` });
  socket.write(get.repeat(200));
  await dispatcher.until(() => dispatcher.asked.length > 1);
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(dispatcher.asked.length <= 40, `${dispatcher.asked.length} were begun`);
  dispatcher.asked[0]?.client?.deliver(ok);
  let count = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    count += String(chunk).split('HTTP/1.1 200').length - 1;
    if (count === 201) break;
  }
  assert.equal(dispatcher.asked.length, 201);
});

test('lane: over arriving_bytes_max the request that has been arriving for longest is refused, the others succeed', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}\nlimits: {arriving_bytes_max: 3000}');
  const body = JSON.stringify({ KVSet: { Key: 'k', Value: 'v'.repeat(2000) } });
  const bytes = post('/db/a', body);
  const [slow, fast] = [await connect(t, door), await connect(t, door)];
  const replied = everything(slow);
  slow.write(bytes.slice(0, -10));
  const scrapes = await handedOver(t, door);
  assert.deepEqual(scrapes, {}, 'kept by the lane');
  fast.write(bytes.slice(0, -10));
  assert.match(await replied, /^HTTP\/1\.1 503 [^]*"Code":"overloaded".*arriving_bytes_max/);
  fast.write(bytes.slice(-10));
  assert.match(await receive(fast, /"Rev":7/), /^HTTP\/1\.1 200/);
  assert.equal(door.dispatcher.asked.length, 1, 'the other was not begun');
});
