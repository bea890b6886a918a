/** `GET /db/:acc/kv` and `GET /db/:acc/lock`: ordered pages that miss nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplyBody } from '../support/reply-body.ts';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

/** All pages of a list, following `After`. */
async function pages(target: string): Promise<ReplyBody[]> {
  const all: ReplyBody[] = [];
  for (let after = ''; ; ) {
    const page = await server.ok('GET', `${target}${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`);
    all.push(page);
    if (!page.More) return all;
    after = page.After;
  }
}

test('lists: keys come in the order of their bytes', async () => {
  const keys = ['b', 'a', 'a/2', 'a/1', 'Z', 'é', 'z', '\ue000', '\ud83d\ude00', 'aa', '10', '9'];
  await server.batch({ KVSet: keys.map((Key, i) => ({ Key, Value: i })) }, 'order');
  const { KV, More } = await server.ok('GET', '/db/order/kv');
  assert.deepEqual(
    KV.map(({ Key }) => Key),
    keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
  assert.equal(More, undefined);
  for (const { Key, Value } of KV) assert.equal(keys[Value as number], Key);
});

test('lists: pages of any size give every key once', async () => {
  const keys = Array.from({ length: 25 }, (_, i) => `k${String(i).padStart(2, '0')}`);
  await server.batch({ KVSet: keys.map((Key) => ({ Key, Value: Key })) }, 'pages');
  for (const limit of [1, 3, 24, 25, 26]) {
    const all = await pages(`/db/pages/kv?prefix=k&limit=${limit}`);
    assert.deepEqual(
      all.flatMap(({ KV }) => KV.map(({ Key }) => Key)),
      keys,
      `limit ${limit}`,
    );
    assert(all.every(({ KV }) => KV.length <= limit));
  }
  assert.equal((await server.ok('GET', '/db/pages/kv?limit=1')).More, true);
});

test('lists: a prefix is a prefix, of bytes and nothing else', async () => {
  await server.batch({ KVSet: ['a', 'ab', 'a/b', 'b', 'ä'].map((Key) => ({ Key, Value: 1 })) }, 'prefix');
  const keysOf = async (query: string): Promise<string[]> =>
    (await server.ok('GET', `/db/prefix/kv?${query}`)).KV.map(({ Key }) => Key);
  assert.deepEqual(await keysOf('prefix=a'), ['a', 'a/b', 'ab']);
  assert.deepEqual(await keysOf('prefix=a%2F'), ['a/b']);
  assert.deepEqual(await keysOf(`prefix=${encodeURIComponent('ä')}`), ['ä']);
  assert.deepEqual(await keysOf('prefix=a&after=a'), ['a/b', 'ab']);
  assert.deepEqual(await keysOf('prefix=nothing'), []);
});

test('lists: an account without keys has an empty list', async () => {
  assert.deepEqual((await server.ok('GET', '/db/empty/kv')).KV, []);
  assert.deepEqual((await server.ok('GET', '/db/empty/lock')).Locks, []);
});

test('lists: locks that are held, with their holders and waiters', async () => {
  for (const id of ['p/1', 'p/2', 'q'])
    await server.batch({ LockID: id, LockDur: 30, LockMeta: id, LockOwner: 'secret' }, 'locks');
  const { Lock } = await server.batch({ LockID: 'p/free', LockDur: 30 }, 'locks');
  await server.batch({ UnlockID: 'p/free', Unlock: Lock }, 'locks');
  const hangUp = new AbortController();
  const waiting = server.batch({ LockID: 'p/2', LockDur: 30, LockWait: 30 }, 'locks', { signal: hangUp.signal });
  await server.waiters(1);
  const reply = await server.call('GET', '/db/locks/lock?prefix=p/');
  assert.partialDeepStrictEqual(reply.body.Locks, [
    { LockID: 'p/1', Meta: 'p/1', Waiters: 0 },
    { LockID: 'p/2', Meta: 'p/2', Waiters: 1 },
  ]);
  assert.equal(reply.body.Locks.length, 2);
  assert(!reply.text.includes('secret'));
  assert.deepEqual(
    (await server.ok('GET', '/db/locks/lock')).Locks.map(({ LockID }) => LockID),
    ['p/1', 'p/2', 'q'],
  );
  const all = await pages('/db/locks/lock?prefix=&limit=1');
  assert.deepEqual(
    all.flatMap(({ Locks }) => Locks.map(({ LockID }) => LockID)),
    ['p/1', 'p/2', 'q'],
  );
  hangUp.abort();
  await assert.rejects(waiting);
  await server.waiters(0);
});

test('lists: a list is of one moment: a batch is seen whole or not at all', async () => {
  for (let i = 0; i < 30; i += 1) {
    const write = server.batch({ KVSet: ['x', 'y', 'z'].map((Key) => ({ Key, Value: i })) }, 'moment');
    const lists = await Promise.all(Array.from({ length: 5 }, () => server.ok('GET', '/db/moment/kv')));
    for (const { KV } of lists) {
      assert(new Set(KV.map(({ Version }) => Version)).size <= 1, JSON.stringify(KV));
      assert(KV.length === 0 || KV.length === 3);
    }
    await write;
  }
});
