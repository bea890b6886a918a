/**
 * Two servers that share out the accounts by a map: whom they send where, the client and the command that follow, an
 * account that moves, and HAProxy in front.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { DragonLock } from '../../src/client/exports.ts';
import { cellOf } from '../../src/protocol/cell.ts';
import { prints } from '../cli/command-under-test.ts';
import { root, temporaryDirectory } from '../docs/server-child.ts';
import { freePort } from '../support/free-port.ts';
import { RespClient } from '../support/resp-client.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

/** Accounts in the two halves of the cells. */
const ofA = 'blog';
const ofB = 'shop';

test('the accounts of this test are in different halves', () => {
  assert.deepEqual([cellOf(ofA) < 32, cellOf(ofB) < 32], [true, false]);
});

interface Pair {
  readonly a: ServerUnderTest;
  readonly b: ServerUnderTest;
  /** @param accounts that are on a and on b by name */
  readonly config: (here: 'a' | 'b', accounts?: { a?: string[]; b?: string[] }, more?: string) => string;
  readonly listen: { readonly a: string; readonly b: string };
}

async function pair(t: TestContext, more = ''): Promise<Pair> {
  const [portA, portB] = [await freePort(), await freePort()];
  const listen = { a: `127.0.0.1:${portA}`, b: `127.0.0.1:${portB}` };
  const config: Pair['config'] = (here, { a: onA = [], b: onB = [] } = {}, extra = '') =>
    `machines:
  here: ${here}
  list:
    - {name: a, url: 'http://${listen.a}/', cells: [0-31], accounts: ${JSON.stringify(onA)}}
    - {name: b, url: 'http://${listen.b}', cells: ['32-62', 63], accounts: ${JSON.stringify(onB)}}
${extra}${more}`;
  const [a, b] = await Promise.all(
    (['a', 'b'] as const).map((here) => ServerUnderTest.forTest(t, { config: config(here), listen: listen[here] })),
  );
  return { a: a!, b: b!, config, listen };
}

test('a request for an account of another machine is refused with its address, through every door', async (t) => {
  const { a, b, listen } = await pair(t, 'resp: {listen: "127.0.0.1:0"}\n');
  const moved = await a.call('POST', `/db/${ofB}/kv/k`, 1);
  assert.equal(moved.status, 421);
  assert.deepEqual(
    [
      moved.headers['dragonlock-owner'],
      moved.headers['dragonlock-cell'],
      moved.body['Code'],
      moved.text.includes(`"Owner":"http://${listen.b}"`),
    ],
    [`http://${listen.b}`, String(cellOf(ofB)), 'moved', true],
  );
  // The same by Node's server as by the fast lane, which leaves what has such a header alone.
  const slow = await a.call('POST', `/db/${ofB}/kv/k`, 1, { headers: { 'last-event-id': '1' } });
  assert.deepEqual(Object.keys(slow.headers).toSorted(), Object.keys(moved.headers).toSorted());
  for (const target of [`/db/${ofB}`, `/db/${ofB}/lock/l`, `/db/${ofB}/dequeue/q`])
    assert.equal((await a.call('POST', target, {})).status, 421, target);
  assert.equal((await a.call('GET', `/watch/${ofB}?prefix=`)).status, 421);
  assert.equal((await a.call('POST', `/db/${ofA}/kv/k`, 1)).status, 200);
  assert.equal((await b.call('GET', `/db/${ofB}/kv/k`)).status, 404, 'nothing was done');
  const redis = await RespClient.open(a.respPort);
  t.after(() => redis.close());
  await redis.ok('AUTH', ofB, 'x');
  await redis.fails(new RegExp(`^ERR This account is on another machine: ask http://${listen.b}`), 'SET', 'k', '1');
  await redis.ok('AUTH', ofA, 'x');
  await redis.ok('SET', 'k', '1');
  const metrics = await Promise.all([a, b].map(async (server) => (await server.call('GET', '/metrics')).text));
  const maps = metrics.map((text) => /^dragonlock_machines_info\{here="[ab]",map="(\w+)"\} 1$/m.exec(text)?.[1]);
  assert.ok(maps[0] !== undefined && maps[0] === maps[1]);
});

test('a client and a command follow their account, and wait while two maps differ', async (t) => {
  const { a, b, config, listen } = await pair(t);
  const client = new DragonLock({ url: a.url, account: ofB, timeout: 60_000 });
  t.after(() => client.close());
  await client.kv.set('k', 1);
  const held = await client.lock('l');
  assert.equal((await b.ok('GET', `/db/${ofB}/kv/k`))['Value'], 1);
  await prints(t, ['kv', 'put', 'k', '--json-value', '2'], { url: a.url, account: ofB });
  assert.equal((await client.kv.get('k'))?.value, 2);
  await held.release();

  // Each sends to the other one, until b knows better.
  await b.stop();
  await b.start({ config: config('b', { a: [ofB] }), listen: listen.b });
  const waiting = client.kv.set('k', 3);
  assert.equal(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 500, 'waits'))]), 'waits');
  await b.stop();
  await b.start({ config: config('b'), listen: listen.b });
  await waiting;
  assert.equal((await b.ok('GET', `/db/${ofB}/kv/k`))['Value'], 3);
});

test('an account moves by export and import, and no fencing token comes again', async (t) => {
  const { a, b, config, listen } = await pair(t);
  for (let i = 0; i < 50; i += 1) await a.ok('POST', `/db/${ofA}/kv/k${i}`, i);
  const { Lock: fence } = await a.ok('POST', `/db/${ofA}`, { LockID: 'l', LockDur: 60 });
  const refused = await b.call('POST', `/db/${ofA}/kv/k`, 1, { headers: { 'dragonlock-machine': 'a' } });
  assert.equal(refused.status, 421, 'the name is of another machine');

  const file = path.join(a.directory, 'export');
  const moving = { b: [ofA] };
  await a.stop();
  await a.start({ config: config('a', moving), listen: listen.a });
  await prints(t, ['export', '--timeout', '1s', '--file', file], { url: a.url, account: ofA }, 69);
  fs.rmSync(file, { force: true });
  const asked = { account: ofA, env: { DRAGONLOCK_MACHINE: 'a' } };
  await prints(t, ['export', '--file', file], { url: a.url, ...asked });
  const { Rev } = JSON.parse(fs.readFileSync(file, 'utf8').trim().split('\n').at(-1)!) as { Rev: number };
  const above = `  revision_above: ${Rev}\n`;
  await b.stop();
  await b.start({ config: config('b', {}, above), listen: listen.b });
  await prints(t, ['import', file], { url: b.url, account: ofA, env: { DRAGONLOCK_MACHINE: 'b' } });
  // A machine that was told where to go on keeps to it, and does not jump again.
  await b.kill();
  await b.start({ config: config('b', moving, above), listen: listen.b });
  await prints(t, ['account', 'delete', ofA], { url: a.url, ...asked });

  const client = new DragonLock({ url: a.url, account: ofA });
  t.after(() => client.close());
  assert.equal((await client.kv.get('k7'))?.value, 7);
  const lock = await client.lock('l');
  assert.ok(lock.fence > fence && lock.fence > Rev && lock.fence < Rev + 100, `${lock.fence} after ${fence}, ${Rev}`);
  await lock.release();
  const watched = await b.call('POST', `/watch/${ofA}`, { Prefix: '', After: 0, Wait: 1 });
  assert.ok(watched.status === 200 || watched.status === 410, watched.text);
});

test('HAProxy sends each account to its machine by deploy/haproxy-machines.cfg', {
  skip: spawnSync('haproxy', ['-v']).error !== undefined && 'haproxy is not installed',
  timeout: 120_000,
}, async (t) => {
  const { a, b, listen, config } = await pair(t);
  const named = 'named';
  assert.ok(cellOf(named) < 32);
  await Promise.all([a.stop(), b.stop()]);
  await a.start({ config: config('a', { b: [named] }), listen: listen.a });
  await b.start({ config: config('b', { b: [named] }), listen: listen.b });
  const maps = temporaryDirectory(t);
  const cells = Array.from({ length: 64 }, (_, cell) => `${cell} ${cell < 32 ? 'a' : 'b'}\n`);
  fs.writeFileSync(path.join(maps, 'cells.map'), cells.join(''));
  fs.writeFileSync(path.join(maps, 'accounts.map'), `${named} b\n`);
  const port = await freePort();
  const env = {
    ...process.env,
    DRAGONLOCK_FRONT: `127.0.0.1:${port}`,
    DRAGONLOCK_A: listen.a,
    DRAGONLOCK_B: listen.b,
    DRAGONLOCK_MAPS: maps,
  };
  const proxy = spawn('haproxy', ['-db', '-f', path.join(root, 'deploy/haproxy-machines.cfg')], {
    env,
    stdio: 'ignore',
  });
  t.after(() => proxy.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}`;
  await eventually(
    'the proxy serves',
    async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok === true,
    60_000,
  );
  const accounts = [ofA, ofB, named, ...Array.from({ length: 30 }, (_, i) => `account-${i}`)];
  for (const account of accounts) {
    const reply = await fetch(`${url}/db/${account}/kv/k`, {
      method: 'POST',
      body: '1',
      headers: { 'content-type': 'application/json' },
    });
    assert.equal(reply.status, 200, `${account}: ${await reply.text()}`);
  }
});
