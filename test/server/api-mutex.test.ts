/**
 * Mutexes in memory: the same queue and fencing as durable locks. That they are gone at restart is in
 * `restarts.test.ts`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPending, serverForFile, untilTime } from '../support/server-under-test.ts';

const server = serverForFile();

test('mutexes: one at a time, in order of arrival, with growing fences', async () => {
  const held = await server.ok('POST', '/db/m/mlock/a?dur=30');
  assert.equal((await server.fails('not_locked', 'POST', '/db/m/mlock/a?dur=30')).Holder.Till, held.Till);
  const order: number[] = [];
  const fences = [held.Lock];
  const waiting: Promise<void>[] = [];
  for (let i = 0; i < 4; i += 1) {
    waiting.push(
      server.ok('POST', '/db/m/mlock/a?dur=30&wait=15').then(async ({ Lock }) => {
        order.push(i);
        fences.push(Lock);
        await server.ok('POST', `/db/m/munlock/a?lock=${Lock}`);
      }),
    );
    await server.waiters(i + 1);
  }
  await server.ok('POST', `/db/m/munlock/a?lock=${held.Lock}`);
  await Promise.all(waiting);
  assert.deepEqual(order, [0, 1, 2, 3]);
  assert.deepEqual(
    fences,
    fences.toSorted((a, b) => a - b),
  );
});

test('mutexes: nothing goes to disk', async () => {
  const before = await server.metric('dragonlock_journal_written_bytes_total');
  const { Lock, Rev } = await server.ok('POST', '/db/disk/mlock/a?dur=30');
  await server.ok('POST', `/db/disk/munlock/a?lock=${Lock}`);
  assert.equal(await server.metric('dragonlock_journal_written_bytes_total'), before);
  assert.equal((await server.ok('GET', '/db/disk/kv')).Rev, Rev);
});

test('mutexes: an unlock tells the truth', async () => {
  const first = await server.ok('POST', '/db/truth/mlock/a?dur=30');
  await server.fails('lock_lost', 'POST', `/db/truth/munlock/a?lock=${first.Lock + 1}`);
  await server.ok('POST', `/db/truth/munlock/a?lock=${first.Lock}`);
  await server.ok('POST', `/db/truth/munlock/a?lock=${first.Lock}`);
  const second = await server.ok('POST', '/db/truth/mlock/a?dur=0.05');
  await untilTime(second.TillMs + 10);
  assert.equal((await server.fails('lock_lost', 'POST', `/db/truth/munlock/a?lock=${second.Lock}`)).Why, 'expired');
  const third = await server.ok('POST', '/db/truth/mlock/a?dur=30&id=me');
  assert.deepEqual(third.Recover, { Lock: second.Lock, Why: 'expired' });
  const again = await server.ok('POST', '/db/truth/mlock/a?dur=30&owner=me');
  assert.deepEqual(
    [again.Lock, again.Extended, third.Extended],
    [third.Lock, true, undefined],
    'the same owner extends',
  );
  await server.ok('POST', '/db/truth/munlock/a?force=1');
  assert.equal((await server.fails('lock_lost', 'POST', `/db/truth/munlock/a?lock=${third.Lock}`)).Why, 'forced');
});

test('mutexes: the lock of a lease that ends goes to the next waiter at that time', async () => {
  const held = await server.ok('POST', '/db/expire/mlock/a?dur=0.2');
  const next = await server.ok('POST', '/db/expire/mlock/a?dur=1&wait=15');
  const late = next.Now - held.TillMs;
  assert(late >= 0 && late < 250, `granted ${late} ms after the end`);
});

test('mutexes: a wait times out, and a client that disconnects leaves the wait queue', async () => {
  const held = await server.ok('POST', '/db/gone/mlock/a?dur=30');
  await server.fails('not_locked', 'POST', '/db/gone/mlock/a?dur=30&wait=0.05');
  const hangUp = new AbortController();
  const vanishing = server.ok('POST', '/db/gone/mlock/a?wait=15', undefined, { signal: hangUp.signal });
  await server.waiters(1);
  const next = server.ok('POST', '/db/gone/mlock/a?wait=15');
  await server.waiters(2);
  hangUp.abort();
  await assert.rejects(vanishing);
  await server.waiters(1);
  assert(await isPending(next));
  await server.ok('POST', `/db/gone/munlock/a?lock=${held.Lock}`);
  await next;
});

test('mutexes: a mutex and a durable lock of the same name are two things', async () => {
  await server.ok('POST', '/db/two/mlock/a?dur=30');
  await server.ok('POST', '/db/two/lock/a?dur=30');
});
