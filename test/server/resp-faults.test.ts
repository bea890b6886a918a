/** What clients do wrong on the door for Redis clients, and what goes wrong around them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { text } from 'node:stream/consumers';
import { commandBytes, RespClient, RespFailure, type RespReply } from '../support/resp-client.ts';
import { isPending, serverForFile, ServerUnderTest } from '../support/server-under-test.ts';

const config = `
resp: {listen: "127.0.0.1:0"}
http: {threads: 1}
limits: {unread_bytes_max: 8388608, account_connections_max: 8, arriving_bytes_max: 4194304}
accounts:
  - {name: slow, requests_per_second: 5}
`;
const server = serverForFile({ config });
let accounts = 0;

/** @param account by default one of its own */
async function connect(account = `f${(accounts += 1)}`): Promise<RespClient> {
  const client = await RespClient.open(server.respPort);
  await client.ok('AUTH', account, 'any');
  return client;
}

/** Sends bytes. @returns all that comes until the server closes */
async function exchange(bytes: string | Buffer): Promise<string> {
  const socket = net.connect({ host: '127.0.0.1', port: server.respPort });
  socket.write(bytes);
  return text(socket.setEncoding('latin1'));
}

test('what is no RESP is answered once, after what came before it, and closed', async () => {
  assert.equal(
    await exchange('PING\r\n*1\r\n$-1\r\nPING\r\n'),
    '+PONG\r\n-ERR Protocol error: invalid bulk length\r\n',
  );
  assert.match(await exchange(`*1\r\n$${2 ** 31}\r\n`), /^-ERR Protocol error: invalid bulk length/);
  assert.match(await exchange('*100000\r\n'), /^-ERR Protocol error: invalid multibulk length/);
  assert.match(await exchange(Buffer.alloc(70_000, 'a')), /^-ERR Protocol error: too big inline request/);
  assert.equal(await exchange('POST / HTTP/1.1\r\nHost: a\r\n\r\nSET a 1\r\n'), '');
  assert.equal(await exchange('*2\r\n$4\r\nPING\r\n$1\r\na\r\n*1\r\n$4\r\nQUIT\r\nPING\r\n'), '$1\r\na\r\n+OK\r\n');
});

test('a client that has closed its half is answered what it has sent', async () => {
  const socket = net.connect({ host: '127.0.0.1', port: server.respPort, allowHalfOpen: true });
  socket.end('SET half 1\r\nGET half\r\n');
  assert.equal(await text(socket), '+OK\r\n$1\r\n1\r\n');
});

for (const how of ['end', 'destroy'] as const) {
  test(`a client that waits for a lock and hangs up (${how}) leaves the queue at once`, async () => {
    const account = `hang-${how}`;
    const [holder, gone, next] = [await connect(account), await connect(account), await connect(account)];
    const [handle] = (await holder.ok('DL.LOCK', 'l', '60000')) as [number];
    void gone.call('DL.LOCK', 'l', '60000', 'WAIT', '60000');
    await server.waiters(1);
    const waiting = next.call('DL.LOCK', 'l', '60000', 'WAIT', '60000');
    await server.waiters(2);
    gone.socket[how]();
    await server.waiters(1);
    await holder.ok('DL.UNLOCK', 'l', 'HANDLE', handle);
    assert.ok(Array.isArray(await waiting));
    holder.close();
    next.close();
  });
}

test('commands behind one that waits wait too; only so much of them is kept', async () => {
  const account = `f${(accounts += 1)}`;
  const [holder, waiter] = [await connect(account), await connect(account)];
  const [handle] = (await holder.ok('DL.LOCK', 'l', '60000')) as [number];
  const lock = waiter.call('DL.LOCK', 'l', '60000', 'WAIT', '60000');
  const ping = waiter.call('PING');
  await server.waiters(1);
  assert.ok(await isPending(ping));
  await holder.ok('DL.UNLOCK', 'l', 'HANDLE', handle);
  const [own] = (await lock) as [number];
  assert.equal(await ping, 'PONG');
  const blocked = holder.call('DL.LOCK', 'l', '60000', 'WAIT', '60000');
  await server.waiters(1);
  holder.socket.write(Buffer.alloc(80 * 1024, '\r\n'));
  assert.equal(await blocked, undefined, 'the connection is closed');
  await server.waiters(0);
  await waiter.ok('DL.UNLOCK', 'l', 'HANDLE', own);
  waiter.close();
});

test('MULTI takes a thousand commands, and no more', async () => {
  const client = await connect();
  await client.ok('MULTI');
  const queued = Array.from({ length: 1000 }, (_, i) => client.ok('SET', `k${i}`, 'v'));
  assert.ok((await Promise.all(queued)).every((reply) => reply === 'QUEUED'));
  assert.deepEqual(
    await client.ok('EXEC'),
    Array.from({ length: 1000 }, () => 'OK'),
  );
  await client.ok('MULTI');
  await Promise.all(Array.from({ length: 1000 }, () => client.ok('INCR', 'n')));
  await client.fails(/at most 1000 operations/, 'INCR', 'n');
  await client.fails(/^EXECABORT/, 'EXEC');
  assert.equal(await client.ok('EXISTS', 'n'), 0);
  await client.ok('MULTI');
  await client.ok('MSET', ...Array.from({ length: 999 }, (_, i) => [`a${i}`, '1']).flat());
  await client.ok('MGET', 'a1', 'a2');
  await client.fails(/1001 operations; expected at most 1000/, 'EXEC');
  assert.equal(await client.ok('EXISTS', 'a1'), 0);
  client.close();
});

test('five thousand commands in one go are done in order, though only 1,024 of them are in flight', async () => {
  const client = await connect();
  const replies = Array.from({ length: 5000 }, () => client.reply());
  client.socket.write(Buffer.concat(replies.map(() => commandBytes(['INCR', 'n']))));
  assert.deepEqual(
    await Promise.all(replies),
    replies.map((_, i) => i + 1),
  );
  client.close();
});

test('a transaction has a limit in bytes', async () => {
  const client = await connect();
  await client.ok('MULTI');
  const value = 'v'.repeat(1000 * 1000);
  const replies: (RespReply | undefined)[] = [];
  for (let i = 0; i < 9; i += 1) replies.push(await client.call('SET', `k${i}`, value));
  // The budget of what has arrived in part is smaller than the limit of a transaction: the connection is closed.
  const last = replies.at(-1);
  assert.ok(last === undefined || last instanceof RespFailure);
  client.close();
});

test('a client that does not read is disconnected, and disturbs nobody', async () => {
  const [deaf, other] = [await connect('deaf'), await connect('deaf')];
  await other.ok('SET', 'big', 'v'.repeat(1000 * 1000));
  deaf.socket.pause();
  const get = commandBytes(['GET', 'big']);
  deaf.socket.write(Buffer.concat(Array.from({ length: 200 }, () => get)));
  assert.equal(await other.ok('PING'), 'PONG');
  deaf.socket.resume();
  await deaf.closed;
  assert.equal(await other.ok('PING'), 'PONG');
  other.close();
});

test('tenants: rates and connections are of an account', async () => {
  const [slow, quick] = [await connect('slow'), await connect('quick')];
  const replies = await Promise.all(Array.from({ length: 40 }, () => slow.call('GET', 'k')));
  assert.ok(
    replies.some((reply) => reply instanceof RespFailure && reply.message.startsWith('TRYAGAIN Too many requests')),
  );
  await Promise.all(Array.from({ length: 40 }, () => quick.ok('GET', 'k')));
  await slow.ok('PING');
  const many: RespClient[] = [];
  for (let i = 0; i < 8; i += 1) {
    const client = await connect('crowd');
    await client.ok('GET', 'k');
    many.push(client);
  }
  const late = await connect('crowd');
  await late.fails(/^TRYAGAIN 8 connections/, 'GET', 'k');
  for (const client of [...many, slow, quick, late]) client.close();
});

test('bytes that do not complete a command are bounded for all together', async () => {
  const half = Buffer.concat([Buffer.from('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n'), Buffer.alloc(900_000, 'v')]);
  const clients: RespClient[] = [];
  for (let i = 0; i < 6; i += 1) {
    const client = await connect('heavy');
    client.socket.write(half);
    clients.push(client);
  }
  const closed = await Promise.race(clients.map(async (client) => (await client.reply()) ?? 'closed'));
  assert.ok(closed instanceof RespFailure && closed.message.startsWith('TRYAGAIN slow requests'));
  for (const client of clients) client.close();
});

test('what is not there yet is answered LOADING, and SIGTERM lets nobody wait', async (t) => {
  const own = await ServerUnderTest.forTest(t, { config: 'resp: {listen: "127.0.0.1:0"}\nhttp: {threads: 1}' });
  const [holder, waiter, idle] = [
    await RespClient.open(own.respPort),
    await RespClient.open(own.respPort),
    await RespClient.open(own.respPort),
  ];
  await holder.ok('DL.LOCK', 'l', '60000');
  const waiting = waiter.call('DL.LOCK', 'l', '60000', 'WAIT', '60000');
  await own.waiters(1);
  await own.stop();
  const reply = await waiting;
  assert.ok(reply instanceof RespFailure && reply.message.startsWith('LOADING'), JSON.stringify(reply));
  await Promise.all([holder.closed, waiter.closed, idle.closed]);
});

const withoutOpenssl = spawnSync('openssl', ['version']).status !== 0;

test('TLS', { skip: withoutOpenssl && 'openssl is not installed' }, async (t) => {
  const own = ServerUnderTest.prepare({ config: '' });
  t.after(() => own.dispose(t.passed));
  const [cert, key] = [path.join(own.directory, 'cert.pem'), path.join(own.directory, 'key.pem')];
  const options = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost';
  const made = spawnSync('openssl', [...options.split(' '), '-out', cert, '-keyout', key]);
  assert.equal(made.status, 0, String(made.stderr));
  await own.start({ config: `resp: {listen: "127.0.0.1:0", tls: {cert_file: ${cert}, key_file: ${key}}}` });
  const socket = tls.connect({
    host: '127.0.0.1',
    port: own.respPort,
    ca: fs.readFileSync(cert),
    servername: 'localhost',
  });
  await once(socket, 'secureConnect');
  socket.write('SET a 1\r\nGET a\r\nQUIT\r\n');
  assert.equal(await text(socket), '+OK\r\n$1\r\n1\r\n+OK\r\n');
});
