/** The process: what it refuses to start with, how it stops, and what a damaged or torn log does to it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { frameMagic } from '../../src/journal/file/frame.ts';
import { salvageProgram } from '../support/server-program.ts';
import { serverForFile, ServerUnderTest } from '../support/server-under-test.ts';

/** For tests that leave it serving. */
const shared = serverForFile();

test('start: a second server on the same data directory is refused, and the first is not disturbed', async (t) => {
  const { Rev } = await shared.ok('POST', '/db/first/kv/k', '1');
  const second = ServerUnderTest.prepare({ dataDir: shared.dataDir });
  t.after(() => second.dispose(t.passed));
  second.launch();
  assert.equal(await second.exitCode(), 1);
  const said = second.logs.at(-1)?.msg ?? '';
  assert.match(said, /in use by another server/);
  assert(said.includes(shared.dataDir) && said.includes(`pid ${shared.pid}`), said);
  assert.equal((await shared.ok('POST', '/db/first/kv/k', '2')).Rev, Rev + 1);
});

test('start: an address that is in use is refused', async (t) => {
  const second = ServerUnderTest.prepare({ listen: `127.0.0.1:${shared.port}` });
  t.after(() => second.dispose(t.passed));
  second.launch();
  assert.equal(await second.exitCode(), 1);
  assert.match(second.logs.at(-1)?.msg ?? '', /address is in use/);
});

const refused: readonly (readonly [what: string, config: string, message: RegExp, listen?: string])[] = [
  [
    'an unknown key',
    'listen: 127.0.0.1:0\nlimits:\n  body_byte_max: 5\n',
    /config\.yml:3:3: limits\.body_byte_max: unknown key; did you mean body_bytes_max\?/,
  ],
  [
    'a bad value',
    'shards: many\n',
    /config\.yml:1:1: shards: expected "auto", or an integer from 1 to 256, got "many"/,
  ],
  ['a number out of range', 'http:\n  threads: 0\n', /config\.yml:2:3: http\.threads: expected/],
  ['broken YAML', 'limits: {\n', /config\.yml:\d+:\d+: /],
  [
    'limits that contradict each other',
    'journal: { segment_bytes: 1048576 }\n',
    /config\.yml:1:12: journal\.segment_bytes: expected at least 4 × limits\.body_bytes_max/,
  ],
  [
    'an account that cannot be',
    'tokens: [{ token: x, accounts: ["a b"], scopes: [read] }]',
    /config\.yml:1:\d+: tokens\[0\]\.accounts/,
  ],
  [
    'every address without tokens',
    '',
    /0\.0\.0\.0:0 can be reached from other machines, and no tokens are configured/,
    '0.0.0.0:0',
  ],
  ['every IPv6 address without tokens', '', /\[::\]:0 can be reached/, '[::]:0'],
  ['an address that is none', '', /expected host:port/, 'localhost'],
];

test('start: a configuration that is wrong is refused with its place, before anything is touched', async (t) => {
  for (const [what, config, message, listen] of refused) {
    await t.test(what, async (t) => {
      const server = ServerUnderTest.prepare({ config, ...(listen !== undefined && { listen }) });
      t.after(() => server.dispose(t.passed));
      server.launch();
      assert.equal(await server.exitCode(), 1);
      assert.match(server.stderr, message);
      assert.equal(fs.existsSync(server.dataDir), false);
    });
  }
});

test('start: with tokens it may listen on every address, and a token never turns up in the log', async (t) => {
  const config = 'tokens: [{ token: s3cret-t0ken, accounts: "*", scopes: [read] }]\nlog: { level: trace }';
  const server = ServerUnderTest.prepare({ config, listen: '0.0.0.0:0' });
  t.after(() => server.dispose(t.passed));
  server.launch();
  const serving = await server.logLine((line) => line.msg.startsWith('Serving on'), 'serves');
  server.url = String(serving.url).replace('0.0.0.0', '127.0.0.1');
  const headers = { authorization: 'Bearer s3cret-t0ken' };
  assert.equal((await server.call('GET', '/db/a/kv', undefined, { headers })).status, 200);
  assert.equal((await server.call('GET', '/db/a/kv')).status, 401);
  await server.stop();
  assert(!JSON.stringify(server.logs).includes('s3cret'), 'no token in the log');
});

test('start: while it recovers it is live, not ready, and does nothing', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  await server.ok('POST', '/db/acc/kv/k', '1');
  let refusals = 0;
  for (let tries = 0; tries < 5 && refusals === 0; tries += 1) {
    await server.kill();
    server.launch();
    const listening = await server.logLine((line) => line.msg.startsWith('Listening'), 'listens');
    server.url = String(listening.url);
    server.boot = '';
    for (;;) {
      assert.equal((await server.call('GET', '/livez')).status, 200);
      const write = await server.call('POST', '/db/acc/counter/c');
      if (write.status === 200) break;
      assert.equal(write.body.Code, 'draining');
      refusals += 1;
      const ready = await server.call('GET', '/readyz');
      assert(ready.status === 503 || ready.status === 200);
    }
    assert.equal((await server.call('GET', '/readyz')).status, 200);
  }
  assert(refusals > 0, 'seen while it recovered');
});

test('stop: waiters and watchers are told 503 draining, new calls too, and the exit code is 0', async () => {
  const server = shared;
  const { Lock } = await server.batch({ LockID: 'l', LockDur: 60 });
  await server.ok('POST', '/db/acc/mlock/m?dur=60');
  const waiting = [
    server.batchFails('draining', { LockID: 'l', LockDur: 60, LockWait: 60, KVSet: { Key: 'k', Value: 1 } }),
    server.fails('draining', 'POST', '/db/acc/lock/l?wait=60'),
    server.fails('draining', 'POST', '/db/acc/mlock/m?wait=60'),
    server.fails('draining', 'POST', '/watch/acc', { ID: 'k', Wait: 60 }),
    server.fails('draining', 'POST', '/watch/acc', { Prefix: '', Wait: 60 }),
  ];
  await Promise.all([server.waiters(3), server.watchers(2)]);
  const startedAt = performance.now();
  const stopped = server.stop();
  await Promise.all(waiting);
  await stopped;
  assert(performance.now() - startedAt < 5000, 'idle connections do not hold it up');
  await server.start();
  const serving = server.logs.find(({ msg }) => msg.startsWith('Serving'));
  assert.equal(serving?.replayed, 0, 'a clean stop leaves nothing to replay');
  await server.fails('not_found', 'GET', '/db/acc/kv/k');
  await server.batch({ UnlockID: 'l', Unlock: Lock });
});

test('stop: every write that was acknowledged under load is there afterwards; the rest was refused or cut off', async (t) => {
  const server = shared;
  const acknowledged: string[] = [];
  let refusals = 0;
  const client = async (name: number): Promise<void> => {
    // Until it is refused or cut off, which the stop sees to.
    for (let i = 0; ; i += 1) {
      const key = `${name}-${i}`;
      const reply = await server.call('POST', `/db/acc/kv/${key}`, String(i)).catch(() => undefined);
      if (reply?.status === 200) {
        acknowledged.push(key);
        continue;
      }
      refusals += 1;
      if (reply !== undefined) assert.equal(reply.body.Code, 'draining');
      return;
    }
  };
  const clients = Array.from({ length: 16 }, (_, name) => client(name));
  while (acknowledged.length < 200) await new Promise((resolve) => setImmediate(resolve));
  const stopped = server.stop();
  await Promise.all(clients);
  await stopped;
  t.diagnostic(`${acknowledged.length} acknowledged, ${refusals} refused`);
  await server.start();
  const found = new Set<string>();
  for (let after = '', more = true; more; ) {
    const page = await server.ok('GET', `/db/acc/kv?limit=1000${after}`);
    for (const { Key } of page.KV) found.add(Key);
    more = page.More;
    after = `&after=${page.After}`;
  }
  assert.deepEqual(
    acknowledged.filter((key) => !found.has(key)),
    [],
  );
});

test('stop: a second signal changes nothing', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const { pid } = server;
  const stopped = server.terminate();
  for (let i = 0; i < 3; i += 1) {
    try {
      process.kill(pid, 'SIGTERM');
    } catch {
      // It was quick.
    }
  }
  assert.equal(await stopped, 0);
});

/** The file of the log that holds frames, and where each frame begins. */
function framesOf(dataDir: string): { file: string; bytes: Buffer; offsets: number[] } {
  const directory = path.join(dataDir, 'journal');
  const logs = fs
    .readdirSync(directory)
    .filter((name) => /^journal-.*\.log$/.test(name))
    .toSorted();
  const file = path.join(directory, logs.at(-1) ?? '');
  const bytes = fs.readFileSync(file);
  const offsets: number[] = [];
  for (let at = bytes.indexOf(frameMagic); at !== -1; at = bytes.indexOf(frameMagic, at + 1)) offsets.push(at);
  return { file, bytes, offsets };
}

test('start: damage in the middle of the log is refused with file and offset, and nothing is changed', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  for (let i = 0; i < 10; i += 1) await server.ok('POST', `/db/acc/kv/k${i}`, JSON.stringify(`value ${i}`));
  await server.kill();
  const { file, bytes, offsets } = framesOf(server.dataDir);
  assert(offsets.length >= 10);
  const damaged = offsets[4]!;
  const broken = Buffer.from(bytes);
  broken[damaged + 60] = broken[damaged + 60]! ^ 1;
  fs.writeFileSync(file, broken);
  for (let tries = 0; tries < 2; tries += 1) {
    server.launch();
    assert.equal(await server.exitCode(), 1);
    const said = server.logs.at(-1)?.msg ?? '';
    assert(said.includes(path.basename(file)) && said.includes(`at byte ${damaged}`), said);
    assert.match(said, /salvage/);
    assert(fs.readFileSync(file).equals(broken), 'the log is as it was');
  }
  fs.writeFileSync(file, bytes);
  await server.start();
  assert.equal((await server.ok('GET', '/db/acc/kv')).KV.length, 10);
});

function salvage(dataDir: string): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [salvageProgram, '--data-dir', dataDir], {
    encoding: 'utf8',
  });
  return { code: status, said: stdout + stderr };
}

test('salvage: keeps what stands before the damage, and no revision is ever used again', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const revisions: number[] = [];
  for (let i = 0; i < 10; i += 1) revisions.push((await server.ok('POST', `/db/acc/kv/k${i}`, String(i))).Rev);
  const refused = salvage(server.dataDir);
  assert.equal(refused.code, 1);
  assert.match(refused.said, /in use by another server/);
  await server.kill();
  const { file, bytes, offsets } = framesOf(server.dataDir);
  bytes[offsets[5]! + 60]! ^= 1;
  fs.writeFileSync(file, bytes);
  const done = salvage(server.dataDir);
  assert.equal(done.code, 0, done.said);
  assert(done.said.includes(`at byte ${offsets[5]}`), done.said);
  await server.start();
  const { KV } = await server.ok('GET', '/db/acc/kv');
  assert.deepEqual(
    KV.map(({ Key, Version }) => [Key, Version]),
    revisions.filter((revision) => revision <= KV.at(-1)!.Version).map((revision, i) => [`k${i}`, revision]),
  );
  assert(KV.length >= 3 && KV.length <= 5, `${KV.length} of the keys stood before the damage`);
  const next = await server.ok('POST', '/db/acc/kv/next', '1');
  assert(next.Rev > revisions.at(-1)!, 'above every revision that was ever shown');
});

test('start: a last frame that was torn by a crash is dropped, wherever it was torn', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const revisions: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    for (let i = 0; i < 3; i += 1)
      revisions.push((await server.ok('POST', '/db/acc/kv/k', JSON.stringify('x'.repeat(2000)))).Rev);
    await server.kill();
    const { file, bytes, offsets } = framesOf(server.dataDir);
    const last = offsets.at(-1)!;
    bytes.fill(0, last + [4, 48, 1500][round]!);
    fs.writeFileSync(file, bytes);
    revisions.pop();
    await server.start({});
    assert.equal((await server.ok('GET', '/db/acc/kv/k')).Version, revisions.at(-1), 'everything before it is there');
  }
});

test('connections: a client that closes in the middle of everything harms no other client', async () => {
  const server = shared;
  for (let i = 0; i < 50; i += 1) {
    const socket = server.connect();
    await once(socket, 'connect');
    socket.write('POST /db/acc/counter/c HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3));
    if (i % 2 === 0) socket.destroy();
    else socket.resetAndDestroy();
  }
  const counted = await server.call('GET', '/db/acc/counter/c');
  assert(counted.status === 404 || (counted.body.Value as number) <= 150);
  await server.stop();
});
