/** What clients from npm do by themselves: connect, log in, pipeline, transactions, scans, reconnect. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { ServerUnderTest } from '../support/server-under-test.ts';

const tokens = `
resp: {listen: "127.0.0.1:0"}
tokens:
  - {token: secret, name: shop, accounts: [shop], scopes: [read, write, force]}
  - {token: both, name: wide, accounts: [shop, blog], scopes: [read, write]}
`;

test('ioredis: logs in, pipelines, watches, scans, and comes back after a restart', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config: tokens });
  const port = server.respPort;
  const redis = new Redis({
    host: '127.0.0.1',
    port,
    username: 'shop',
    password: 'secret',
    enableAutoPipelining: true,
  });
  t.after(() => redis.disconnect());
  assert.equal(await redis.set('k', 'grüße', 'EX', 100), 'OK');
  assert.equal(await redis.get('k'), 'grüße');
  const binary = Buffer.from([0, 255, 10]);
  await redis.set('bytes', binary);
  assert.deepEqual(await redis.getBuffer('bytes'), binary);
  assert.deepEqual(await Promise.all(Array.from({ length: 100 }, () => redis.incr('n'))), counted(100));
  const results = await redis.multi().set('a', '1').incr('a').get('a').exec();
  assert.deepEqual(results, [
    [null, 'OK'],
    [null, 2],
    [null, '2'],
  ]);
  const pipeline = await redis.pipeline().set('p', '1').incr('k').get('p').exec();
  assert.match(String(pipeline?.[1]?.[0]), /not an integer/);
  await redis.mset(Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`scan:${i}`, 'v'])));
  const found: string[] = [];
  for await (const keys of redis.scanStream({ match: 'scan:*', count: 7 })) found.push(...(keys as string[]));
  assert.equal(new Set(found).size, 60);
  assert.equal(found.length, 60);
  const lock = (await redis.call('DL.LOCK', 'l', '60000')) as [number, number, null];
  assert.equal(await redis.call('DL.LOCK', 'l', '60000'), null);
  assert.equal(await redis.call('DL.UNLOCK', 'l', 'HANDLE', lock[0]), 1);
  await redis.quit();

  const wrong = new Redis({ host: '127.0.0.1', port, username: 'shop', password: 'no', retryStrategy: () => null });
  wrong.on('error', () => {});
  await assert.rejects(() => wrong.get('k'), /WRONGPASS|NOAUTH|closed/);
});

test('ioredis: a client comes back by itself after a restart of the server', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config: 'resp: {listen: "127.0.0.1:0"}' });
  const port = server.respPort;
  const redis = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 50 });
  redis.on('error', () => {});
  t.after(() => redis.disconnect());
  await redis.set('k', 'v');
  await server.restart('stop', { config: `resp: {listen: "127.0.0.1:${port}"}` });
  assert.equal(await redis.get('k'), 'v');
});

test('node-redis: RESP2 and RESP3, by token alone, transactions, wrong account', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config: tokens });
  const socket = { host: '127.0.0.1', port: server.respPort, reconnectStrategy: false as const };
  for (const RESP of [2, 3] as const) {
    const client = createClient({ RESP, socket, password: 'secret' });
    client.on('error', () => {});
    await client.connect();
    assert.equal(await client.set('k', `v${RESP}`, { expiration: { type: 'PX', value: 60_000 } }), 'OK');
    assert.equal(await client.get('k'), `v${RESP}`);
    assert.equal(await client.get('none'), null);
    assert.deepEqual(await client.mGet(['k', 'none']), [`v${RESP}`, null]);
    await client.del('n');
    assert.deepEqual(await client.multi().set('a', '1').incrBy('n', 5).exec(), ['OK', 5]);
    await client.watch('a');
    await server.ok('POST', '/db/shop/kv/a', '1', { headers: { authorization: 'Bearer secret' } });
    await assert.rejects(() => client.multi().set('a', '2').exec(), /watched/i);
    const keys: string[] = [];
    for await (const some of client.scanIterator({ COUNT: 2 })) keys.push(...some);
    assert.deepEqual(keys.toSorted(), ['a', 'k', 'n']);
    await client.close();
  }
  const wide = createClient({ socket, username: 'blog', password: 'both' });
  wide.on('error', () => {});
  await wide.connect();
  assert.equal(await wide.get('k'), null);
  await assert.rejects(() => wide.flushDb(), /NOPERM/);
  wide.destroy();
  const wrong = createClient({ socket, password: 'both' });
  wrong.on('error', () => {});
  await assert.rejects(() => wrong.connect(), /several accounts/);
});

function counted(to: number): number[] {
  return Array.from({ length: to }, (_, i) => i + 1);
}
