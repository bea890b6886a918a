import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDoor } from './http-door-under-test.ts';

test('the error for an unknown path names those that begin alike, that for a known one its methods', async (t) => {
  const door = makeDoor(t);
  const unknown = await door.send('GET', '/nope');
  assert.equal(unknown.statusCode, 404);
  assert.match(unknown.body, /"Code":"not_found","Message":"There is no \/nope; there are \/db\/:acc, \/watch\/:acc, /);
  const alike = await door.send('GET', '/db/a/nope');
  assert.match(alike.body, /"There is no \/db\/a\/nope; there are \/db\/:acc, .*\/db\/:acc\/kv\/:id, /);
  assert.doesNotMatch(alike.body, /metrics|ui/);
  const method = await door.app.inject({
    method: 'PUT',
    url: '/db/a/kv/x',
    payload: '{',
    headers: { 'content-type': 'a/b' },
  });
  assert.equal(method.statusCode, 405);
  assert.match(method.body, /There is no PUT \/db\/a\/kv\/x; \/db\/:acc\/kv\/:id takes GET, HEAD, POST, DELETE/);
  assert.equal((await door.send('GET', '/db/a/')).statusCode, 404);
});

test('every reply carries Dragonlock-Boot, and every error its own RequestID', async (t) => {
  const door = makeDoor(t);
  const replies = [
    await door.send('GET', '/livez'),
    await door.send('GET', '/metrics'),
    await door.send('GET', '/nope'),
    await door.send('GET', '/db/a/kv/%ff'),
    await door.send('POST', '/db/a', '{'),
  ];
  for (const { headers } of replies) assert.equal(headers['dragonlock-boot'], 'boot7');
  const ids = replies.slice(2).map((reply) => reply.json<{ RequestID: string }>().RequestID);
  assert.deepEqual(ids, ['boot7-0-1', 'boot7-0-2', 'boot7-0-3']);
});

test('an error of the dispatcher keeps its members and gets a RequestID; 429 and 503 say when to retry', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = () => ({ outcome: 'not_locked', body: '{"Code":"not_locked","Message":"busy","Waiters":3}' });
  const busy = await door.send('POST', '/db/a/lock/l');
  assert.deepEqual(busy.json(), { Code: 'not_locked', Message: 'busy', Waiters: 3, RequestID: 'boot7-0-1' });
  assert.equal(busy.headers['retry-after'], undefined);
  for (const outcome of ['rate_limited', 'overloaded'] as const) {
    door.dispatcher.reply = () => ({ outcome, body: '{"Code":"overloaded","Message":"full"}' });
    assert.equal((await door.send('POST', '/db/a/lock/l')).headers['retry-after'], '1');
  }
});

test('204 has neither body nor content type', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = () => ({ outcome: 'none', body: '' });
  const response = await door.send('POST', '/watch/a', { ID: 'k', Wait: 1 });
  assert.deepEqual([response.statusCode, response.body], [204, '']);
  assert.equal(response.headers['content-type'], undefined);
});

test('a bug in a call is 500 internal, logged under the RequestID that the client gets', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.request = () => {
    throw new Error('secret detail');
  };
  const response = await door.send('POST', '/db/a/kv/x', 1);
  assert.equal(response.statusCode, 500);
  const { Code, Message, RequestID }: Record<string, string> = response.json();
  assert.deepEqual([Code, RequestID], ['internal', 'boot7-0-1']);
  assert.doesNotMatch(Message ?? '', /secret/);
  assert.equal(door.logged.length, 1);
  assert.match(JSON.stringify(door.logged), /boot7-0-1/);
});

test('while starting or draining data calls are 503, /readyz too, and /livez stays 200', async (t) => {
  const door = makeDoor(t);
  for (const state of ['starting', 'draining'] as const) {
    door.state = state;
    for (const response of [await door.send('GET', '/db/a/kv/x'), await door.send('GET', '/readyz')]) {
      assert.equal(response.statusCode, 503);
      assert.equal(response.json<{ Code: string }>().Code, 'draining');
      assert.equal(response.headers['retry-after'], '1');
      assert.equal(response.headers.connection === 'close', state === 'draining');
    }
    assert.equal((await door.send('GET', '/livez')).statusCode, 200);
  }
  door.state = 'serving';
  assert.equal((await door.send('GET', '/readyz')).statusCode, 200);
  assert.deepEqual((await door.send('GET', '/version')).json(), {
    Version: '1.2.3',
    Boot: 'boot7',
    Node: process.versions.node,
  });
});

test('an account over its rate is 429 until its bucket refills; an array costs its batches', async (t) => {
  let now = 0;
  const door = makeDoor(t, 'limits: {account_requests_per_second: 2}', () => now);
  const status = async (account: string, body: unknown = { KVGet: 'a' }) =>
    (await door.send('POST', `/db/${account}`, body)).statusCode;
  assert.deepEqual([await status('a'), await status('a'), await status('a')], [200, 200, 429]);
  assert.equal(await status('b'), 200);
  now = 500;
  assert.deepEqual([await status('a'), await status('a')], [200, 429]);
  now = 10_000;
  assert.equal(await status('a', [{ KVGet: 'a' }, { KVGet: 'a' }, { KVGet: 'a' }, { KVGet: 'a' }]), 200);
  now = 11_000;
  assert.equal(await status('a'), 429, 'two in debt, one second pays for two, and one is needed');
  now = 11_500;
  assert.equal(await status('a'), 200);
});

test('/metrics counts by operation and status, and reports shards and journal, never keys or accounts', async (t) => {
  let now = 0;
  const door = makeDoor(t, '', () => (now += 0.05));
  await door.send('POST', '/db/secretacc', { KVGet: 'secretkey' });
  await door.send('POST', '/db/secretacc', [{ KVGet: 'secretkey' }]);
  await door.send('POST', '/db/secretacc/kv/secretkey?x=1', 1);
  const response = await door.send('GET', '/metrics');
  assert.equal(response.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  for (const line of [
    'dragonlock_requests_total{operation="batch",status="200"} 1',
    'dragonlock_requests_total{operation="batch_array",status="200"} 1',
    'dragonlock_requests_total{operation="kv_set",status="400"} 1',
    'dragonlock_request_seconds_bucket{operation="batch",le="0.000032"} 0',
    'dragonlock_request_seconds_bucket{operation="batch",le="+Inf"} 1',
    'dragonlock_request_seconds_count{operation="batch"} 1',
    'dragonlock_shard_waiters{shard="0"} 3',
    'dragonlock_shard_commits_total{shard="0"} 70',
    'dragonlock_durable_revision 70',
    'dragonlock_journal_sync_seconds_bucket{le="1"} 3',
    'dragonlock_journal_sync_seconds_bucket{le="+Inf"} 5',
    'dragonlock_journal_written_bytes_total 12345',
  ]) {
    assert.ok(response.body.includes(`${line}\n`), `${line}\n\n${response.body}`);
  }
  assert.doesNotMatch(response.body, /secret/);
  const again = await door.send('GET', '/metrics');
  assert.ok(again.body.includes('dragonlock_shard_commits_total{shard="0"} 70\n'), 'a second scrape does not add up');
});
