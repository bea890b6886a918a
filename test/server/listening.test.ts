/** Where the server listens: TLS with and without certificates of clients, Unix sockets, web pages of other origins. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { makeCertificate, withoutOpenssl, type CertificateFiles } from '../support/certificates.ts';
import { ServerUnderTest } from '../support/server-under-test.ts';

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

async function send(options: https.RequestOptions & { body?: string }): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const request = (options.ca === undefined ? http : https).request(options, resolve);
  request.on('error', reject);
  request.end(options.body);
  const reply = await promise;
  return { status: reply.statusCode!, headers: reply.headers, body: await text(reply) };
}

function as({ cert, key }: CertificateFiles): { cert: Buffer; key: Buffer } {
  return { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
}

test('HTTPS: the fast lane and Node serve it, and other bytes are closed', { skip: withoutOpenssl }, async (t) => {
  const own = ServerUnderTest.prepare();
  t.after(() => own.dispose(t.passed));
  const { cert, key } = makeCertificate(own.directory, 'server');
  own.launch({ config: `http: {threads: 2, tls: {cert_file: ${cert}, key_file: ${key}}}` });
  const serving = await own.logLine((line) => line.msg.startsWith('Serving on'), 'serves');
  assert.match(String(serving.url), /^https:/);
  const port = Number(new URL(String(serving.url)).port);
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const common = { host: '127.0.0.1', port, ca: fs.readFileSync(cert), agent };
  for (let i = 1; i <= 20; i += 1) {
    const written = await send({ ...common, method: 'POST', path: '/db/acc/kv/a', body: String(i) });
    assert.equal(written.status, 200, written.body);
    assert.match((await send({ ...common, path: '/db/acc/kv/a' })).body, new RegExp(`"Value":${i}\\b`));
  }
  const large = await send({
    ...common,
    method: 'POST',
    path: '/db/acc/kv/b',
    body: JSON.stringify('x'.repeat(500_000)),
  });
  assert.equal(large.status, 200, large.body);
  const metrics = (await send({ ...common, path: '/metrics' })).body;
  assert.match(
    metrics,
    /dragonlock_connections_handed_over_total\{reason="body"\} 1\n/,
    'up to the large body in the lane',
  );

  const plain = net.connect(port, '127.0.0.1');
  plain.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.equal(await text(plain).catch(() => ''), '', 'no HTTP without TLS');
  assert.equal((await send({ ...common, path: '/readyz' })).status, 200);
  assert.equal(await own.terminate(), 0);
});

test('HTTPS with client_ca_file: a client needs a certificate of it', { skip: withoutOpenssl }, async (t) => {
  const own = ServerUnderTest.prepare();
  t.after(() => own.dispose(t.passed));
  const server = makeCertificate(own.directory, 'server');
  const client = makeCertificate(own.directory, 'client');
  const stranger = makeCertificate(own.directory, 'stranger');
  const files = `cert_file: ${server.cert}, key_file: ${server.key}, client_ca_file: ${client.cert}`;
  own.launch({ config: `http: {threads: 1, tls: {${files}, min_version: TLSv1.3}}` });
  const serving = await own.logLine((line) => line.msg.startsWith('Serving on'), 'serves');
  const port = Number(new URL(String(serving.url)).port);
  const common = { host: '127.0.0.1', port, ca: fs.readFileSync(server.cert), path: '/readyz', agent: false as const };
  assert.equal((await send({ ...common, ...as(client) })).status, 200);
  await assert.rejects(send(common), /certificate required|ECONNRESET|EPIPE|hang up/);
  await assert.rejects(send({ ...common, ...as(stranger) }), /unknown ca|ECONNRESET|EPIPE|alert|hang up/);
  await assert.rejects(send({ ...common, ...as(client), maxVersion: 'TLSv1.2' }), /version/);
  assert.equal((await send({ ...common, ...as(client) })).status, 200);
});

test('connections too many by TLS are closed, and counted no longer', { skip: withoutOpenssl }, async (t) => {
  const own = ServerUnderTest.prepare();
  t.after(() => own.dispose(t.passed));
  const { cert, key } = makeCertificate(own.directory, 'server');
  const limits = 'limits: {connections_max: 2}';
  own.launch({ config: `${limits}\nhttp: {threads: 1, tls: {cert_file: ${cert}, key_file: ${key}}}` });
  const serving = await own.logLine((line) => line.msg.startsWith('Serving on'), 'serves');
  const at = { host: '127.0.0.1', port: Number(new URL(String(serving.url)).port), ca: fs.readFileSync(cert) };
  const open = [tls.connect(at), tls.connect(at)];
  await Promise.all(open.map((socket) => once(socket, 'secureConnect')));
  const third = tls.connect(at);
  await assert.rejects(once(third, 'secureConnect'), /ECONNRESET|disconnected|EPIPE/);
  for (const socket of open) {
    socket.end();
    await once(socket.resume(), 'close');
  }
  for (let i = 0; i < 5; i += 1) assert.equal((await send({ ...at, path: '/readyz', agent: false })).status, 200);
});

test('a Unix socket: any host, without tokens, with its mode, after a kill too, and for one server', async (t) => {
  const own = ServerUnderTest.prepare();
  t.after(() => own.dispose(t.passed));
  const socketPath = path.join(own.directory, 'sock');
  const listen = `unix:${socketPath},127.0.0.1:0`;
  const config = 'http: {threads: 2, socket_mode: "0660"}';
  const serving = async (): Promise<void> => {
    own.launch({ config, listen });
    await own.logLine((line) => line.msg.startsWith('Serving on'), 'serves');
  };
  await serving();
  assert.equal(fs.statSync(socketPath).mode & 0o777, 0o660);
  const common = { socketPath, headers: { host: 'any.example' } };
  assert.equal((await send({ ...common, method: 'POST', path: '/db/acc/kv/a', body: '1' })).status, 200);
  assert.match((await send({ ...common, path: '/db/acc/kv/a' })).body, /"Value":1/);
  const urls = own.logs.find((line) => line['urls'] !== undefined)?.['urls'] as string[];
  const byPort = await send({
    host: '127.0.0.1',
    port: Number(new URL(urls[1]!).port),
    path: '/readyz',
    headers: { host: 'any.example' },
  });
  assert.equal(byPort.status, 403, 'a page may have made that name');

  const second = ServerUnderTest.prepare();
  t.after(() => second.dispose(t.passed));
  second.launch({ listen: `unix:${socketPath}` });
  assert.equal(await second.exitCode(), 1);
  assert.match(second.stderr, /^Cannot listen on unix:.*: the address is in use/);
  assert.equal((await send({ ...common, path: '/readyz' })).status, 200, 'the first one serves on');

  await own.kill();
  assert.ok(fs.existsSync(socketPath), 'its file stays behind');
  await serving();
  assert.match((await send({ ...common, path: '/db/acc/kv/a' })).body, /"Value":1/);
  await own.stop();
  assert.equal(fs.existsSync(socketPath), false);

  fs.writeFileSync(socketPath, 'a file');
  own.launch({ config, listen });
  assert.equal(await own.exitCode(), 1);
  assert.equal(fs.readFileSync(socketPath, 'utf8'), 'a file', 'what is no socket is never removed');
});

test('pages of the origins in cors_origins may call with a token, others may not read replies', async (t) => {
  const config = `
http: {threads: 1, cors_origins: ["https://app.example"]}
tokens: [{token: secret, accounts: "*", scopes: [read, write]}]
`;
  const own = ServerUnderTest.prepare({ config });
  t.after(() => own.dispose(t.passed));
  await own.start();
  const common = { host: '127.0.0.1', port: own.port };
  const preflight = { origin: 'https://app.example', 'access-control-request-method': 'POST' };
  const asked = await send({ ...common, method: 'OPTIONS', path: '/db/acc', headers: preflight });
  assert.equal(asked.status, 204);
  assert.equal(asked.headers['access-control-allow-origin'], 'https://app.example');
  assert.match(asked.headers['access-control-allow-headers'] ?? '', /Authorization/);
  assert.equal(asked.headers['access-control-max-age'], '600');
  const headers = { origin: 'https://app.example', authorization: 'Bearer secret' };
  for (const [path, method] of [
    ['/db/acc/kv/a', 'GET'],
    ['/db/acc', 'POST'],
    ['/nothing', 'GET'],
    ['/metrics', 'GET'],
  ] as const) {
    const reply = await send({ ...common, path, method, headers });
    assert.equal(reply.headers['access-control-allow-origin'], 'https://app.example', path);
    assert.match(reply.headers['access-control-expose-headers'] ?? '', /Dragonlock-Boot/, path);
    assert.equal(reply.headers.vary, 'Origin', path);
  }
  for (const origin of ['https://evil.example', 'null', 'https://app.example.evil', 'http://app.example']) {
    const refused = await send({ ...common, method: 'OPTIONS', path: '/db/acc', headers: { ...preflight, origin } });
    assert.equal(refused.headers['access-control-allow-origin'], undefined, origin);
    const reply = await send({ ...common, path: '/db/acc/kv/a', headers: { ...headers, origin } });
    assert.equal(reply.headers['access-control-allow-origin'], undefined, origin);
  }
  const programs = await send({ ...common, path: '/db/acc/kv/a', headers: { authorization: 'Bearer secret' } });
  assert.equal(programs.headers.vary, undefined);
});

test('admin.listen: the admin page, its calls and the metrics are there only, with several front ends too', async (t) => {
  const own = ServerUnderTest.prepare({ config: 'admin: {listen: "127.0.0.1:0"}\nhttp: {threads: 2}' });
  t.after(() => own.dispose(t.passed));
  await own.start();
  const line = await own.logLine(({ msg }) => msg === 'Listening; recovering', 'listens');
  const [own_, admin] = line['urls'] as [string, string];
  assert.equal(own_, own.url);
  const statuses = async (url: string, target: string): Promise<number[]> => {
    const { port } = new URL(url);
    // The kernel gives each connection to one of the two.
    const all = Array.from({ length: 8 }, () => send({ host: '127.0.0.1', port, path: target, agent: false }));
    return [...new Set((await Promise.all(all)).map(({ status }) => status))];
  };
  for (const target of [
    '/ui',
    '/ui/',
    '/ui/api/',
    '/metrics',
    '/admin/overview',
    '/%61dmin/overview',
    '/admin/tokens',
  ]) {
    assert.deepEqual(await statuses(own.url, target), [404], target);
    assert.deepEqual(await statuses(admin, target), [target === '/ui' ? 308 : 200], target);
  }
  for (const target of ['/db/acc/kv?prefix=', '/readyz', '/openapi.json']) {
    assert.deepEqual(await statuses(own.url, target), [200], target);
    assert.deepEqual(await statuses(admin, target), [200], target);
  }
  const { body } = await send({ host: '127.0.0.1', port: new URL(admin).port, path: '/admin/config' });
  const rows = (JSON.parse(body) as { Settings: { Name: string; Value: unknown }[] }).Settings;
  assert.equal(rows.find(({ Name }) => Name === 'admin.listen')?.Value, '127.0.0.1:0');
});
