/** Durable locks: in batches and over REST. What needs a restart is in `restarts.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPending, serverForFile, untilTime } from '../support/server-under-test.ts';

const server = serverForFile();
const lockBody = { LockID: 'l', LockDur: 30 };

test('locks: without LockWait a busy lock is refused at once, with the holder but never its fence or owner', async () => {
  const held = await server.batch({ ...lockBody, LockOwner: 'secret-owner', LockMeta: { host: 'h1' } }, 'busy');
  const reply = await server.call('POST', '/db/busy', lockBody);
  assert.equal(reply.status, 409);
  assert.equal(reply.body.Code, 'not_locked');
  assert.deepEqual(reply.body.Holder.Meta, { host: 'h1' });
  assert.equal(reply.body.Holder.Till, held.Till);
  assert(reply.body.Holder.Since <= held.TillMs - 30_000);
  assert.equal(reply.body.Waiters, 0);
  assert(!reply.text.includes('secret-owner') && !reply.text.includes(`:${held.Lock},`), 'no secrets');
});

test('locks: a waiter is granted in the moment of the unlock, without delay', async () => {
  const latencies: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const held = await server.batch(lockBody, 'wake');
    const waiting = server
      .batch({ ...lockBody, LockWait: 30 }, 'wake')
      .then((granted) => ({ granted, at: performance.now() }));
    await server.waiters(1);
    assert(await isPending(waiting), 'it waits while the lock is held');
    const unlockedAt = performance.now();
    const unlocked = await server.batch({ UnlockID: 'l', Unlock: held.Lock }, 'wake');
    const { granted, at } = await waiting;
    latencies.push(at - unlockedAt);
    assert(granted.Lock > held.Lock, 'fencing tokens grow');
    assert.equal(granted.Rev, unlocked.Rev + 1, 'granted in the very next revision');
    await server.batch({ UnlockID: 'l', Unlock: granted.Lock }, 'wake');
  }
  const typical = latencies.toSorted((a, b) => a - b)[5] ?? Infinity;
  assert(typical < 500, `a typical wake-up takes ${typical} ms`);
});

test('locks: first come, first served, and no request overtakes the waiters', async () => {
  const held = await server.batch(lockBody, 'fifo');
  const order: number[] = [];
  const waiting: Promise<void>[] = [];
  for (let i = 0; i < 5; i += 1) {
    waiting.push(
      server.batch({ ...lockBody, LockWait: 30 }, 'fifo').then(async ({ Lock }) => {
        order.push(i);
        await server.batch({ UnlockID: 'l', Unlock: Lock }, 'fifo');
      }),
    );
    await server.waiters(i + 1);
  }
  assert.equal((await server.ok('GET', '/db/fifo/lock/l')).Waiters, 5);
  const [, barging] = await Promise.all([
    server.batch({ UnlockID: 'l', Unlock: held.Lock }, 'fifo'),
    server.call('POST', '/db/fifo', lockBody),
  ]);
  assert.equal(barging.status, 409, 'a request without a wait is refused while others wait');
  await Promise.all(waiting);
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
});

test('locks: LockWait runs out with 409 not_locked, after that long', async () => {
  await server.batch(lockBody, 'ranout');
  const startedAt = performance.now();
  const refused = await server.batchFails('not_locked', { ...lockBody, LockWait: 0.2 }, 'ranout');
  const waited = performance.now() - startedAt;
  assert(waited >= 199 && waited < 1200, `waited ${waited} ms`);
  assert(refused.Holder.Till > 0);
  assert.equal(refused.Waiters, 0);
});

test('locks: the same owner gets the same fence again, and more time', async () => {
  const first = await server.batch({ ...lockBody, LockDur: 10, LockOwner: 'o1' }, 'owner');
  const again = await server.batch({ ...lockBody, LockOwner: 'o1' }, 'owner');
  assert.equal(again.Lock, first.Lock);
  assert(again.TillMs > first.TillMs);
  await server.batchFails('not_locked', { ...lockBody, LockOwner: 'o2' }, 'owner');
});

test('locks: an extension keeps the fence and moves Till; a lost lock is never revived', async () => {
  const first = await server.batch({ ...lockBody, LockDur: 0.2, LockMeta: 'm' }, 'extend');
  const longer = await server.batch({ LockID: 'l', UnlockID: 'l', Unlock: first.Lock, LockDur: 0.4 }, 'extend');
  assert.equal(longer.Lock, first.Lock);
  assert(longer.TillMs > first.TillMs);
  assert.equal((await server.ok('GET', '/db/extend/lock/l')).Meta, 'm');
  await server.batchFails('lock_lost', { LockID: 'l', UnlockID: 'l', Unlock: first.Lock + 1, LockDur: 9 }, 'extend');
  await untilTime(longer.TillMs + 20);
  const lost = await server.batchFails(
    'lock_lost',
    { LockID: 'l', UnlockID: 'l', Unlock: first.Lock, LockDur: 9 },
    'extend',
  );
  assert.equal(lost.Why, 'expired');
  assert.equal((await server.ok('GET', '/db/extend/lock/l')).Locked, false);
  const next = await server.batch(lockBody, 'extend');
  assert.deepEqual(next.Recover, { Lock: first.Lock, Meta: 'm', Why: 'expired' });
  await server.batchFails('lock_lost', { LockID: 'l', UnlockID: 'l', Unlock: first.Lock, LockDur: 9 }, 'extend');
});

test('locks: an unlock tells the truth', async () => {
  const first = await server.batch(lockBody, 'truth');
  await server.batchFails('lock_lost', { UnlockID: 'l', Unlock: first.Lock + 1 }, 'truth');
  await server.batch({ UnlockID: 'l', Unlock: first.Lock }, 'truth');
  await server.batch({ UnlockID: 'l', Unlock: first.Lock }, 'truth');
  const second = await server.batch(lockBody, 'truth');
  assert.equal(second.Recover, undefined, 'a clean release leaves nothing to recover');
  await server.batch({ UnlockID: 'l', Unlock: first.Lock }, 'truth');
  assert.equal(
    (await server.ok('GET', `/db/truth/lock/l?fence=${second.Lock}`)).Locked,
    true,
    'the old fence frees nothing',
  );
  await server.batch({ UnlockID: 'l' }, 'truth');
  const forced = await server.batchFails('lock_lost', { UnlockID: 'l', Unlock: second.Lock }, 'truth');
  assert.equal(forced.Why, 'forced');
  const third = await server.batch({ ...lockBody, LockDur: 0.05, LockMeta: 3 }, 'truth');
  assert.deepEqual(third.Recover, { Lock: second.Lock, Why: 'forced' });
  await untilTime(third.TillMs + 20);
  assert.equal((await server.batchFails('lock_lost', { UnlockID: 'l', Unlock: third.Lock }, 'truth')).Why, 'expired');
  await server.batchFails('lock_lost', { UnlockID: 'never', Unlock: 5 }, 'truth');
});

test('locks: one lock is given up only together with getting the other', async () => {
  const a = await server.batch({ LockID: 'a', LockDur: 30 }, 'swap');
  const b = await server.batch({ LockID: 'b', LockDur: 30 }, 'swap');
  const refused = { LockID: 'b', LockDur: 30, UnlockID: 'a', Unlock: a.Lock };
  await server.batchFails('not_locked', refused, 'swap');
  assert.equal((await server.ok('GET', `/db/swap/lock/a?fence=${a.Lock}`)).Locked, true);
  const swapped = server.batch({ ...refused, LockWait: 30 }, 'swap');
  await server.waiters(1);
  assert.equal((await server.ok('GET', '/db/swap/lock/a')).Locked, true, 'still held while it waits for the other');
  await server.batch({ UnlockID: 'b', Unlock: b.Lock }, 'swap');
  assert((await swapped).Lock > b.Lock);
  assert.equal((await server.ok('GET', '/db/swap/lock/a')).Locked, false);
});

test('locks: a lease ends at its time: never early, and not late', async () => {
  const held = await server.batch({ ...lockBody, LockDur: 0.3 }, 'expiry');
  const next = await server.batch({ ...lockBody, LockWait: 10 }, 'expiry');
  const late = next.Now - held.TillMs;
  assert(late >= 0, `granted ${-late} ms before the lease had ended`);
  assert(late < 250, `granted ${late} ms after the lease had ended`);
  assert.deepEqual(next.Recover, { Lock: held.Lock, Why: 'expired' });
});

test('locks: a waiter whose conditions fail meanwhile leaves the lock to the next', async () => {
  const held = await server.batch(lockBody, 'cond');
  const failing = server.batchFails(
    'version_mismatch',
    { ...lockBody, LockWait: 30, Check: { Key: 'k', Version: 9 } },
    'cond',
  );
  await server.waiters(1);
  const next = server.batch({ ...lockBody, LockWait: 30 }, 'cond');
  await server.waiters(2);
  await server.batch({ UnlockID: 'l', Unlock: held.Lock }, 'cond');
  await failing;
  assert((await next).Lock > held.Lock);
});

test('locks over REST: taken by an id, extended by the same id, given back by id or fence', async () => {
  const first = await server.ok('POST', '/db/rest/lock/l?id=me&dur=10&meta=host-1');
  assert.equal(first.Extended, undefined);
  const busy = await server.fails('not_locked', 'POST', '/db/rest/lock/l?id=you&dur=10');
  assert.equal(busy.Holder.Meta, 'host-1');
  const again = await server.ok('POST', '/db/rest/lock/l?owner=me&dur=20');
  assert.equal(again.Extended, true);
  assert.equal(again.Lock, first.Lock);
  assert(again.TillMs > first.TillMs);
  await server.fails('lock_lost', 'DELETE', '/db/rest/lock/l?id=you');
  await server.ok('DELETE', '/db/rest/lock/l?id=me');
  await server.ok('DELETE', '/db/rest/lock/l?id=me');
  const second = await server.ok('POST', '/db/rest/lock/l?dur=10');
  await server.fails('lock_lost', 'DELETE', `/db/rest/lock/l?lock=${second.Lock + 7}`);
  const waiting = server.ok('POST', '/db/rest/lock/l?id=you&dur=10&wait=15');
  await server.waiters(1);
  await server.ok('DELETE', `/db/rest/lock/l?lock=${second.Lock}`);
  const third = await waiting;
  assert(third.Lock > second.Lock);
  await server.ok('DELETE', '/db/rest/lock/l?force=1');
  assert.equal((await server.fails('lock_lost', 'DELETE', '/db/rest/lock/l?id=you')).Why, 'forced');
});

test('locks over REST: inspection shows the state, and ?fence= tells whether a fence still holds', async () => {
  assert.partialDeepStrictEqual(await server.ok('GET', '/db/inspect/lock/l'), { Locked: false, Waiters: 0 });
  const { Lock, Till, Now } = await server.batch({ ...lockBody, LockOwner: 'secret', LockMeta: [1] }, 'inspect');
  const reply = await server.call('GET', '/db/inspect/lock/l');
  assert.partialDeepStrictEqual(reply.body, { Locked: true, Till, Meta: [1], Since: Now, Waiters: 0 });
  assert(!reply.text.includes('secret') && !('Lock' in reply.body), 'no secrets');
  await server.ok('GET', `/db/inspect/lock/l?fence=${Lock}`);
  await server.fails('lock_lost', 'GET', `/db/inspect/lock/l?fence=${Lock + 1}`);
  await server.ok('DELETE', `/db/inspect/lock/l?lock=${Lock}`);
  assert.equal((await server.fails('lock_lost', 'GET', `/db/inspect/lock/l?fence=${Lock}`)).Why, 'released');
});

test('locks: the same owner asking again takes over its own place in the wait queue', async () => {
  const held = await server.batch(lockBody, 'place');
  const first = server.call('POST', '/db/place', { ...lockBody, LockWait: 30, LockOwner: 'o' });
  await server.waiters(1);
  const other = server.batch({ ...lockBody, LockWait: 30 }, 'place');
  await server.waiters(2);
  const again = server.batch({ ...lockBody, LockWait: 30, LockOwner: 'o' }, 'place');
  assert.equal((await first).body.Code, 'not_locked', 'the earlier try is answered');
  await server.waiters(2);
  await server.batch({ UnlockID: 'l', Unlock: held.Lock }, 'place');
  const granted = await again;
  assert(await isPending(other), 'the place was kept');
  await server.batch({ UnlockID: 'l', Unlock: granted.Lock }, 'place');
  await other;
});

test('locks: LockMeta over 1 KiB is refused', async () => {
  await server.batch({ ...lockBody, LockMeta: 'x'.repeat(1022) }, 'meta');
  await server.batchFails('too_large', { LockID: 'm', LockDur: 1, LockMeta: 'x'.repeat(1023) }, 'meta');
});
