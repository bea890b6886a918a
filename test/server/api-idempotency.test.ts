/** Idempotency ids, in the body and in the header. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile, untilTime } from '../support/server-under-test.ts';

const server = serverForFile();

test('idempotency: a duplicate is refused with everything about the first', async () => {
  const request = { IdempotencyIDs: ['a', 'b'], Atomic: { Key: 'c', Add: 1 }, KVSet: { Key: 'k', Value: 1 } };
  const first = await server.batch(request, 'dup');
  const again = await server.batchFails('duplicate_request', request, 'dup');
  assert.deepEqual(again.IDs, ['a', 'b']);
  assert.equal(again.Rev, first.Rev);
  assert.equal(again.Same, true);
  assert.deepEqual(again.Response, first);
  const other = await server.batchFails(
    'duplicate_request',
    { IdempotencyIDs: 'b', Atomic: { Key: 'c', Add: 9 } },
    'dup',
  );
  assert.deepEqual(other.IDs, ['b']);
  assert.equal(other.Same, false);
  assert.deepEqual(other.Response, first);
  assert.equal((await server.ok('GET', '/db/dup/counter/c')).Value, 1);
});

test('idempotency: one used id among new ones refuses the whole request', async () => {
  await server.batch({ IdempotencyIDs: 'used', Atomic: { Key: 'c', Add: 1 } }, 'one');
  const refused = await server.batchFails(
    'duplicate_request',
    { IdempotencyIDs: ['new', 'used'], Atomic: { Key: 'c', Add: 1 } },
    'one',
  );
  assert.deepEqual(refused.IDs, ['used']);
  await server.batch({ IdempotencyIDs: 'new', Atomic: { Key: 'c', Add: 1 } }, 'one');
});

test('idempotency: 32 ids of one batch share its reply, and more are refused, also in an array', async () => {
  const ids = Array.from({ length: 32 }, (_, i) => `${i}`.padEnd(512, '\u0001'));
  const request = { IdempotencyIDs: ids, IdempotencyMode: 'replay', KVSet: { Key: 'k', Value: 1 }, KVGet: 'k' };
  const first = await server.batch(request, 'many');
  for (const id of ids) assert.deepEqual(await server.batch({ ...request, IdempotencyIDs: id }, 'many'), first);
  const tooMany = { ...request, IdempotencyIDs: [...ids, 'x'] };
  const refused = await server.batchFails('too_large', tooMany, 'many');
  assert.equal(refused.Message, 'IdempotencyIDs: 33 ids; expected at most 32 of one batch');
  const inArray = await server.fails('too_large', 'POST', '/db/many', [request, tooMany]);
  assert.match(inArray.Message, /^\[1\]\.IdempotencyIDs: 33 ids/);
  const flood = Array.from({ length: 700_000 }, (_, i) => `${i}`);
  await server.batchFails('too_large', { IdempotencyIDs: flood, KVSet: { Key: 'k', Value: 1 } }, 'many');
  const hostile = Array.from({ length: 1000 }, (_, i) => ({ Key: `${i}`.padEnd(508, '\u0001'), Value: 1 }));
  await server.batch({ IdempotencyIDs: ids.slice(1).map((id) => id.slice(1)), KVSet: hostile }, 'many');
});

test('idempotency: mode replay answers the stored reply; another payload is a mismatch', async () => {
  const request = {
    IdempotencyIDs: 'a',
    IdempotencyMode: 'replay',
    Atomic: { Key: 'c', Add: 1 },
    LockID: 'l',
    LockDur: 30,
  };
  const first = await server.batch(request, 'replay');
  const again = await server.call('POST', '/db/replay', request);
  assert.equal(again.status, 200);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.deepEqual(again.body, first);
  const mismatch = await server.batchFails(
    'idempotency_mismatch',
    { ...request, Atomic: { Key: 'c', Add: 2 } },
    'replay',
  );
  assert.deepEqual(mismatch.IDs, ['a']);
  assert.equal((await server.ok('GET', '/db/replay/counter/c')).Value, 1);
});

test('idempotency: the header works on every write over REST, and on a batch', async () => {
  const headers = { 'idempotency-key': 'one' };
  const writes = [
    ['POST', '/db/hdr1/counter/c?add=3', undefined],
    ['POST', '/db/hdr2/kv/k', '{"a":1}'],
    ['POST', '/db/hdr3/sequence/s', undefined],
    ['POST', '/db/hdr4/lock/l?dur=30', undefined],
    ['POST', '/db/hdr5', { Atomic: { Key: 'c', Add: 1 } }],
    ['DELETE', '/db/hdr6/counter/c', undefined],
    ['DELETE', '/db/hdr7/kv/k', undefined],
    ['DELETE', '/db/hdr8/sequence/s', undefined],
    ['DELETE', '/db/hdr9/lock/l?force=1', undefined],
  ] as const;
  for (const [method, target, payload] of writes) {
    const first = await server.call(method, target, payload, { headers });
    assert.equal(first.status, 200, `${target}: ${first.text}`);
    assert.equal(first.headers['idempotent-replayed'], undefined);
    const again = await server.call(method, target, payload, { headers });
    assert.equal(again.headers['idempotent-replayed'], 'true', target);
    assert.equal(again.text, first.text, target);
  }
  await server.fails('idempotency_mismatch', 'POST', '/db/hdr1/counter/c?add=4', undefined, { headers });
  await server.fails('idempotency_mismatch', 'POST', '/db/hdr1/kv/k', '1', { headers });
});

test('idempotency: only successes are stored, so that a failed try can be repeated', async () => {
  const request = { IdempotencyIDs: 'a', KVSet: { Key: 'k', Value: 2 }, Check: { Key: 'gate', Version: 0 } };
  const { Rev } = await server.batch({ KVSet: { Key: 'gate', Value: 1 } }, 'failed');
  await server.batchFails('version_mismatch', request, 'failed');
  await server.batchFails('version_mismatch', request, 'failed');
  await server.batch({ KVSet: { Key: 'gate', Delete: true, Version: Rev } }, 'failed');
  await server.batch(request, 'failed');
  await server.batchFails('duplicate_request', request, 'failed');
});

test('idempotency: while the first one waits for its lock, the second is told so; afterwards it is a duplicate', async () => {
  const held = await server.batch({ LockID: 'l', LockDur: 30 }, 'progress');
  const request = { IdempotencyIDs: 'a', LockID: 'l', LockDur: 30, LockWait: 30, Atomic: { Key: 'c', Add: 1 } };
  const first = server.batch(request, 'progress');
  await server.waiters(1);
  assert.deepEqual((await server.batchFails('request_in_progress', request, 'progress')).IDs, ['a']);
  await server.batch({ UnlockID: 'l', Unlock: held.Lock }, 'progress');
  await first;
  await server.batchFails('duplicate_request', request, 'progress');
});

test('idempotency: a first one that waited in vain, or hung up, leaves the id free', async () => {
  const held = await server.batch({ LockID: 'l', LockDur: 30 }, 'vain');
  const request = { IdempotencyIDs: 'a', LockID: 'l', LockDur: 30, LockWait: 0.05 };
  await server.batchFails('not_locked', request, 'vain');
  const hangUp = new AbortController();
  const waiting = server.batch({ ...request, LockWait: 30 }, 'vain', { signal: hangUp.signal });
  await server.waiters(1);
  hangUp.abort();
  await assert.rejects(waiting);
  await server.waiters(0);
  await server.batch({ UnlockID: 'l', Unlock: held.Lock }, 'vain');
  await server.batch(request, 'vain');
});

test('idempotency: a record is forgotten after IdempotencyTTL', async () => {
  const request = { IdempotencyIDs: 'a', IdempotencyTTL: 0.2, Atomic: { Key: 'c', Add: 1 } };
  const before = Date.now();
  await server.batch(request, 'ttl');
  const after = Date.now();
  await server.batchFails('duplicate_request', request, 'ttl');
  assert(Date.now() < before + 200, 'asked while it was kept');
  await untilTime(after + 220);
  assert.equal((await server.batch(request, 'ttl')).Atomic[0]?.Value, 2);
});

test('idempotency: many at once with one id: exactly one happens', async () => {
  const request = { IdempotencyIDs: 'a', IdempotencyMode: 'replay', Atomic: { Key: 'c', Add: 1 } };
  const replies = await Promise.all(Array.from({ length: 50 }, () => server.call('POST', '/db/race', request)));
  assert.deepEqual(new Set(replies.map(({ text }) => text)).size, 1);
  assert.equal(replies.filter(({ headers }) => headers['idempotent-replayed'] === undefined).length, 1);
  assert.equal((await server.ok('GET', '/db/race/counter/c')).Value, 1);
});

test('idempotency: ids of one account mean nothing to another', async () => {
  await server.batch({ IdempotencyIDs: 'a', Atomic: { Key: 'c', Add: 1 } }, 'own');
  await server.batch({ IdempotencyIDs: 'a', Atomic: { Key: 'c', Add: 2 } }, 'foreign');
});
