/** Each call ends within its own time, whatever other calls wait for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock } from '../../src/client/dragon-lock.ts';
import { UnreachableError } from '../../src/client/errors.ts';
import { settled } from './fake-clock.ts';
import { clientUnderTest, type ClientUnderTest } from './fake-transport.ts';

/** Milliseconds after which each of the calls has failed, while no request reaches the server. */
async function failTimes(made: ClientUnderTest, calls: readonly Promise<unknown>[], forMs: number): Promise<number[]> {
  const { clock, transport } = made;
  const start = clock.mark();
  const times: number[] = [];
  calls.forEach((call, i) => {
    call.catch((error: unknown) => {
      assert.ok(error instanceof UnreachableError, String(error));
      assert.match(error.message, /broken/);
      times[i] = clock.since(start);
    });
  });
  for (let ms = 0; ms < forMs; ms += 50) {
    await settled();
    for (const exchange of transport.exchanges.splice(0)) await exchange.breaks('before');
    await clock.pass(50);
  }
  return times;
}

test('before first contact, a call does not wait for as long as the first one that asked', async () => {
  const made = clientUnderTest({ timeout: 15_000 });
  made.transport.version = undefined;
  const lock = made.client.lock('leader', { wait: 30_000 });
  await settled();
  const times = await failTimes(made, [made.client.kv.get('a'), lock, made.client.kv.set('b', 1)], 50_000);
  assert.deepEqual(
    times.map((ms) => Math.round(ms / 1000)),
    [15, 45, 15],
  );
});

test('before first contact, a call that comes later has its whole time', async () => {
  const made = clientUnderTest({ timeout: 3000 });
  made.transport.version = undefined;
  const first = made.client.kv.get('a');
  const early = failTimes(made, [first], 2000);
  await early;
  const later = made.client.kv.get('b');
  const [firstMs, laterMs] = await failTimes(made, [first, later], 4000);
  assert.ok(firstMs! <= 1100, `${firstMs} ms`);
  assert.ok(laterMs! > 2000 && laterMs! <= 3100, `${laterMs} ms`);
});

test('all calls share the question for the version, and it is asked no more once no call waits', async () => {
  const { client, transport, clock } = clientUnderTest({ timeout: 3000 });
  transport.version = undefined;
  const giveUp = new AbortController();
  const calls = [
    client.kv.get('a', { signal: giveUp.signal }),
    client.sequence.get('s', { signal: giveUp.signal }),
    client.lock('l', { signal: giveUp.signal }),
    client.watch.key('w', { version: 1, signal: giveUp.signal }).next(),
  ].map((call) => assert.rejects(call, /enough/));
  await settled();
  assert.equal(transport.exchanges.length, 1);
  giveUp.abort(new Error('enough'));
  await Promise.all(calls);
  assert.equal(transport.take().request.signal?.aborted, true);
  await clock.pass(10_000);
  assert.equal(transport.exchanges.length, 0);
  assert.equal(clock.nextMs, undefined, 'no timer is left');

  const got = client.kv.get('a');
  await settled();
  await transport.take().reply(200, { Version: '0.1.0' });
  await transport.take().succeed();
  assert.equal((await got)?.value, 'v');
});

test('a read that was given up keeps no later call waiting', async () => {
  const { client, transport } = clientUnderTest();
  const giveUp = new AbortController();
  const rejected = assert.rejects(client.kv.get('a', { signal: giveUp.signal }), /enough/);
  await settled();
  giveUp.abort(new Error('enough'));
  await rejected;
  assert.equal(transport.take().request.signal?.aborted, true);
  const set = client.kv.set('a', 2);
  await settled();
  await transport.take().succeed();
  assert.equal(await set, 7);
});

test('a real client on a port where nobody listens fails each call in its own time', async () => {
  const client = new DragonLock({ url: 'http://127.0.0.1:9', account: 'acc', timeout: 300 });
  const giveUp = new AbortController();
  const lock = assert.rejects(client.lock('leader', { wait: 300_000, signal: giveUp.signal }), /enough/);
  await assert.rejects(client.kv.get('a'), { code: 'unreachable', message: /ECONNREFUSED/ });
  giveUp.abort(new Error('enough'));
  await lock;
  await client.close();
});

test('a timeout of any length is one: timers do not overflow, and ids last no longer than the server takes', async () => {
  const { client, transport } = clientUnderTest({ timeout: 1e15 });
  void client.kv.set('a', 1);
  await settled();
  const { IdempotencyTTL } = transport.take().batches[0]!;
  assert.ok(Number(IdempotencyTTL) <= 10 * 366 * 24 * 3600);
});
