/** Counters: in batches (`Atomic`) and over REST. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();
const largest = 2 ** 53 - 1;

test('counters: Add, Set, Max and Min answer the new value and the old one', async () => {
  const steps: readonly (readonly [op: object, value: number])[] = [
    [{ Add: 5 }, 5],
    [{ Add: -7 }, -2],
    [{ Add: 0 }, -2],
    [{ Set: 10 }, 10],
    [{ Set: 0 }, 0],
    [{ Max: 3 }, 3],
    [{ Max: 1 }, 3],
    [{ Min: 2 }, 2],
    [{ Min: 8 }, 2],
    [{ Set: 0, IfEq: 2 }, 0],
    [{ Set: 4, IfEq: 0 }, 4],
  ];
  let old = 0;
  for (const [op, value] of steps) {
    const { Atomic } = await server.batch({ Atomic: { Key: 'c', ...op } }, 'ops');
    assert.deepEqual(Atomic, [{ Key: 'c', Value: value, Old: old }], JSON.stringify(op));
    old = value;
  }
});

test('counters: a mismatch of IfEq is refused with the current value', async () => {
  await server.batch({ Atomic: { Key: 'c', Set: 4 } }, 'ifeq');
  const refused = await server.batchFails('precondition_failed', { Atomic: { Key: 'c', Set: 5, IfEq: 3 } }, 'ifeq');
  assert.partialDeepStrictEqual(refused, { Key: 'c', Value: 4, Failed: [{ Field: 'Atomic[0]', Key: 'c', Value: 4 }] });
  await server.batch({ Atomic: { Key: 'absent', Set: 1, IfEq: 0 } }, 'ifeq');
});

test('counters: what would leave ±(2^53−1) overflows, and changes nothing', async () => {
  await server.batch(
    {
      Atomic: [
        { Key: 'high', Set: largest },
        { Key: 'low', Set: -largest },
      ],
    },
    'over',
  );
  await server.batchFails(
    'overflow',
    {
      Atomic: [
        { Key: 'other', Add: 1 },
        { Key: 'high', Add: 1 },
      ],
    },
    'over',
  );
  await server.batchFails('overflow', { Atomic: { Key: 'low', Add: -largest } }, 'over');
  await server.fails('overflow', 'POST', '/db/over/counter/high');
  assert.equal((await server.ok('GET', '/db/over/counter/high')).Value, largest);
  await server.fails('not_found', 'GET', '/db/over/counter/other');
  await server.batch({ Atomic: { Key: 'high', Add: -1 } }, 'over');
});

test('counters over REST: read, add, reset', async () => {
  await server.fails('not_found', 'GET', '/db/rest/counter/c');
  assert.partialDeepStrictEqual(await server.ok('POST', '/db/rest/counter/c'), { Key: 'c', Value: 1, Old: 0 });
  assert.equal((await server.ok('POST', '/db/rest/counter/c?add=41')).Value, 42);
  assert.equal((await server.ok('POST', '/db/rest/counter/c?add=-50')).Value, -8);
  assert.partialDeepStrictEqual(await server.ok('GET', '/db/rest/counter/c'), { Key: 'c', Value: -8 });
  assert.partialDeepStrictEqual(await server.ok('DELETE', '/db/rest/counter/c'), { Value: 0, Old: -8 });
  await server.fails('not_found', 'GET', '/db/rest/counter/c');
  await server.ok('DELETE', '/db/rest/counter/c');
});

test('counters: no increment of many clients is lost', async () => {
  const replies = await Promise.all(Array.from({ length: 200 }, () => server.ok('POST', '/db/many/counter/c')));
  assert.deepEqual(
    replies.map(({ Value }) => Value as number).toSorted((a, b) => a - b),
    Array.from({ length: 200 }, (_, i) => i + 1),
  );
});

test('counters: a counter, a sequence, a key and a lock of the same name are four things', async () => {
  await server.ok('POST', '/db/names/counter/x?add=7');
  await server.ok('POST', '/db/names/sequence/x?n=3');
  await server.ok('POST', '/db/names/kv/x', '"v"');
  await server.ok('POST', '/db/names/lock/x?id=o');
  assert.equal((await server.ok('GET', '/db/names/counter/x')).Value, 7);
  assert.equal((await server.ok('GET', '/db/names/sequence/x')).Value, 3);
  assert.equal((await server.ok('GET', '/db/names/kv/x')).Value, 'v');
  assert.equal((await server.ok('GET', '/db/names/lock/x')).Locked, true);
});
