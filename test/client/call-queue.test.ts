import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidError, VersionMismatchError } from '../../src/client/errors.ts';
import { settled } from './fake-clock.ts';
import { clientUnderTest, type Exchange } from './fake-transport.ts';

test('calls of one turn share a request, and calls of another turn have another', async () => {
  const { client, transport } = clientUnderTest();
  const first = [client.kv.set('a', 1), client.counter.add('n'), client.kv.get('b')];
  await settled();
  const second = client.kv.get('c');
  await settled();
  assert.equal(transport.exchanges.length, 2);
  const [one, two] = transport.exchanges as [Exchange, Exchange];
  assert.equal(one.request.path, '/db/acc');
  assert.deepEqual(
    one.batches.map((batch) => batch['KVSet'] ?? batch['Atomic'] ?? batch['KVGet']),
    [[{ Key: 'a', Value: 1 }], [{ Key: 'n', Add: 1 }], ['b']],
  );
  assert.ok(!one.request.body?.includes('"c"') && two.request.body?.startsWith('{'), 'a single call is no array');
  await one.succeed();
  await two.succeed();
  assert.deepEqual(await Promise.all(first), [7, 1, { key: 'b', version: 7, value: 'v' }]);
  assert.equal((await second)?.key, 'c');
});

test('a call sends its arguments as they were when it was made', async () => {
  const { client, transport } = clientUnderTest();
  const value = { n: 1 };
  const set = client.kv.set('a', value);
  value.n = 2;
  await settled();
  assert.match(transport.take().request.body ?? '', /"Value":\{"n":1\}/);
  void set;
});

test('each call of an array has its own result or error', async () => {
  const { client, transport } = clientUnderTest();
  const outcomes = Promise.allSettled([
    client.kv.set('a', 1),
    client.kv.set('b', 1, { version: 0 }),
    client.kv.get('c'),
  ]);
  await settled();
  await transport.take().reply(200, [
    { Status: 200, KVSet: [{ Key: 'a', Version: 3 }], Rev: 3 },
    { Status: 409, Code: 'version_mismatch', Message: 'no', Key: 'b', Version: 2, RequestID: 'boot-7' },
    { Status: 200, KV: [{ Key: 'c', Version: 0 }], Rev: 3 },
  ]);
  const [a, b, c] = await outcomes;
  assert.deepEqual(
    [a, c],
    [
      { status: 'fulfilled', value: 3 },
      { status: 'fulfilled', value: undefined },
    ],
  );
  assert.ok(b.status === 'rejected' && b.reason instanceof VersionMismatchError);
  assert.equal(b.reason.version, 2);
  assert.equal(b.reason.requestId, 'boot-7');
});

test('a call on a key that is in flight waits for it, and so do the calls after it', async () => {
  const { client, transport } = clientUnderTest();
  void client.kv.set('a', 1);
  await settled();
  const first = transport.take();
  void client.batch({
    set: [
      { key: 'a', value: 2 },
      { key: 'b', value: 2 },
    ],
  });
  void client.kv.get('b');
  void client.kv.set('c', 2);
  await settled();
  const other = transport.take();
  assert.match(other.request.body ?? '', /"c"/);
  assert.equal(transport.exchanges.length, 0, 'b waits for the batch that waits for a');
  await other.succeed();
  assert.equal(transport.exchanges.length, 0);
  await first.succeed();
  const second = transport.take();
  assert.equal(second.batches.length, 2);
  assert.deepEqual(second.batches[1]?.['KVGet'], ['b']);
});

test('a call that cannot travel in an array keeps its place too', async () => {
  const { client, transport } = clientUnderTest();
  void client.counter.add('n', 5);
  void client.counter.get('n');
  void client.counter.add('n', 6);
  await settled();
  const add = transport.take();
  assert.equal(transport.exchanges.length, 0, 'nothing overtakes the first');
  await add.succeed();
  const get = transport.take();
  assert.equal(get.request.method, 'GET');
  assert.equal(transport.exchanges.length, 0);
  await get.reply(200, { Key: 'n', Value: 5, Rev: 1 });
  assert.match(transport.take().request.body ?? '', /"Add":6/);
});

test('order is kept while a request is being sent again', async () => {
  const { client, transport, clock } = clientUnderTest();
  void client.kv.set('a', 1);
  await settled();
  await transport.take().breaks('sent');
  void client.kv.set('a', 2);
  await settled();
  assert.equal(transport.exchanges.length, 0);
  await clock.pass(50);
  assert.match(transport.take().request.body ?? '', /"Value":1/);
  assert.equal(transport.exchanges.length, 0);
});

test('order is kept behind a call that was given up: its request goes on', async () => {
  const { client, transport } = clientUnderTest();
  const giveUp = new AbortController();
  const rejected = assert.rejects(client.kv.set('a', 1, { signal: giveUp.signal }), /enough/);
  await settled();
  const first = transport.take();
  giveUp.abort(new Error('enough'));
  await rejected;
  assert.equal(first.request.signal?.aborted ?? false, false);
  void client.kv.set('a', 2);
  await settled();
  assert.equal(transport.exchanges.length, 0);
  await first.succeed();
  assert.match(transport.take().request.body ?? '', /"Value":2/);
});

test('calls beyond the number of connections wait, and travel together', async () => {
  const { client, transport } = clientUnderTest({ connections: 2 });
  for (let n = 0; n < 10; n += 1) {
    void client.kv.get(`k${n}`);
    await settled();
  }
  assert.equal(transport.exchanges.length, 2);
  await transport.take().succeed();
  assert.equal(transport.exchanges[1]?.batches.length, 8);
});

test('an array has at most as many batches, reads and characters as the server takes', async () => {
  const { client, transport } = clientUnderTest({ connections: 1000 });
  for (let n = 0; n < 1500; n += 1) void client.kv.set(`s${n}`, n);
  for (let n = 0; n < 100; n += 1) void client.kv.get(`g${n}`);
  for (let n = 0; n < 3; n += 1) void client.kv.set(`l${n}`, 'x'.repeat(600_000));
  await settled();
  const lengths = transport.exchanges.map(({ batches }) => batches.length);
  assert.deepEqual(lengths, [1000, 500, 60, 41, 1, 1]);
});

test('a refused batch does not fail the batches that it travelled with', async () => {
  const { client, transport } = clientUnderTest();
  const outcomes = Promise.allSettled(['a', 'b', 'bad', 'd'].map((key) => client.kv.set(key, 1)));
  await settled();
  let requests = 0;
  while (transport.exchanges.length > 0) {
    const exchange = transport.take();
    requests += 1;
    if (exchange.request.body?.includes('bad')) await exchange.fails('invalid', 400);
    else await exchange.succeed();
  }
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  );
  assert.ok(requests <= 6, `${requests} requests`);
});

test('an invalid call is refused before it is sent', async () => {
  const { client, transport } = clientUnderTest();
  const calls = [
    client.kv.get(''),
    client.kv.get('x'.repeat(513)),
    client.kv.set('\ud800', 1),
    client.kv.set('a\0', 1),
    client.kv.set('a', undefined),
    client.kv.set('a', 1, { ttl: Number.NaN }),
    client.lock('a', { ttl: 30 }),
    client.lock('a', { wait: 300_001 }),
  ];
  for (const outcome of await Promise.allSettled(calls)) {
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof InvalidError);
  }
  await settled();
  assert.equal(transport.exchanges.length, 0);
});

test('a call aborted in the queue is not sent, and a call aborted in flight rejects at once', async () => {
  const { client, transport } = clientUnderTest();
  const [early, late] = [new AbortController(), new AbortController()];
  const first = client.kv.set('a', 1, { signal: early.signal });
  const second = client.kv.set('b', 1, { signal: late.signal });
  const third = client.kv.set('c', 1);
  const rejected = [assert.rejects(first, { name: 'AbortError' }), assert.rejects(second, /enough/)];
  early.abort();
  await settled();
  const exchange = transport.take();
  assert.equal(exchange.batches.length, 2);
  late.abort(new Error('enough'));
  await Promise.all(rejected);
  await exchange.succeed();
  assert.equal(await third, 7);
});

test('without coalescing each call is a request of its own, in the same order', async () => {
  const { client, transport } = clientUnderTest({ coalesce: false });
  void client.kv.set('a', 1);
  void client.kv.set('b', 1);
  void client.kv.set('a', 2);
  await settled();
  assert.equal(transport.exchanges.length, 2);
  await transport.take().succeed();
  assert.match(transport.exchanges[1]?.request.body ?? '', /"Value":2/);
});
