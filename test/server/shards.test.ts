/** The same calls with one shard and three, with one front end and two; and a number of shards that changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplyBody } from '../support/reply-body.ts';
import { ServerUnderTest } from '../support/server-under-test.ts';

const layouts = [
  'shards: 1\nhttp: { threads: 1 }',
  'shards: 1\nhttp: { threads: 2 }',
  'shards: 3\nhttp: { threads: 1 }',
  'shards: 3\nhttp: { threads: 2 }',
];
const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);

for (const config of layouts) {
  test(`${config.replace('\n', ', ')}: everything works as ever`, async (t) => {
    const server = await ServerUnderTest.forTest(t, { config });

    await t.test('a batch over many keys is one commit, and seen whole', async () => {
      const set = await server.batch({
        KVSet: keys.map((Key) => ({ Key, Value: Key })),
        Atomic: keys.map((Key) => ({ Key, Add: 1 })),
        LockID: 'batch-lock',
        LockDur: 60,
        IdempotencyIDs: keys,
      });
      assert.equal(set.Lock, set.Rev);
      assert.deepEqual(new Set(set.KVSet.map(({ Version }) => Version)), new Set([set.Rev]));
      const read = await server.batch({ KVGet: keys });
      assert.deepEqual(
        read.KV,
        keys.map((Key) => ({ Key, Version: set.Rev, Value: Key })),
      );
      const list = await server.ok('GET', '/db/acc/kv?prefix=key-');
      assert.deepEqual(
        list.KV.map(({ Key }) => Key),
        keys.toSorted(),
      );
      const paged = await server.ok('GET', `/db/acc/kv?prefix=key-&limit=7&after=${list.KV[4]?.Key}`);
      assert.deepEqual(
        paged.KV.map(({ Key }) => Key),
        keys.toSorted().slice(5, 12),
      );
      const { Events } = await server.ok('POST', '/watch/acc', { Prefix: 'key-', After: set.Rev - 1 });
      assert.deepEqual(new Set(Events.map(({ Rev }) => Rev)), new Set([set.Rev]));
      assert.equal(Events.length, keys.length);
      await server.batch({ UnlockID: 'batch-lock', Unlock: set.Lock });
    });

    await t.test('one failed condition, on any key, applies nothing', async () => {
      for (const [i, Key] of keys.entries()) {
        const failed = await server.batchFails('version_mismatch', {
          Check: [{ Key, Version: 1 }],
          KVSet: keys.map((Key) => ({ Key, Value: 'changed' })),
          Atomic: { Key: 'never', Add: 1 },
          LockID: `never-${i}`,
          LockDur: 60,
        });
        assert.equal(failed.Failed.length, 1);
      }
      const { KV } = await server.batch({ KVGet: keys });
      assert(KV.every(({ Value, Key }) => Value === Key));
      await server.fails('not_found', 'GET', '/db/acc/counter/never');
      assert.deepEqual((await server.ok('GET', '/db/acc/lock')).Locks, []);
    });

    await t.test('a duplicate is found under any of its ids', async () => {
      for (const id of keys) {
        const again = await server.batchFails('duplicate_request', {
          IdempotencyIDs: [id, `new-${id}`],
          KVSet: { Key: 'x', Value: 1 },
        });
        assert.deepEqual(again.IDs, [id]);
      }
    });

    await t.test('a batch over many shards waits for its lock, and is granted it at the unlock', async () => {
      const held = await server.batch({ LockID: 'l', LockDur: 60 });
      const order: number[] = [];
      const waiting: Promise<void>[] = [];
      for (let i = 0; i < 4; i += 1) {
        const writes = i % 2 === 0 ? { KVSet: keys.map((Key) => ({ Key, Value: `by ${i}` })) } : {};
        waiting.push(
          server.batch({ LockID: 'l', LockDur: 60, LockWait: 60, ...writes }).then(async ({ Lock }) => {
            order.push(i);
            await server.batch({ UnlockID: 'l', Unlock: Lock });
          }),
        );
        await waitersOn(server, 'l', i + 1);
      }
      const startedAt = performance.now();
      await server.batch({ UnlockID: 'l', Unlock: held.Lock });
      await Promise.all(waiting);
      assert(performance.now() - startedAt < 2000, 'without delay');
      assert.deepEqual(order, [0, 1, 2, 3]);
      assert((await server.batch({ KVGet: keys })).KV.every(({ Value }) => Value === 'by 2'));
    });

    await t.test('a client that disconnects while its batch waits leaves the wait queue', async () => {
      const held = await server.batch({ LockID: 'v', LockDur: 60 });
      const hangUp = new AbortController();
      const waiting = server.batch(
        {
          LockID: 'v',
          LockDur: 60,
          LockWait: 60,
          KVSet: keys.map((Key) => ({ Key, Value: 'vanished' })),
          IdempotencyIDs: 'v-1',
        },
        'acc',
        { signal: hangUp.signal },
      );
      await waitersOn(server, 'v', 1);
      hangUp.abort();
      await assert.rejects(waiting);
      await waitersOn(server, 'v', 0);
      await server.batch({ UnlockID: 'v', Unlock: held.Lock });
      const next = await server.batch({ LockID: 'v', LockDur: 60, IdempotencyIDs: 'v-1', KVGet: keys });
      assert(next.KV.every(({ Value }) => Value === 'by 2'));
    });

    await t.test('locks of different shards are swapped in one commit', async () => {
      const a = await server.batch({ LockID: 'swap-a', LockDur: 60 });
      for (let i = 0; i < 10; i += 1) {
        const before = i === 0 ? a : undefined;
        const from = i === 0 ? 'swap-a' : `swap-${i}`;
        const fence = before?.Lock ?? (await server.batch({ LockID: from, LockDur: 60 })).Lock;
        const swapped = await server.batch({
          LockID: `to-${i}`,
          LockDur: 60,
          UnlockID: from,
          Unlock: fence,
          Guard: { LockID: from, Lock: fence },
        });
        assert(swapped.Lock > fence);
        assert.equal((await server.ok('GET', `/db/acc/lock/${from}`)).Locked, false);
      }
      assert.equal((await server.ok('GET', '/db/acc/lock?prefix=to-')).Locks.length, 10);
    });

    await t.test('transfers between keys of all shards keep their sum, in every read', async () => {
      await server.batch({ Atomic: keys.map((Key) => ({ Key: `bank-${Key}`, Set: 100 })) });
      const everything = { Atomic: keys.map((Key) => ({ Key: `bank-${Key}`, Add: 0 })) };
      const transfers = Array.from({ length: 60 }, (_, i) =>
        server.batch({
          Atomic: [
            { Key: `bank-key-${i % 20}`, Add: -1 },
            { Key: `bank-key-${(i * 7 + 3) % 20}`, Add: 1 },
          ],
        }),
      );
      for (let i = 0; i < 10; i += 1) assert.equal(total(await server.batch(everything)), 2000);
      await Promise.all(transfers);
      assert.equal(total(await server.batch(everything)), 2000);
    });

    await t.test('watches, sequences, mutexes and single keys, wherever they live', async () => {
      const watches = keys.map((ID) => server.ok('POST', '/watch/acc', { ID: `w-${ID}`, Version: 0 }));
      const several = server.ok('POST', '/watch/acc', { IDs: keys.map((ID) => ({ ID: `w-${ID}`, Version: 0 })) });
      await Promise.all(keys.map((key) => server.ok('POST', `/db/acc/kv/w-${key}`, '1')));
      for (const [i, seen] of (await Promise.all(watches)).entries()) assert.equal(seen.Key, `w-${keys[i]}`);
      assert.equal((await several).Value, 1);
      for (const key of keys) assert.equal((await server.ok('POST', `/db/acc/sequence/${key}`)).Value, 1);
      const fences: number[] = [];
      for (const key of keys) fences.push((await server.ok('POST', `/db/acc/mlock/${key}`)).Lock);
      await Promise.all(keys.map((key, i) => server.ok('POST', `/db/acc/munlock/${key}?lock=${fences[i]}`)));
    });

    await t.test('everything is there after a crash', async () => {
      const before = await Promise.all([server.ok('GET', '/db/acc/kv?limit=1000'), server.ok('GET', '/db/acc/lock')]);
      await server.restart('kill');
      const after = await Promise.all([server.ok('GET', '/db/acc/kv?limit=1000'), server.ok('GET', '/db/acc/lock')]);
      assert.deepEqual(after[0].KV, before[0].KV);
      assert.deepEqual(after[1].Locks, before[1].Locks);
      assert.equal((await server.ok('POST', '/db/acc/sequence/key-3')).Value, 2);
    });

    await t.test('a stop answers every waiting client', async () => {
      const waiting = [
        server.batchFails('draining', {
          LockID: 'to-1',
          LockDur: 60,
          LockWait: 60,
          KVSet: keys.map((Key) => ({ Key, Value: 'drained' })),
        }),
        server.batchFails('draining', { LockID: 'to-2', LockDur: 60, LockWait: 60 }),
        server.fails('draining', 'POST', '/watch/acc', { ID: 'never-there' }),
      ];
      await Promise.all([waitersOn(server, 'to-1', 1), waitersOn(server, 'to-2', 1)]);
      const stopped = server.stop();
      await Promise.all(waiting);
      await stopped;
    });
  });
}

function total(body: ReplyBody): number {
  return body.Atomic.reduce((sum, { Value }) => sum + Value, 0);
}

async function waitersOn(server: ServerUnderTest, id: string, count: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while ((await server.ok('GET', `/db/acc/lock/${id}`)).Waiters !== count) {
    assert(performance.now() < deadline, `${count} waiters on ${id} within 10 s`);
  }
}

test('the number of shards may change over restarts, and everything is kept', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config: 'shards: 1' });
  const many = Array.from({ length: 200 }, (_, i) => `k${i}`);
  await server.batch({
    KVSet: many.map((Key, i) => ({ Key, Value: i })),
    Atomic: many.map((Key) => ({ Key, Add: 7 })),
  });
  await server.ok('POST', '/db/acc/kv/ttl?ttl=3600', '1');
  const lock = await server.batch({ LockID: 'l', LockDur: 3600, LockMeta: 'm', IdempotencyIDs: many.slice(0, 10) });
  for (const id of many.slice(0, 10)) await server.ok('POST', `/db/acc/sequence/${id}?n=5`);
  const before = await server.ok('GET', '/db/acc/kv?limit=1000');
  for (const [config, how] of [
    ['shards: 3', 'stop'],
    ['shards: 2', 'kill'],
    ['shards: 1', 'kill'],
  ] as const) {
    await server.restart(how, { config });
    assert.deepEqual((await server.ok('GET', '/db/acc/kv?limit=1000')).KV, before.KV, config);
    const { Atomic } = await server.batch({ Atomic: many.map((Key) => ({ Key, Add: 0 })) });
    assert(
      Atomic.every(({ Value }) => Value === 7),
      config,
    );
    assert.equal((await server.ok('GET', `/db/acc/lock/l?fence=${lock.Lock}`)).TillMs, lock.TillMs);
    for (const id of many.slice(0, 10)) {
      assert.equal((await server.ok('GET', `/db/acc/sequence/${id}`)).Value, 5);
      await server.batchFails('duplicate_request', { IdempotencyIDs: id, KVSet: { Key: 'x', Value: 1 } });
    }
    const next = await server.batch({ KVSet: { Key: `after ${config}`, Value: 1 } }, 'other');
    assert(next.Rev > before.Rev);
  }
});
