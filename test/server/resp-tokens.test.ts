/** Redis clients of a server with tokens: what they may do, and how they are told what they may not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RespClient, RespFailure } from '../support/resp-client.ts';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile({
  config: `
resp: {listen: "127.0.0.1:0"}
http: {threads: 1, header_timeout_ms: 3000}
tokens:
  - {token: reads, name: reader, accounts: [shop], scopes: [read]}
  - {token: writes, name: writer, accounts: [shop, shop.2], scopes: [read, write]}
  - {token: only-writes, name: feeder, accounts: [shop], scopes: [write]}
  - {token: forces, name: boss, accounts: [shop], scopes: [read, write, force]}
`,
});

async function open(...login: string[]): Promise<RespClient> {
  const client = await RespClient.open(server.respPort);
  if (login.length > 0) assert.equal(await client.ok('AUTH', ...login), 'OK');
  return client;
}

test('NOAUTH before a login, WRONGPASS for a wrong one; neither says what is right', async () => {
  const client = await open();
  for (const args of [
    ['GET', 'k'],
    ['PING'],
    ['CLIENT', 'ID'],
    ['MULTI'],
    ['EVAL', 'return 1', '0'],
    ['SUBSCRIBE', 'c'],
  ])
    await client.fails(/^NOAUTH Authentication required/, ...args);
  await client.fails(/^NOAUTH HELLO must be called/, 'HELLO', '3');
  for (const login of [['no'], ['shop', 'no'], ['blog', 'reads'], ['shop ', 'reads'], ['', ''], ['shop', 'reads\0']])
    await client.fails(
      /^WRONGPASS invalid account-token pair, or the account is not one of this token$/,
      'AUTH',
      ...login,
    );
  await client.fails(/^WRONGPASS this token is for several accounts/, 'AUTH', 'writes');
  await client.fails(/^WRONGPASS/, 'HELLO', '3', 'AUTH', 'shop', 'no');
  await client.fails(/^NOAUTH/, 'GET', 'k');
  assert.ok((await client.ok('HELLO', '3', 'AUTH', 'default', 'reads')) instanceof Map);
  assert.equal(await client.ok('GET', 'k'), null);
  // A login that fails leaves the one before.
  await client.fails(/^WRONGPASS/, 'AUTH', 'no');
  assert.equal(await client.ok('GET', 'k'), null);
  assert.equal(await client.ok('RESET'), 'RESET');
  await client.fails(/^NOAUTH/, 'GET', 'k');
  client.close();
});

test('NOPERM without the scope, also within MULTI and scripts; nothing is done', async () => {
  const [reader, feeder, writer, boss] = await Promise.all([
    open('reads'),
    open('only-writes'),
    open('shop', 'writes'),
    open('forces'),
  ]);
  await boss.ok('SET', 'k', '1');
  for (const args of [
    ['SET', 'k', '2'],
    ['DEL', 'k'],
    ['GETDEL', 'k'],
    ['PUBLISH', 'c', 'm'],
    ['EVAL', 'return redis.call("SET", KEYS[1], 2)', '1', 'k'],
    ['DL.LOCK', 'l', '1000'],
    ['DL.ONCE', 'i', 'SET', 'k', '2'],
    ['FLUSHALL'],
  ])
    await reader.fails(/^NOPERM /, ...args);
  await reader.fails(
    /^ERR Write commands are not allowed from read-only/,
    'EVAL_RO',
    'return redis.call("DEL", KEYS[1])',
    '1',
    'k',
  );
  await reader.fails(/^NOPERM|^ERR .*scope/, 'DL.BATCH', '{"KVSet":{"Key":"k","Value":2}}');
  for (const args of [
    ['GET', 'k'],
    ['WATCH', 'k'],
    ['SUBSCRIBE', 'c'],
    ['RENAME', 'k', 'n'],
    ['SCAN', '0'],
  ])
    await feeder.fails(/^NOPERM /, ...args);
  // What reads and writes in one step needs no more than it says.
  await reader.ok('MULTI');
  await reader.fails(/^NOPERM /, 'SET', 'k', '2');
  await reader.fails(/^EXECABORT/, 'EXEC');
  const [handle] = (await boss.ok('DL.LOCK', 'l', '60000')) as [number];
  await writer.fails(/^NOPERM /, 'DL.UNLOCK', 'l', 'FORCE');
  await writer.ok('MULTI');
  await writer.ok('SET', 'k', '2');
  await writer.ok('DL.UNLOCK', 'l', 'FORCE');
  await writer.fails(/^NOPERM /, 'EXEC');
  await writer.fails(/^NOPERM /, 'FLUSHDB');
  await writer.fails(/^NOPERM .*database 1/, 'SELECT', '1');
  assert.equal(await writer.ok('SELECT', '2'), 'OK');
  assert.equal(await writer.ok('GET', 'k'), null);
  assert.equal(await boss.ok('GET', 'k'), '1');
  assert.equal(await boss.ok('DL.GUARD', 'l', handle), 'OK');
  await boss.ok('MULTI');
  await boss.ok('DL.UNLOCK', 'l', 'FORCE');
  assert.deepEqual(await boss.ok('EXEC'), [1]);
  for (const client of [reader, feeder, writer, boss]) client.close();
});

test('who does not log in is disconnected after http.header_timeout_ms, with what it has begun; others stay', async () => {
  const [silent, busy, reset, known] = await Promise.all([open(), open(), open('reads'), open('reads')]);
  busy.socket.write('*2\r\n$3\r\nGET\r\n$9\r\nhalf');
  await reset.ok('RESET');
  for (const stranger of [silent, busy, reset]) {
    const last = await stranger.reply();
    assert.ok(last instanceof RespFailure && last.message.startsWith('NOAUTH expected AUTH within 3000 ms'));
    await stranger.closed;
  }
  assert.equal(await known.ok('PING'), 'PONG');
  known.close();
});
