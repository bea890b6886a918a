/** Long polls: one key, several keys, everything below a prefix. Streams are in `api-stream.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeyEvent } from '../support/reply-body.ts';
import { eventually, isPending, ServerUnderTest, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

test('watch: nothing within Wait is 204, after that long', async () => {
  const { Version } = await server.ok('POST', '/db/none/kv/k', 1);
  const startedAt = performance.now();
  const reply = await server.call('POST', '/watch/none', { ID: 'k', Version, Wait: 0.2 });
  const waited = performance.now() - startedAt;
  assert.equal(reply.status, 204);
  assert.equal(reply.text, '');
  assert(waited >= 195 && waited < 1500, `waited ${waited} ms`);
  assert.equal((await server.call('POST', '/watch/none', { ID: 'k', Version, Wait: 0 })).status, 204);
  assert.equal(
    (await server.call('POST', '/watch/none', { ID: 'absent', Wait: 0 })).status,
    204,
    'Version 0 by default',
  );
});

test('watch: answers within milliseconds of the change, with the value', async () => {
  const latencies: number[] = [];
  let version = 0;
  for (let i = 0; i < 10; i += 1) {
    const watch = server
      .ok('POST', '/watch/fast', { ID: 'k', Version: version })
      .then((body) => ({ body, at: performance.now() }));
    await server.watchers(1);
    const at = performance.now();
    const set = await server.ok('POST', '/db/fast/kv/k', { i });
    const seen = await watch;
    assert.deepEqual(seen.body, { Key: 'k', Version: set.Version, Value: { i }, Rev: set.Rev });
    latencies.push(seen.at - at);
    version = set.Version;
  }
  const typical = latencies.toSorted((a, b) => a - b)[5] ?? Infinity;
  assert(typical < 500, `typically ${typical} ms`);
});

test('watch: a deletion is told, and the version to wait with for the return', async () => {
  const { Version } = await server.ok('POST', '/db/del/kv/k', 1);
  const watch = server.ok('POST', '/watch/del', { ID: 'k', Version });
  await server.watchers(1);
  const { Rev } = await server.ok('DELETE', '/db/del/kv/k');
  assert.deepEqual(await watch, { Key: 'k', Version: 0, Deleted: true, Rev });
  assert.partialDeepStrictEqual(await server.ok('POST', '/watch/del', { ID: 'k', Version }), {
    Key: 'k',
    Version: 0,
    Deleted: true,
  });
  const back = server.ok('POST', '/watch/del', { ID: 'k', Version: 0 });
  await server.watchers(1);
  await server.ok('POST', '/db/del/kv/k', 2);
  assert.equal((await back).Value, 2);
});

test('watch: an expiry is a change like any other', async () => {
  const { Version } = await server.ok('POST', '/db/ttl/kv/k?ttl=0.1', 1);
  const { TillMs } = await server.ok('GET', '/db/ttl/kv/k');
  const seen = await server.ok('POST', '/watch/ttl', { ID: 'k', Version, Wait: 10 });
  assert.partialDeepStrictEqual(seen, { Key: 'k', Version: 0, Deleted: true });
  assert(Date.now() - TillMs < 1000, 'within a second');
});

test('watch: of several keys, the first that differs answers', async () => {
  const set = await server.batch(
    {
      KVSet: [
        { Key: 'a', Value: 1 },
        { Key: 'b', Value: 1 },
      ],
    },
    'several',
  );
  const at = (ID: string, Version = set.Rev): object => ({ ID, Version });
  assert.partialDeepStrictEqual(await server.ok('POST', '/watch/several', { IDs: [at('a'), at('b', 3)] }), {
    Key: 'b',
    Version: set.Rev,
  });
  const watch = server.ok('POST', '/watch/several', { IDs: [at('a'), at('b'), at('c', 0)] });
  await server.watchers(1);
  assert(await isPending(watch));
  await server.ok('POST', '/db/several/kv/c', '"new"');
  assert.partialDeepStrictEqual(await watch, { Key: 'c', Value: 'new' });
  assert.equal((await server.call('POST', '/watch/several', { IDs: [at('a'), at('b')], Wait: 0.05 })).status, 204);
  assert.equal((await server.call('POST', '/watch/several', { IDs: at('a'), Wait: 0 })).status, 204, 'a list of one');
});

test('watch: thousands wait for one key, and all are answered', async () => {
  const count = 2000;
  const watches = Array.from({ length: count }, () => server.ok('POST', '/watch/many', { ID: 'k', Version: 0 }));
  await server.watchers(count);
  const { Version } = await server.ok('POST', '/db/many/kv/k', '"for all"');
  for (const { Value, Version: seen } of await Promise.all(watches))
    assert.deepEqual([Value, seen], ['for all', Version]);
  await server.watchers(0);
});

test('watch: the watcher of a client that disconnects is removed', async () => {
  const hangUp = new AbortController();
  const gone = [
    server.call('POST', '/watch/gone', { ID: 'k' }, { signal: hangUp.signal }),
    server.call('POST', '/watch/gone', { Prefix: '' }, { signal: hangUp.signal }),
  ];
  await server.watchers(2);
  hangUp.abort();
  await Promise.allSettled(gone);
  await server.watchers(0);
  await eventually('no key is watched', async () => (await server.metric('dragonlock_shard_watched_keys')) === 0);
});

test('watch a prefix: every change after the cursor, in order, whole batches', async () => {
  const start = await server.ok('GET', '/db/prefix/kv?prefix=p/');
  const one = await server.batch(
    {
      KVSet: [
        { Key: 'p/a', Value: 1 },
        { Key: 'q', Value: 1 },
        { Key: 'p/b', Value: 1 },
      ],
    },
    'prefix',
  );
  const two = await server.batch({ KVSet: { Key: 'p/a', Value: 2 }, Atomic: { Key: 'p/c', Add: 1 } }, 'prefix');
  await server.batch({ KVSet: { Key: 'p/a', Value: 'foreign' } }, 'prefix2');
  const three = await server.batch(
    {
      KVSet: [
        { Key: 'p/a', Delete: true },
        { Key: 'p/d', Value: 3 },
      ],
    },
    'prefix',
  );
  const all = await server.ok('POST', '/watch/prefix', { Prefix: 'p/', After: start.Rev });
  assert.deepEqual(all.Events, [
    { Key: 'p/a', Version: one.Rev, Value: 1, Rev: one.Rev },
    { Key: 'p/b', Version: one.Rev, Value: 1, Rev: one.Rev },
    { Key: 'p/a', Version: two.Rev, Value: 2, Rev: two.Rev },
    { Key: 'p/a', Version: 0, Deleted: true, Rev: three.Rev },
    { Key: 'p/d', Version: three.Rev, Value: 3, Rev: three.Rev },
  ]);
  assert(all.Rev >= three.Rev);
  const first = await server.ok('POST', '/watch/prefix', { Prefix: 'p/', After: start.Rev, Limit: 1 });
  assert.deepEqual(
    first.Events.map(({ Rev }) => Rev),
    [one.Rev, one.Rev],
    'a batch is never split',
  );
  assert.equal(first.Rev, one.Rev);
  const second = await server.ok('POST', '/watch/prefix', { Prefix: 'p/', After: first.Rev, Limit: 1 });
  assert.deepEqual(
    second.Events.map(({ Rev }) => Rev),
    [two.Rev],
  );
});

test('watch a prefix: waits for the next change; nothing within Wait answers how far it has seen', async () => {
  const quiet = await server.ok('POST', '/watch/waits', { Prefix: 'p/', Wait: 0.05 });
  assert.deepEqual(quiet.Events, []);
  const watch = server.ok('POST', '/watch/waits', { Prefix: 'p/', After: quiet.Rev });
  await server.watchers(1);
  await server.batch({ KVSet: { Key: 'other', Value: 1 } }, 'waits');
  assert(await isPending(watch), 'what is not below the prefix does not answer');
  const { Rev } = await server.batch({ KVSet: { Key: 'p/x', Value: 1 } }, 'waits');
  assert.partialDeepStrictEqual(await watch, { Events: [{ Key: 'p/x', Rev }], Rev });
  const ahead = await server.fails('invalid', 'POST', '/watch/waits', { Prefix: 'p/', After: Rev + 1_000_000 });
  assert.match(ahead.Message, /ahead/);
});

test('watch a prefix: list, then watch: a reader misses nothing, whatever is written meanwhile', async () => {
  const writes = 300;
  const acknowledged = new Map<number, string>();
  const write = async (writer: number): Promise<void> => {
    for (let i = 0; i < writes / 3; i += 1) {
      const { Rev } = await server.batch({ KVSet: { Key: `w/${writer}/${i % 10}`, Value: i } }, 'follow');
      acknowledged.set(Rev, `w/${writer}/${i % 10}`);
    }
  };
  const list = await server.ok('GET', '/db/follow/kv?prefix=w/');
  const writing = Promise.all([write(0), write(1), write(2)]);
  const events: KeyEvent[] = [];
  let after = list.Rev;
  while (events.length < writes) {
    const page = await server.ok('POST', '/watch/follow', { Prefix: 'w/', After: after, Limit: 7, Wait: 5 });
    assert(page.Rev > after, 'the cursor moves');
    for (const { Rev } of page.Events) assert(Rev > after && Rev <= page.Rev, 'events lie in (After, Rev]');
    events.push(...page.Events);
    after = page.Rev;
  }
  await writing;
  assert.deepEqual(
    events.map(({ Rev, Key }) => [Rev, Key]),
    [...acknowledged].toSorted(([a], [b]) => a - b),
  );
});

test('watch a prefix: a cursor resumes over a restart, after a stop and after a crash', async (t) => {
  const other = await ServerUnderTest.forTest(t);
  const start = await other.ok('GET', '/db/acc/kv');
  const revisions: number[] = [];
  for (const how of ['stop', 'kill'] as const) {
    for (let i = 0; i < 3; i += 1) revisions.push((await other.ok('POST', `/db/acc/kv/k${i}`, i)).Rev);
    const half = await other.ok('POST', '/watch/acc', { Prefix: 'k', After: start.Rev, Limit: 2 });
    await other.restart(how);
    revisions.push((await other.ok('POST', '/db/acc/kv/k-after', { how })).Rev);
    const rest = await other.ok('POST', '/watch/acc', { Prefix: 'k', After: half.Rev });
    assert.deepEqual(
      [...half.Events, ...rest.Events].map(({ Rev }) => Rev),
      revisions,
      `after ${how}`,
    );
  }
});

const smallJournal = `
limits: { body_bytes_max: 262144, value_bytes_max: 131072, memtable_bytes_max: 1048576 }
journal: { segment_bytes: 1048576, keep_bytes: 0 }
`;

test('watch a prefix: a cursor older than what is kept is answered 410, with where to resume', async (t) => {
  const other = await ServerUnderTest.forTest(t, { config: smallJournal });
  const start = await other.ok('GET', '/db/acc/kv');
  const value = 'x'.repeat(100_000);
  let last = start.Rev;
  await eventually('the oldest segment is gone', async () => {
    for (let i = 0; i < 10; i += 1) last = (await other.ok('POST', `/db/acc/kv/k${i}`, { i, value })).Rev;
    return (await other.metric('dragonlock_journal_oldest_revision')) > start.Rev + 1;
  });
  const gone = await other.fails('compacted', 'POST', '/watch/acc', { Prefix: 'k', After: start.Rev, Wait: 5 });
  assert(gone.Oldest > start.Rev && gone.Oldest < last);
  await other.fails('compacted', 'GET', `/watch/acc?prefix=k&after=${start.Rev}`);
  const resumed = await other.ok('POST', '/watch/acc', { Prefix: 'k', After: gone.Oldest, Wait: 5 });
  assert.equal(resumed.Events[0]?.Rev, gone.Oldest + 1, 'what is named can be resumed from, without a gap');
  await other.restart('kill', {});
  assert.equal(
    (await other.fails('compacted', 'POST', '/watch/acc', { Prefix: 'k', After: start.Rev })).Code,
    'compacted',
  );
});
