/** The files in deploy/: what they name exists, what they promise is there, and the proxies' own programs take them. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { buildDeb } from '../../build/deb-package.ts';
import { root, temporaryDirectory } from '../docs/server-child.ts';
import { makeCertificate, withoutOpenssl } from '../support/certificates.ts';
import { freePort } from '../support/free-port.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

const read = (name: string): string => fs.readFileSync(path.join(root, 'deploy', name), 'utf8');
const lacks = (program: string): string | false =>
  spawnSync(program, ['-v']).error !== undefined && `${program} is not installed`;

test('the unit is exposed as little as docs/install.md says', {
  skip: spawnSync('systemd-analyze', ['--version']).error !== undefined && 'systemd-analyze is not installed',
}, () => {
  const unit = path.join(root, 'deploy/dragonlock.service');
  const { status, stdout, stderr } = spawnSync(
    'systemd-analyze',
    ['security', '--offline=true', '--threshold=20', unit],
    { encoding: 'utf8' },
  );
  if (/unrecognized option/.test(stderr)) return;
  assert.equal(status, 0, stdout + stderr);
});

test('the unit tells, reloads and stops as the server expects', () => {
  const unit = read('dragonlock.service');
  for (const line of [
    'Type=notify',
    'NotifyAccess=all',
    'WatchdogSec=30',
    'KillMode=mixed',
    'ExecReload=/bin/kill -HUP $MAINPID',
    'LimitCORE=0',
  ])
    assert.ok(unit.split('\n').includes(line), line);
  // Its clock reads what this would hide.
  assert.doesNotMatch(unit, /^ProcSubset=/m);
});

test('the Dockerfile copies what there is, has two stages, no root and a health check', () => {
  const dockerfile = read('Dockerfile');
  assert.equal(dockerfile.match(/^FROM /gm)?.length, 2);
  for (const [, sources = ''] of dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm))
    for (const source of sources.split(' ')) assert.ok(fs.existsSync(path.join(root, source)), source);
  assert.match(dockerfile, /^USER 65532:65532$/m);
  assert.match(dockerfile, /^HEALTHCHECK /m);
  assert.match(dockerfile, /^STOPSIGNAL SIGTERM$/m);
  assert.match(dockerfile, /^VOLUME \/data$/m);
  for (const [, script = ''] of dockerfile.matchAll(/node (build\/\S+)/g))
    assert.ok(fs.existsSync(path.join(root, script)), script);
  const compose = parse(read('compose.yml')) as { services: { dragonlock: Record<string, unknown> } };
  const { dragonlock } = compose.services;
  assert.deepEqual([dragonlock['read_only'], dragonlock['cap_drop']], [true, ['ALL']]);
});

function dpkgDeb(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('dpkg-deb', args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

test('the package for Debian has the command, units that find it, a user, and settings that an upgrade keeps', {
  skip: spawnSync('dpkg-deb', ['--version']).error !== undefined && 'dpkg-deb is not installed',
}, async (t) => {
  const directory = temporaryDirectory(t);
  const stage = path.join(directory, 'stage');
  const file = await buildDeb({ stage, out: directory, install: false });
  assert.match(dpkgDeb('--info', file), /Package: dragonlock-server\n[^]*Depends: nodejs \(>= 22\.19\)/);
  assert.equal(dpkgDeb('--info', file, 'conffiles'), '/etc/dragonlock/config.yml\n');
  const content = dpkgDeb('--contents', file);
  assert.match(content, /^lrwxrwxrwx root\/root .* \.\/usr\/bin\/dragonlock-server -> \.\.\/lib\/dragonlock-server\//m);
  assert.match(content, /^-rwxr-xr-x root\/root .* \.\/usr\/lib\/dragonlock-server\/dragonlock-server\.js$/m);
  for (const line of content.trimEnd().split('\n')) assert.match(line, /^[-dl]\S{4}[-w]\S{4} root\/root/, line);
  const out = path.join(directory, 'out');
  dpkgDeb('--extract', file, out);
  const { status, stdout } = spawnSync(path.join(out, 'usr/bin/dragonlock-server'), ['help'], { encoding: 'utf8' });
  assert.deepEqual([status, stdout.split('\n')[0]?.slice(0, 30)], [0, 'Usage: dragonlock-server [serv']);
  for (const unit of ['dragonlock.service', 'dragonlock-drill.service'])
    assert.match(
      fs.readFileSync(path.join(out, 'usr/lib/systemd/system', unit), 'utf8'),
      /^ExecStart=\/usr\/bin\/dragonlock-server /m,
    );
  for (const script of ['postinst', 'prerm', 'postrm'])
    assert.equal(spawnSync('sh', ['-n', path.join(stage, 'DEBIAN', script)]).status, 0, script);
});

test('hadolint has nothing to say about the Dockerfile', { skip: lacks('hadolint') }, () => {
  const { status, stdout, stderr } = spawnSync('hadolint', [path.join(root, 'deploy/Dockerfile')], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout + stderr);
});

/** A request under way. */
interface Exchange {
  readonly reply: Promise<{ status: number; body: Readable }>;
  hangUp(): void;
}

type Send = (method: string, target: string, body?: string) => Exchange;

const headersOf = (body: string | undefined): Record<string, string> =>
  body === undefined ? {} : { 'content-type': 'application/json' };

const overHttp1 =
  (port: number): Send =>
  (method, target, body) => {
    const headers = { host: 'localhost', ...headersOf(body) };
    const request = http.request({ host: '127.0.0.1', port, method, path: target, headers });
    request.end(body);
    const reply = once(request, 'response').then(([message]: http.IncomingMessage[]) => ({
      status: message!.statusCode!,
      body: message!,
    }));
    reply.catch(() => {});
    return { reply, hangUp: () => request.destroy() };
  };

/** One stream of the connection for each request: the others must not notice one that is reset. */
const overHttp2 =
  (connection: http2.ClientHttp2Session): Send =>
  (method, target, body) => {
    const stream = connection.request({ ':method': method, ':path': target, ...headersOf(body) });
    stream.end(body);
    const reply = once(stream, 'response').then(([headers]: http2.IncomingHttpHeaders[]) => ({
      status: Number(headers![':status']),
      body: stream,
    }));
    reply.catch(() => {});
    return { reply, hangUp: () => stream.close(http2.constants.NGHTTP2_CANCEL) };
  };

/** A write, a large value, an event stream, a wait for a change and one for a lock, and clients that hang up. */
async function servesThrough(t: TestContext, server: ServerUnderTest, send: Send, account = 'acc'): Promise<void> {
  const ask = async (method: string, target: string, body?: string): Promise<{ status: number; body: string }> => {
    const { status, body: stream } = await send(method, target, body).reply;
    return { status, body: await text(stream) };
  };
  await eventually(
    'the proxy serves',
    async () => (await ask('GET', '/readyz').catch(() => ({ status: 0 }))).status === 200,
    30_000,
  );
  const large = JSON.stringify('x'.repeat(1_000_000));
  assert.equal((await ask('POST', `/db/${account}/kv/large`, large)).status, 200);
  assert.ok((await ask('GET', `/db/${account}/kv/large`)).body.includes(large));
  // An array of bodies is larger than one value may be.
  const batches = JSON.stringify(
    Array.from({ length: 7 }, (_, i) => ({ KVSet: [{ Key: `n/${i}`, Value: 'x'.repeat(1_000_000) }] })),
  );
  assert.equal((await ask('POST', `/db/${account}`, batches)).status, 200);

  const events = send('GET', `/watch/${account}?prefix=s/`);
  t.after(() => events.hangUp());
  const { body: stream } = await events.reply;
  stream.on('error', () => {});
  const event = once(stream, 'data').then(function next([chunk]): unknown {
    return String(chunk).includes('"s/1"') ? true : once(stream, 'data').then(next);
  });
  await server.watchers(1, 'dragonlock_streams');
  assert.equal((await ask('POST', `/db/${account}/kv/s%2F1`, '1')).status, 200);
  await event;
  events.hangUp();
  await server.watchers(0, 'dragonlock_streams');

  const change = ask('POST', `/watch/${account}`, JSON.stringify({ ID: 'k', Version: 0, Wait: 60 }));
  await server.watchers(1);
  assert.equal((await ask('POST', `/db/${account}/kv/k`, '1')).status, 200);
  assert.match((await change).body, /"Key":"k"/);

  const lock = JSON.stringify({ LockID: 'l', LockDur: 60, LockWait: 60 });
  assert.equal((await ask('POST', `/db/${account}`, lock)).status, 200);
  const waiting = send('POST', `/db/${account}`, lock);
  await server.waiters(1);
  waiting.hangUp();
  await server.waiters(0);
}

test('HAProxy serves by deploy/haproxy.cfg', { skip: lacks('haproxy'), timeout: 120_000 }, async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const port = await freePort();
  const env = { ...process.env, DRAGONLOCK_FRONT: `127.0.0.1:${port}`, DRAGONLOCK_SERVER: `127.0.0.1:${server.port}` };
  const proxy = spawn('haproxy', ['-db', '-f', path.join(root, 'deploy/haproxy.cfg')], { env, stdio: 'ignore' });
  t.after(() => proxy.kill('SIGKILL'));
  await servesThrough(t, server, overHttp1(port));
});

test('nginx serves by deploy/nginx.conf', { skip: lacks('nginx'), timeout: 120_000 }, async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const port = await freePort();
  const directory = temporaryDirectory(t);
  const own = read('nginx.conf')
    .replace('127.0.0.1:8081', `127.0.0.1:${server.port}`)
    .replace('127.0.0.1:8080', `127.0.0.1:${port}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/${name};`,
  );
  const config = `pid ${directory}/pid;\nerror_log ${directory}/error.log;\n${own.replace('http {', `http {\naccess_log off;\n${temporary.join('\n')}`)}`;
  const file = path.join(directory, 'nginx.conf');
  fs.writeFileSync(file, config);
  const proxy = spawn(
    'nginx',
    ['-p', directory, '-e', `${directory}/error.log`, '-c', file, '-g', 'daemon off; master_process off;'],
    { stdio: 'ignore' },
  );
  t.after(() => proxy.kill('SIGKILL'));
  await servesThrough(t, server, overHttp1(port));
});

test('Caddy serves by deploy/Caddyfile, over HTTP/1.1 and HTTP/2', {
  skip: (spawnSync('caddy', ['version']).error !== undefined && 'caddy is not installed') || withoutOpenssl,
  timeout: 60_000,
}, async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const directory = temporaryDirectory(t);
  const { cert, key } = makeCertificate(directory, 'caddy');
  const [plain, secure] = [await freePort(), await freePort()];
  const site = read('Caddyfile').replace('127.0.0.1:8081', `127.0.0.1:${server.port}`);
  const name = 'dragonlock.example.com {';
  assert.ok(site.includes(name) && site.includes(String(server.port)));
  const own = [
    '{\n\tadmin off\n\tauto_https off\n}',
    site.replace(name, `http://localhost:${plain} {`),
    site.replace(name, `https://localhost:${secure} {\n\ttls ${cert} ${key}`),
  ];
  const file = path.join(directory, 'Caddyfile');
  fs.writeFileSync(file, own.join('\n'));
  const env = { ...process.env, HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  const proxy = spawn('caddy', ['run', '--adapter', 'caddyfile', '--config', file], { env, stdio: 'ignore' });
  t.after(() => proxy.kill('SIGKILL'));
  await servesThrough(t, server, overHttp1(plain));
  const connection = http2.connect(`https://localhost:${secure}`, { ca: fs.readFileSync(cert) });
  t.after(() => connection.destroy());
  await once(connection, 'connect');
  assert.equal(connection.alpnProtocol, 'h2');
  await servesThrough(t, server, overHttp2(connection), 'acc2');
});
