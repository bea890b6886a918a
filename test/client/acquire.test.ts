import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LockLostError, NotLockedError } from '../../src/client/errors.ts';
import { settled } from './fake-clock.ts';
import { clientUnderTest, type ClientUnderTest } from './fake-transport.ts';

const granted = { Lock: 5, TillMs: 0, TTLMs: 0, Now: 0, Rev: 5 };

test('an acquire that is sent again has the same owner, and waits for the rest of the time', async () => {
  const { client, transport, clock } = clientUnderTest();
  const locked = client.lock('x', { wait: 10_000, ttl: 30_000 });
  await settled();
  const first = transport.take();
  assert.equal(first.request.waits, true);
  await clock.pass(4000);
  await first.breaks('sent');
  await clock.pass(50);
  const second = transport.take();
  assert.equal(second.batches[0]?.['LockOwner'], first.batches[0]?.['LockOwner']);
  assert.ok(Number(second.batches[0]?.['LockWait']) <= 6);
  assert.ok(second.request.timeoutMs > 5900, 'longer than what the server waits');
  await second.reply(200, granted);
  assert.equal((await locked).fence, 5);
});

test('a mutex that is asked for again is waited for during the rest of the time', async () => {
  const { client, transport, clock } = clientUnderTest();
  void client.mutex('m', { wait: 10_000 });
  await settled();
  await clock.pass(4000);
  await transport.take().gateway(504);
  await clock.pass(50);
  const wait = Number(new URL(transport.take().request.path, 'http://server').searchParams.get('wait'));
  assert.ok(wait > 5 && wait <= 6, `${wait} s`);
});

test('two acquires have two owners', async () => {
  const { client, transport } = clientUnderTest();
  void client.lock('x');
  void client.lock('x');
  await settled();
  const [a, b] = [transport.take(), transport.take()];
  assert.notEqual(a.batches[0]?.['LockOwner'], b.batches[0]?.['LockOwner']);
});

test('a grant after a long wait is extended before it counts, from the time of that request', async () => {
  const { client, transport, clock } = clientUnderTest();
  const locked = client.lock('x', { ttl: 3000, wait: 60_000 });
  await settled();
  await clock.pass(40_000);
  await transport.take().reply(200, granted);
  const extension = transport.take();
  assert.deepEqual(extension.batches, [{ LockID: 'x', UnlockID: 'x', Unlock: 5, LockDur: 3 }]);
  await clock.pass(500);
  await extension.reply(200, granted);
  const lock = await locked;
  assert.equal(lock.state, 'held');
  assert.equal(Math.round(lock.remaining), 3000 - 40 - 500);
});

test('a grant that expired before its reply came is waited for again', async () => {
  const { client, transport, clock } = clientUnderTest();
  const locked = client.lock('x', { ttl: 3000, wait: 60_000 });
  await settled();
  await clock.pass(4000);
  await transport.take().reply(200, granted);
  await transport.take().fails('lock_lost', 409);
  await transport.take().reply(200, { ...granted, Lock: 9 });
  assert.equal((await locked).fence, 9);
});

test('an aborted acquire closes its connection, and releases what may have been granted', async () => {
  const { client, transport } = clientUnderTest();
  const controller = new AbortController();
  const rejected = assert.rejects(client.lock('x', { signal: controller.signal }), /enough/);
  await settled();
  const asked = transport.take();
  controller.abort(new Error('enough'));
  await rejected;
  assert.equal(asked.request.signal?.aborted, true);
  await settled();
  const release = transport.take();
  assert.equal(release.request.method, 'DELETE');
  assert.equal(release.request.path, `/db/acc/lock/x?owner=${String(asked.batches[0]?.['LockOwner'])}`);
});

test('a try that is aborted in flight is released after the array it travels with', async () => {
  const { client, transport } = clientUnderTest();
  const controller = new AbortController();
  const rejected = assert.rejects(client.lock('x', { wait: 0, signal: controller.signal }), /enough/);
  const set = client.kv.set('a', 1);
  await settled();
  const array = transport.take();
  assert.equal(array.batches.length, 2);
  controller.abort(new Error('enough'));
  await rejected;
  await settled();
  assert.equal(transport.exchanges.length, 0, 'it must not overtake the grant');
  await array.succeed();
  assert.equal(await set, 7);
  assert.equal(transport.take().request.method, 'DELETE');
});

test('a refused acquire releases nothing', async () => {
  const { client, transport } = clientUnderTest();
  const rejected = assert.rejects(client.lock('x', { wait: 0 }), NotLockedError);
  await settled();
  await transport.take().fails('not_locked', 409);
  await rejected;
  assert.equal(transport.exchanges.length, 0);
});

async function lockedClient(): Promise<
  ClientUnderTest & { lock: Awaited<ReturnType<ClientUnderTest['client']['lock']>> }
> {
  const made = clientUnderTest();
  const locking = made.client.lock('x', { ttl: 3000 });
  await settled();
  await made.transport.take().reply(200, granted);
  return { ...made, lock: await locking };
}

test('a guarded batch that is not awaited is done before the release', async () => {
  const { transport, lock } = await lockedClient();
  void lock.batch({ set: [{ key: 'a', value: 1 }] });
  const released = lock.release();
  await settled();
  const exchange = transport.take();
  assert.deepEqual(exchange.batches[0]?.['Guard'], [{ LockID: 'x', Lock: 5 }]);
  assert.deepEqual(exchange.batches[1], { UnlockID: 'x', Unlock: 5 });
  await exchange.succeed();
  await released;
});

test('a renewal does not wait for a guarded batch', async () => {
  const { transport, lock, clock } = await lockedClient();
  void lock.batch({ set: [{ key: 'a', value: 1 }] });
  await clock.pass(1000);
  assert.equal(transport.exchanges.length, 2);
});

test('a guarded batch that finds the lock lost fires the signal', async () => {
  const { transport, lock } = await lockedClient();
  const rejected = assert.rejects(lock.batch({ set: [{ key: 'a', value: 1 }] }), LockLostError);
  await settled();
  await transport.take().reply(409, { Code: 'lock_lost', Message: 'over', LockID: 'x', Why: 'forced' });
  await rejected;
  assert.equal(lock.state, 'lost');
  assert.ok(lock.signal.reason instanceof LockLostError);
});

test('await using does not hide an error of its block', async () => {
  const { transport, lock } = await lockedClient();
  const block = (async () => {
    await using held = lock;
    throw new Error(`of the block, under ${held.fence}`);
  })();
  const rejected = assert.rejects(block, { message: 'of the block, under 5' });
  await settled();
  await transport.take().fails('lock_lost', 409);
  await rejected;
});

test('withLock throws the error of its function, and a lost lock after a function that succeeds', async () => {
  for (const [fails, reply, expected] of [
    [true, 'lock_lost', /of the function/],
    [false, 'lock_lost', LockLostError],
    [false, 'internal', undefined],
  ] as const) {
    const { client, transport } = clientUnderTest();
    const running = client.withLock('x', {}, (lock) => {
      if (fails) throw new Error('of the function');
      return lock.fence;
    });
    const outcome = expected === undefined ? running : assert.rejects(running, expected);
    await settled();
    await transport.take().reply(200, granted);
    await transport.take().fails(reply, reply === 'internal' ? 500 : 409);
    assert.equal(await outcome, expected === undefined ? 5 : undefined);
  }
});

test('a mutex granted anew to its owner is another lease: the first is lost, the second released', async () => {
  const { client, transport, clock } = clientUnderTest();
  const locking = client.mutex('m', { ttl: 3000 });
  await settled();
  const asked = transport.take();
  assert.match(asked.request.path, /^\/db\/acc\/mlock\/m\?owner=[\w-]+&dur=3&wait=/);
  await asked.reply(200, granted);
  const mutex = await locking;
  await clock.pass(1000);
  await transport.take().reply(200, { ...granted, Lock: 8 });
  const release = transport.take();
  assert.equal(release.request.path, '/db/acc/munlock/m?lock=8');
  await release.reply(200, { Rev: 9 });
  assert.equal(mutex.state, 'lost');
});

test('closing the client releases the locks that it holds', async () => {
  const { client, transport, lock } = await lockedClient();
  const closed = client.close();
  await settled();
  const release = transport.take();
  assert.deepEqual(release.batches, [{ UnlockID: 'x', Unlock: 5 }]);
  await release.succeed();
  await closed;
  assert.equal(lock.state, 'released');
  await assert.rejects(client.kv.get('a'), { code: 'closed' });
});
