/** `POST /db/:acc`: all of it at once, all or nothing, and arrays of batches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplyBody } from '../support/reply-body.ts';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

test('batch: a reply has each part that was asked for, and no other', async () => {
  const read = await server.batch({ KVGet: 'nothing' }, 'parts');
  assert.deepEqual(read, { KV: [{ Key: 'nothing', Version: 0 }], Rev: read.Rev });
  const set = await server.batch({ KVSet: { Key: 'a', Value: null } }, 'parts');
  assert.deepEqual(set, { KVSet: [{ Key: 'a', Version: set.Rev }], Rev: set.Rev });
  const counted = await server.batch({ Atomic: { Key: 'c', Add: 2 } }, 'parts');
  assert.deepEqual(counted, { Atomic: [{ Key: 'c', Value: 2, Old: 0 }], Rev: counted.Rev });
  const locked = await server.batch({ LockID: 'l', LockDur: 1.5 }, 'parts');
  assert.deepEqual(Object.keys(locked).toSorted(), ['Lock', 'Now', 'Rev', 'TTLMs', 'Till', 'TillMs']);
  assert.equal(locked.TTLMs, 1500);
  assert.equal(locked.TillMs, locked.Now + 1500);
  assert.equal(locked.Till, Math.ceil(locked.TillMs / 1000));
});

test('batch: everything in one call is one commit', async () => {
  const reply = await server.batch(
    {
      LockID: 'l',
      LockDur: 30,
      Atomic: [
        { Key: 'c', Add: 5 },
        { Key: 'c', Add: 5 },
      ],
      KVGet: ['a', { Key: 'b' }],
      KVSet: [
        { Key: 'a', Value: 1 },
        { Key: 'b', Value: [true, 'x', null, { y: 1.5 }] },
      ],
    },
    'one',
  );
  assert.equal(reply.Lock, reply.Rev, 'the fence is the revision of its commit');
  assert.deepEqual(reply.Atomic, [
    { Key: 'c', Value: 5, Old: 0 },
    { Key: 'c', Value: 10, Old: 5 },
  ]);
  assert.deepEqual(
    reply.KV,
    [
      { Key: 'a', Version: 0 },
      { Key: 'b', Version: 0 },
    ],
    'KVGet shows the state before KVSet',
  );
  assert.deepEqual(reply.KVSet, [
    { Key: 'a', Version: reply.Rev },
    { Key: 'b', Version: reply.Rev },
  ]);
  const { KV } = await server.batch({ KVGet: ['b', 'a'] }, 'one');
  assert.deepEqual(KV, [
    { Key: 'b', Version: reply.Rev, Value: [true, 'x', null, { y: 1.5 }] },
    { Key: 'a', Version: reply.Rev, Value: 1 },
  ]);
});

test('batch: any failed condition applies nothing, and lists everything that failed', async () => {
  const base = await server.batch(
    {
      KVSet: [
        { Key: 'a', Value: 1 },
        { Key: 'b', Value: 1 },
      ],
    },
    'none',
  );
  const lock = await server.batch({ LockID: 'mine', LockDur: 30 }, 'none');
  const failed = await server.batchFails(
    'lock_lost',
    {
      LockID: 'free',
      LockDur: 30,
      UnlockID: 'mine',
      Unlock: lock.Lock,
      Guard: { LockID: 'mine', Lock: 4_000_000 },
      Check: [
        { Key: 'a', Version: base.Rev },
        { Key: 'b', Version: 7_000_000 },
      ],
      Atomic: [
        { Key: 'c', Add: 1 },
        { Key: 'd', Set: 1, IfEq: 9 },
      ],
      KVSet: [
        { Key: 'a', Value: 2 },
        { Key: 'new', Value: 2, Version: 5 },
      ],
    },
    'none',
  );
  assert.deepEqual(
    failed.Failed.map(({ Field, Code }) => [Field, Code]),
    [
      ['Guard[0]', 'lock_lost'],
      ['Check[1]', 'version_mismatch'],
      ['KVSet[1]', 'version_mismatch'],
      ['Atomic[1]', 'precondition_failed'],
    ],
  );
  const { KV } = await server.batch({ KVGet: ['a', 'b', 'new'], Check: [] }, 'none');
  assert.deepEqual(
    KV.map(({ Version }) => Version),
    [base.Rev, base.Rev, 0],
  );
  await server.fails('not_found', 'GET', '/db/none/counter/c');
  assert.equal((await server.ok('GET', '/db/none/lock/free')).Locked, false);
  assert.equal((await server.ok('GET', `/db/none/lock/mine?fence=${lock.Lock}`)).Locked, true);
});

test('batch: each condition holds or refuses by itself', async () => {
  const { Rev } = await server.batch({ KVSet: { Key: 'k', Value: 1 } }, 'cond');
  const { Lock } = await server.batch({ LockID: 'l', LockDur: 30 }, 'cond');
  await server.batch({ Check: { Key: 'k', Version: Rev }, Guard: { LockID: 'l', Lock: String(Lock) } }, 'cond');
  await server.batch({ Check: { Key: 'absent', Version: 0 } }, 'cond');
  assert.partialDeepStrictEqual(
    await server.batchFails('version_mismatch', { Check: { Key: 'k', Version: 0 } }, 'cond'),
    {
      Failed: [{ Key: 'k', Version: Rev }],
    },
  );
  await server.batchFails('version_mismatch', { Check: { Key: 'absent', Version: 1 } }, 'cond');
  await server.batchFails(
    'lock_lost',
    { Guard: { LockID: 'l', Lock: Lock + 1 }, KVSet: { Key: 'k', Value: 2 } },
    'cond',
  );
  await server.batchFails('lock_lost', { Guard: { LockID: 'never', Lock: 1 } }, 'cond');
  assert.equal((await server.ok('GET', '/db/cond/kv/k')).Value, 1);
});

test('batch: the same key set twice: the last wins, in one event', async () => {
  const start = await server.ok('GET', '/db/twice/kv');
  const set = await server.batch(
    {
      KVSet: [
        { Key: 'k', Value: 1 },
        { Key: 'k', Value: 2 },
      ],
    },
    'twice',
  );
  const { Events } = await server.ok('POST', '/watch/twice', { Prefix: '', After: start.Rev, Wait: 5 });
  assert.deepEqual(Events, [{ Key: 'k', Version: set.Rev, Value: 2, Rev: set.Rev }]);
  const gone = await server.batch(
    {
      KVSet: [
        { Key: 'k', Value: 3 },
        { Key: 'k', Delete: true },
      ],
    },
    'twice',
  );
  assert.equal(gone.KVSet[1]?.Version, 0);
  await server.fails('not_found', 'GET', '/db/twice/kv/k');
});

test('batch: accounts never see each other', async () => {
  await server.batch(
    { KVSet: { Key: 'k', Value: 'a' }, Atomic: { Key: 'c', Add: 1 }, LockID: 'l', LockDur: 30 },
    'acc-a',
  );
  const other = await server.batch(
    { KVGet: 'k', Atomic: { Key: 'c', Add: 1 }, LockID: 'l', LockDur: 30, KVSet: { Key: 'k', Value: 'b', Version: 0 } },
    'acc-b',
  );
  assert.deepEqual(other.KV, [{ Key: 'k', Version: 0 }]);
  assert.equal(other.Atomic[0]?.Value, 1);
  assert.equal((await server.ok('GET', '/db/acc-a/kv/k')).Value, 'a');
});

test('batch: an array runs each item as its own request, in order', async () => {
  const reply = await server.call('POST', '/db/arr', [
    { KVSet: { Key: 'k', Value: 1, Version: 0 } },
    { KVSet: { Key: 'k', Value: 2, Version: 0 } },
    { KVGet: 'k' },
    { Atomic: { Key: 'c', Add: 1 } },
    { Atomic: { Key: 'c', Add: 1 } },
    { LockID: 'l', LockDur: 30 },
    { LockID: 'l', LockDur: 30 },
  ]);
  assert.equal(reply.status, 200);
  const items = JSON.parse(reply.text) as ReplyBody[];
  assert.deepEqual(
    items.map(({ Status }) => Status),
    [200, 409, 200, 200, 200, 200, 409],
  );
  assert.equal(items[1]?.Code, 'version_mismatch');
  assert(items[1]?.RequestID.length > 0);
  assert.equal(items[2]?.KV[0]?.Value, 1);
  assert.deepEqual([items[3]?.Atomic[0]?.Value, items[4]?.Atomic[0]?.Value], [1, 2]);
  assert.equal(items[6]?.Code, 'not_locked');
  const revisions = items.filter(({ Status }) => Status === 200).map(({ Rev }) => Rev);
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => a - b),
    'in order',
  );
});

test('batch: an array with one item that is malformed is refused as a whole', async () => {
  const refused = await server.batchFails(
    'invalid',
    [{ KVSet: { Key: 'x', Value: 1 } }, { KVSet: { Key: 7, Value: 1 } }],
    'arr2',
  );
  assert.match(refused.Message, /^\[1\]\.KVSet\[0\]\.Key: /);
  const waiting = await server.batchFails(
    'invalid',
    [{ KVSet: { Key: 'x', Value: 1 } }, { LockID: 'l', LockDur: 1, LockWait: 1 }],
    'arr2',
  );
  assert.match(waiting.Message, /^\[1\]\.LockWait: /);
  await server.batchFails('invalid', [], 'arr2');
  await server.batchFails('invalid', [[{ KVGet: 'x' }]], 'arr2');
  await server.fails('not_found', 'GET', '/db/arr2/kv/x');
});

test('batch: an array of 1000 goes through in one round trip; one more is too many', async () => {
  const items = Array.from({ length: 1000 }, (_, i) => ({ Atomic: { Key: `c${i % 7}`, Add: 1 } }));
  const reply = await server.call('POST', '/db/big', items);
  const statuses = (JSON.parse(reply.text) as ReplyBody[]).map(({ Status }) => Status);
  assert.deepEqual([...new Set(statuses)], [200]);
  assert.equal((await server.ok('GET', '/db/big/counter/c0')).Value, 143);
  await server.batchFails('too_large', [...items, { KVGet: 'x' }], 'big');
});
