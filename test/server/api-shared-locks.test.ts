/** Locks that several hold, over REST and in batches: readers and permits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPending, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

test('readers over REST: together, behind a writer that waits, and freed with it', async () => {
  const first = await server.call('POST', '/db/rest/lock/a?read=true&owner=r1&dur=60');
  assert.equal(first.status, 200);
  const second = await server.call('POST', '/db/rest/lock/a?read=true&owner=r2&dur=60');
  assert.ok(second.body.Lock > first.body.Lock);
  const seen = await server.call('GET', '/db/rest/lock/a');
  assert.deepEqual([seen.body['Locked'], seen.body['RLock'], seen.body['Holders']], [true, true, 2]);
  const writer = server.call('POST', '/db/rest/lock/a?owner=w&wait=60');
  await server.waiters(1);
  const reader = server.call('POST', '/db/rest/lock/a?read=true&owner=r3&wait=60');
  await server.waiters(2);
  await server.call('DELETE', '/db/rest/lock/a?owner=r1');
  assert.ok(await isPending(writer));
  await server.call('DELETE', `/db/rest/lock/a?lock=${second.body.Lock}`);
  const { body } = await writer;
  assert.ok(await isPending(reader));
  await server.call('DELETE', `/db/rest/lock/a?lock=${body.Lock}`);
  assert.equal((await reader).status, 200);
  const listed = await server.call('GET', '/db/rest/lock');
  assert.deepEqual(listed.body['Locks'], [{ LockID: 'a', RLock: true, Holders: 1, Waiters: 0 }]);
});

test('permits in a batch: so many as there are, each with its own fencing token', async () => {
  const take = { LockID: 'l', LockDur: 60, LockLimit: 2 };
  const one = await server.batch({ ...take, LockOwner: 'a' }, 'permits');
  const two = await server.batch({ ...take, LockOwner: 'b' }, 'permits');
  assert.deepEqual([one['Free'], two['Free']], [1, 0]);
  const full = await server.call('POST', '/db/permits', { ...take, LockOwner: 'c' });
  assert.equal(full.body.Code, 'not_locked');
  assert.deepEqual(full.body.Holder, { LockLimit: 2, Holders: 2, Free: 0 });
  const guarded = { Guard: { LockID: 'l', Lock: one.Lock }, KVSet: { Key: 'k', Value: 1 } };
  await server.batch(guarded, 'permits');
  const extended = await server.batch({ LockID: 'l', UnlockID: 'l', Unlock: two.Lock, LockDur: 90 }, 'permits');
  assert.equal(extended.Lock, two.Lock);
  await server.batch({ UnlockID: 'l', Unlock: one.Lock }, 'permits');
  assert.equal((await server.call('POST', '/db/permits', guarded)).body.Code, 'lock_lost');
  const mismatch = await server.call('POST', '/db/permits', { ...take, LockLimit: 3, LockOwner: 'c', LockWait: 5 });
  assert.equal(mismatch.body.Code, 'limit_mismatch');
});

test('a request that takes the same share twice gets one, also under an idempotency id', async () => {
  const take = {
    LockID: 'l',
    LockDur: 60,
    LockLimit: 2,
    LockOwner: 'a',
    IdempotencyIDs: ['i'],
    IdempotencyMode: 'replay',
  };
  const first = await server.batch(take, 'twice');
  const again = await server.batch(take, 'twice');
  assert.equal(again.Lock, first.Lock);
  assert.equal(again['Free'], 1);
});

for (const [what, body, message] of [
  ['no owner', { RLock: true }, /LockOwner: missing/],
  ['no owner', { LockLimit: 2 }, /LockOwner: missing/],
  ['both', { RLock: true, LockLimit: 2, LockOwner: 'o' }, /LockLimit: given beside RLock/],
  ['one permit', { LockLimit: 1, LockOwner: 'o' }, /LockLimit: expected an integer from 2 to 10000/],
  ['too many permits', { LockLimit: 10_001, LockOwner: 'o' }, /LockLimit: expected an integer from 2 to 10000/],
  ['half a permit', { LockLimit: 2.5, LockOwner: 'o' }, /LockLimit: expected an integer/],
  ['a word', { RLock: 'yes', LockOwner: 'o' }, /RLock: expected true or false/],
  ['an extension', { RLock: true, LockOwner: 'o', UnlockID: 'l', Unlock: 7 }, /RLock: given for an extension/],
] as const) {
  test(`a share of a lock with ${what} is refused`, async () => {
    const reply = await server.call('POST', '/db/bad', { LockID: 'l', LockDur: 5, ...body });
    assert.equal(reply.status, 400);
    assert.match(reply.body.Message, message);
  });
}

for (const [query, message] of [
  ['read=true', /\?owner: missing/],
  ['limit=5', /\?owner: missing/],
  ['read=true&limit=5&owner=o', /\?limit: given beside \?read=true/],
  ['read=1&owner=o', /read/],
  ['limit=1&owner=o', /limit/],
] as const) {
  test(`?${query} is refused`, async () => {
    const reply = await server.call('POST', `/db/bad/lock/l?${query}`);
    assert.equal(reply.status, 400);
    assert.match(reply.body.Message, message);
  });
}

test('members of a share without LockID, and parameters of a mutex, are refused', async () => {
  assert.match((await server.call('POST', '/db/bad', { RLock: true })).body.Message, /RLock: given without LockID/);
  assert.equal((await server.call('POST', '/db/bad/mlock/l?read=true&owner=o')).status, 400);
});
