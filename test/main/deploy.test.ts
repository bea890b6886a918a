/** The files in deploy/: what they name exists, what they promise is there, and the proxies' own programs take them. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { root, temporaryDirectory } from '../docs/server-child.ts';
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

test('hadolint has nothing to say about the Dockerfile', { skip: lacks('hadolint') }, () => {
  const { status, stdout, stderr } = spawnSync('hadolint', [path.join(root, 'deploy/Dockerfile')], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout + stderr);
});

/** A write, a wait that takes longer than a moment, a stream, a large value, and a client that hangs up. */
async function servesThrough(t: TestContext, server: ServerUnderTest, port: number): Promise<void> {
  const send = async (method: string, target: string, body?: string): Promise<{ status: number; body: string }> => {
    const headers = { host: 'localhost', ...(body !== undefined && { 'content-type': 'application/json' }) };
    const request = http.request({ host: '127.0.0.1', port, method, path: target, headers });
    request.end(body);
    const [reply] = (await once(request, 'response')) as [http.IncomingMessage];
    return { status: reply.statusCode!, body: await text(reply) };
  };
  await eventually(
    'the proxy serves',
    async () => (await send('GET', '/readyz').catch(() => ({ status: 0 }))).status === 200,
    30_000,
  );
  const large = JSON.stringify('x'.repeat(1_000_000));
  assert.equal((await send('POST', '/db/acc/kv/large', large)).status, 200);
  assert.ok((await send('GET', '/db/acc/kv/large')).body.includes(large));

  const stream = http.get({ host: '127.0.0.1', port, path: '/watch/acc?prefix=s/', headers: { host: 'localhost' } });
  t.after(() => stream.destroy());
  const [events] = (await once(stream, 'response')) as [http.IncomingMessage];
  const event = once(events, 'data').then(function next([chunk]): unknown {
    return String(chunk).includes('"s/1"') ? true : once(events, 'data').then(next);
  });
  await server.watchers(1, 'dragonlock_streams');
  assert.equal((await send('POST', '/db/acc/kv/s%2F1', '1')).status, 200);
  await event;

  const held = await server.ok('POST', '/db/acc', { LockID: 'l', LockDur: 60 });
  assert.ok(held !== undefined);
  const waiting = http.request({
    host: '127.0.0.1',
    port,
    method: 'POST',
    path: '/db/acc',
    headers: { host: 'localhost', 'content-type': 'application/json' },
  });
  waiting.on('error', () => {});
  waiting.end(JSON.stringify({ LockID: 'l', LockDur: 60, LockWait: 60 }));
  await server.waiters(1);
  waiting.destroy();
  await server.waiters(0);
}

test('HAProxy serves by deploy/haproxy.cfg', { skip: lacks('haproxy'), timeout: 120_000 }, async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const port = await freePort();
  const env = { ...process.env, DRAGONLOCK_FRONT: `127.0.0.1:${port}`, DRAGONLOCK_SERVER: `127.0.0.1:${server.port}` };
  const proxy = spawn('haproxy', ['-db', '-f', path.join(root, 'deploy/haproxy.cfg')], { env, stdio: 'ignore' });
  t.after(() => proxy.kill('SIGKILL'));
  await servesThrough(t, server, port);
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
  await servesThrough(t, server, port);
});
