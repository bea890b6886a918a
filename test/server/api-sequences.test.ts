/** Sequences: start at 1, no gaps, blocks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

test('sequences: start at 1 and count by one; n reserves a block', async () => {
  assert.partialDeepStrictEqual(await server.ok('POST', '/db/s/sequence/a'), { Key: 'a', Value: 1, From: 1, To: 1 });
  assert.partialDeepStrictEqual(await server.ok('POST', '/db/s/sequence/a?n=10'), { From: 2, To: 11 });
  assert.partialDeepStrictEqual(await server.ok('POST', '/db/s/sequence/a'), { From: 12, To: 12 });
  assert.equal((await server.ok('GET', '/db/s/sequence/a')).Value, 12);
});

test('sequences: what many clients take has no gap and no repetition', async () => {
  const blocks = await Promise.all(
    Array.from({ length: 100 }, (_, i) => server.ok('POST', `/db/gap/sequence/a?n=${1 + (i % 3)}`)),
  );
  let next = 1;
  for (const { From, To } of blocks.toSorted((a, b) => a.From - b.From)) {
    assert.equal(From, next);
    next = To + 1;
  }
  assert.equal((await server.ok('GET', '/db/gap/sequence/a')).Value, next - 1);
});

test('sequences: a call that fails consumes nothing', async () => {
  await server.ok('POST', '/db/fail/sequence/a');
  await server.fails('overflow', 'POST', `/db/fail/sequence/a?n=${2 ** 53 - 1}`);
  await server.fails('invalid', 'POST', '/db/fail/sequence/a?n=0');
  assert.equal((await server.ok('POST', '/db/fail/sequence/a')).Value, 2);
});

test('sequences: reading one that was never used is 404; a reset begins at 1 again', async () => {
  await server.fails('not_found', 'GET', '/db/reset/sequence/a');
  await server.ok('POST', '/db/reset/sequence/a?n=5');
  assert.equal((await server.ok('DELETE', '/db/reset/sequence/a')).Value, 0);
  await server.fails('not_found', 'GET', '/db/reset/sequence/a');
  assert.equal((await server.ok('POST', '/db/reset/sequence/a')).Value, 1);
});

test('sequences: the header Idempotency-Key makes asking again safe', async () => {
  const headers = { 'idempotency-key': 'once' };
  const first = await server.ok('POST', '/db/safe/sequence/a', undefined, { headers });
  const again = await server.call('POST', '/db/safe/sequence/a', undefined, { headers });
  assert.deepEqual(again.body, first);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal((await server.ok('GET', '/db/safe/sequence/a')).Value, 1);
});
