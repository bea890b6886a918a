/** What holds over restarts, clean or by a crash: locks, fences, revisions, records; and what is gone: mutexes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile, untilTime } from '../support/server-under-test.ts';

const server = serverForFile();

for (const how of ['stop', 'kill'] as const) {
  test(`restart after ${how}: locks are still held, extended ones until their new time, and fences grow`, async () => {
    const account = `locks-${how}`;
    const long = await server.batch({ LockID: 'long', LockDur: 60, LockMeta: 'm', LockOwner: 'o' }, account);
    const extended = await server.batch({ LockID: 'ext', LockDur: 5 }, account);
    const longer = await server.batch({ LockID: 'ext', UnlockID: 'ext', Unlock: extended.Lock, LockDur: 90 }, account);
    const released = await server.batch({ LockID: 'free', LockDur: 60 }, account);
    await server.batch({ UnlockID: 'free', Unlock: released.Lock }, account);
    const boot = server.boot;
    await server.restart(how);
    assert.notEqual(server.boot, boot, 'Dragonlock-Boot changes with every start');

    const inspected = await server.ok('GET', `/db/${account}/lock/long?fence=${long.Lock}`);
    assert.equal(inspected.TillMs, long.TillMs, 'a lease that lasts longer anyway ends when it was to end');
    assert.equal(inspected.Meta, 'm');
    assert.equal(
      (await server.ok('GET', `/db/${account}/lock/ext`)).TillMs,
      longer.TillMs,
      'the extension was durable',
    );
    await server.batchFails('not_locked', { LockID: 'long', LockDur: 1 }, account);
    assert.equal((await server.batch({ LockID: 'long', LockDur: 60, LockOwner: 'o' }, account)).Lock, long.Lock);
    await server.batch({ UnlockID: 'long', Unlock: long.Lock }, account);
    await server.batch({ UnlockID: 'free', Unlock: released.Lock }, account);
    const next = await server.batch({ LockID: 'long', LockDur: 1 }, account);
    assert(next.Lock > longer.Rev && next.Lock > long.Lock, 'fencing tokens only grow');
    assert.equal(next.Recover, undefined);
  });
}

test('restart: with no lock on disk fences grow all the same', async () => {
  let last = 0;
  for (const how of ['kill', 'stop', 'kill'] as const) {
    const { Lock } = await server.batch({ LockID: 'alone', LockDur: 5 }, 'alone');
    assert(Lock > last, `${Lock} after ${last}`);
    last = Lock;
    await server.batch({ UnlockID: 'alone', Unlock: Lock }, 'alone');
    await server.restart(how);
  }
});

test('restart: a lease that would have ended while the server was down is held for its LockDur more', async () => {
  const { Lock, TillMs } = await server.batch({ LockID: 'l', LockDur: 1 }, 'grace');
  await server.kill();
  await untilTime(TillMs + 100);
  const startedAt = Date.now();
  await server.start();
  const held = await server.ok('GET', `/db/grace/lock/l?fence=${Lock}`);
  assert(held.TillMs >= startedAt + 1000, `held until ${held.TillMs - startedAt} ms after the start`);
  const next = await server.batch({ LockID: 'l', LockDur: 1, LockWait: 10 }, 'grace');
  assert(next.Now >= held.TillMs && next.Now < held.TillMs + 250, `granted ${next.Now - held.TillMs} ms after its end`);
  assert.deepEqual(next.Recover, { Lock, Why: 'expired' });
  await server.batchFails('lock_lost', { LockID: 'l', UnlockID: 'l', Unlock: Lock, LockDur: 9 }, 'grace');
});

test('restart: what is lost stays lost, and what was released stays released', async () => {
  const expired = await server.batch({ LockID: 'expired', LockDur: 0.05 }, 'truth');
  const forced = await server.batch({ LockID: 'forced', LockDur: 60, LockMeta: 'm' }, 'truth');
  await server.batch({ UnlockID: 'forced' }, 'truth');
  await untilTime(expired.TillMs + 50);
  await server.restart('kill');
  assert.equal(
    (await server.batchFails('lock_lost', { UnlockID: 'expired', Unlock: expired.Lock }, 'truth')).Why,
    'expired',
  );
  assert.equal(
    (await server.batchFails('lock_lost', { UnlockID: 'forced', Unlock: forced.Lock }, 'truth')).Why,
    'forced',
  );
  assert.deepEqual((await server.batch({ LockID: 'forced', LockDur: 5 }, 'truth')).Recover, {
    Lock: forced.Lock,
    Meta: 'm',
    Why: 'forced',
  });
});

test('restart: mutexes are gone, and their fences grow', async () => {
  const before = await server.ok('POST', '/db/acc/mlock/m?dur=60');
  await server.restart('kill');
  const after = await server.ok('POST', '/db/acc/mlock/m?dur=60');
  assert(after.Lock > before.Lock);
  await server.fails('lock_lost', 'POST', `/db/acc/munlock/m?lock=${before.Lock}`);
});

test('restart: keys, counters, sequences and their revisions are as they were', async () => {
  const set = await server.batch(
    {
      KVSet: [
        { Key: 'k', Value: { a: 1 } },
        { Key: 'gone', Value: 1 },
      ],
      Atomic: { Key: 'c', Set: -5 },
    },
    'data',
  );
  await server.ok('POST', '/db/data/sequence/s?n=7');
  await server.ok('DELETE', '/db/data/kv/gone');
  const kept = await server.ok('POST', '/db/data/kv/ttl?ttl=3600', '1');
  const { TillMs } = await server.ok('GET', '/db/data/kv/ttl');
  for (const how of ['kill', 'stop'] as const) {
    const before = await server.ok('GET', '/db/data/kv');
    await server.restart(how);
    const after = await server.ok('GET', '/db/data/kv');
    assert.deepEqual(after.KV, before.KV);
    assert(after.Rev >= before.Rev, 'revisions never go backwards');
    assert.deepEqual((await server.batch({ KVGet: ['k', 'gone', 'ttl'] }, 'data')).KV, [
      { Key: 'k', Version: set.Rev, Value: { a: 1 } },
      { Key: 'gone', Version: 0 },
      { Key: 'ttl', Version: kept.Version, Value: 1, TillMs },
    ]);
    assert.equal((await server.ok('GET', '/db/data/counter/c')).Value, -5);
    assert.equal((await server.ok('GET', '/db/data/sequence/s')).Value, 7);
    const next = await server.batch({ KVSet: { Key: 'other', Value: how } }, 'data');
    assert(next.Rev > before.Rev, 'a revision that was shown is never used again');
  }
});

test('restart: a key whose time came while the server was down is not readable for a moment', async () => {
  await server.ok('POST', '/db/ttl/kv/k?ttl=0.3', '1');
  const { TillMs, Version, Rev } = await server.ok('GET', '/db/ttl/kv/k');
  await server.kill();
  await untilTime(TillMs);
  await server.start();
  await server.fails('not_found', 'GET', '/db/ttl/kv/k');
  assert.partialDeepStrictEqual(await server.ok('POST', '/watch/ttl', { ID: 'k', Version }), {
    Version: 0,
    Deleted: true,
  });
  const { Events } = await server.ok('POST', '/watch/ttl', { Prefix: 'k', After: Rev, Wait: 5 });
  assert.partialDeepStrictEqual(Events, [{ Key: 'k', Deleted: true, Expired: true }]);
});

test('restart: an idempotency id gives the same answer', async () => {
  const headers = { 'idempotency-key': 'one' };
  const request = { IdempotencyIDs: 'two', Atomic: { Key: 'c', Add: 1 } };
  const first = await server.ok('POST', '/db/idem/counter/h', undefined, { headers });
  const second = await server.batch(request, 'idem');
  for (const how of ['kill', 'stop'] as const) {
    await server.restart(how);
    const replayed = await server.call('POST', '/db/idem/counter/h', undefined, { headers });
    assert.deepEqual(replayed.body, first);
    assert.equal(replayed.headers['idempotent-replayed'], 'true');
    assert.deepEqual((await server.batchFails('duplicate_request', request, 'idem')).Response, second);
    await server.fails('idempotency_mismatch', 'POST', '/db/idem/counter/h?add=2', undefined, { headers });
  }
});

test('restart: whatever was acknowledged before a crash under load is there, in whole batches', async () => {
  const acknowledged = new Map<number, string>();
  let running = true;
  const client = async (name: number): Promise<void> => {
    for (let i = 0; ; i += 1) {
      const keys = [`${name}-${i}-a`, `${name}-${i}-b`];
      const reply = await server
        .call('POST', '/db/load', { KVSet: keys.map((Key) => ({ Key, Value: i })) })
        .catch(() => undefined);
      if (reply === undefined) return;
      if (running) acknowledged.set(reply.body.Rev, keys[0]!);
    }
  };
  const clients = Array.from({ length: 16 }, (_, name) => client(name));
  while (acknowledged.size < 300) await new Promise((resolve) => setImmediate(resolve));
  const killed = server.kill();
  running = false;
  await killed;
  await Promise.all(clients);
  await server.start();
  const found = new Map<string, number>();
  for (let after = '', more = true; more; ) {
    const page = await server.ok('GET', `/db/load/kv?limit=1000${after}`);
    for (const { Key, Version } of page.KV) found.set(Key, Version);
    more = page.More;
    after = `&after=${page.After}`;
  }
  for (const [revision, key] of acknowledged) assert.equal(found.get(key), revision, `${key} was acknowledged`);
  for (const [key, revision] of found)
    assert.equal(found.get(key.replace(/.$/, key.endsWith('a') ? 'b' : 'a')), revision, 'whole batches');
});
