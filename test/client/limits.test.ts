/** Rate limits in the client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock } from '../../src/client/dragon-lock.ts';
import { LimitedError } from '../../src/client/errors.ts';
import { serverForFile } from '../support/server-under-test.ts';
import { settled } from './fake-clock.ts';
import { clientUnderTest } from './fake-transport.ts';

const server = serverForFile();

test('too little left is a result of limit, and an error of a batch', async () => {
  await using client = new DragonLock({ url: server.url, account: 'acc' });
  const perDay = { rate: 2, per: '1d' } as const;
  assert.partialDeepStrictEqual(await client.limit('a', { ...perDay, cost: 2 }), {
    allowed: true,
    left: 0,
    retryAfterMs: 0,
  });
  const refused = await client.limit('a', perDay);
  assert.partialDeepStrictEqual(refused, { allowed: false, left: 0 });
  assert.ok(refused.retryAfterMs > 40_000_000 && refused.resetMs > 80_000_000);
  const batch = { limit: [{ key: 'a', ...perDay }], set: [{ key: 'k', value: 1 }] };
  await assert.rejects(client.batch(batch), (error: Error) => {
    assert.ok(error instanceof LimitedError);
    assert.deepEqual([error.key, error.left, error.retryable], ['a', 0, true]);
    assert.match(error.message, /^limit\[0\]: The limit "a" has 0 left/);
    return true;
  });
  assert.equal(await client.kv.get('k'), undefined);
  const [looked] = (await client.batch({ limit: [{ key: 'b', ...perDay, cost: 0 }] })).limit;
  assert.deepEqual(looked, { key: 'b', left: 2, resetMs: 0 });
});

test('a call with a wait ends when its slot begins', async () => {
  await using client = new DragonLock({ url: server.url, account: 'acc' });
  const twenty = { rate: 20, burst: 1, wait: '10s' } as const;
  const started = performance.now();
  const calls = await Promise.all([1, 2, 3, 4].map(() => client.limit('slots', twenty)));
  assert.ok(calls.every(({ allowed }) => allowed));
  assert.ok(performance.now() - started >= 149, 'the fourth slot begins 150 ms after the first');
});

test('a limit that a stopping server answers early is sat out', async () => {
  const { client, transport, clock } = clientUnderTest();
  let ended = false;
  const call = client.limit('a', { rate: 1, wait: 5000 }).then((result) => {
    ended = true;
    return result;
  });
  await clock.pass(100);
  await transport.take().reply(200, { Limit: [{ Key: 'a', Left: 0, ResetMs: 2000, WaitMs: 1000 }], Rev: 1 });
  await clock.pass(899);
  assert.equal(ended, false);
  await clock.pass(1);
  assert.equal((await call).allowed, true);

  const abort = new AbortController();
  const given = client.limit('a', { rate: 1, wait: 5000, signal: abort.signal });
  await settled();
  await transport.take().reply(200, { Limit: [{ Key: 'a', Left: 0, ResetMs: 2000, WaitMs: 1000 }], Rev: 1 });
  abort.abort(new Error('enough'));
  await assert.rejects(given, /enough/);
});

test('a limit alone is sent again after a lost reply; with a write it has an id', async () => {
  const { client, transport, clock } = clientUnderTest();
  const alone = client.limit('a', { rate: 1 });
  await settled();
  await transport.take().breaks('sent');
  await clock.pass(100);
  const again = transport.take();
  assert.equal(again.batches[0]!['IdempotencyIDs'], undefined);
  await again.reply(200, { Limit: [{ Key: 'a', Left: 0, ResetMs: 1000 }], Rev: 1 });
  assert.equal((await alone).allowed, true);
  void client.batch({ limit: [{ key: 'a', rate: 1 }], set: [{ key: 'k', value: 1 }] });
  await settled();
  assert.equal((transport.take().batches[0]!['IdempotencyIDs'] as unknown[]).length, 1);
});

test('what no limit can be is refused before it is sent', async () => {
  const { client, transport } = clientUnderTest();
  for (const [options, message] of [
    [{ rate: 0 }, /: rate: expected a number above 0, got 0/],
    [{ rate: NaN }, /: rate: expected a number above 0/],
    [{ rate: 1, per: 0 }, /: per: expected 1 to/],
    [{ rate: 1, burst: 0 }, /: burst: expected an integer from 1/],
    [{ rate: 1, cost: -1 }, /: cost: expected an integer from 0/],
    [{ rate: 1, wait: '6m' }, /: wait: expected 0 to 300000/],
    [{ rate: 1, window: 5 }, /did you mean "per"\?/],
  ] as const)
    await assert.rejects(client.limit('a', options as { rate: number }), message);
  const both = client.batch({ limit: [{ key: 'a', rate: 1, wait: 5 }], lock: { id: 'l', ttl: 1000 } });
  await assert.rejects(both, /^InvalidError: limit\[0\]\.wait: not together with lock/);
  assert.deepEqual(transport.exchanges, []);
});
