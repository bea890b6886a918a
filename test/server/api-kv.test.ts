/** Keys and values: in batches and over REST. Lists are in `api-lists.test.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile, untilTime } from '../support/server-under-test.ts';

const server = serverForFile();

const values: readonly (readonly [name: string, value: unknown])[] = [
  ['a string', 'grüße 😀 \u2028 " \\ \n'],
  ['an empty string', ''],
  ['a number', -12.5e-3],
  ['the largest integer', 2 ** 53 - 1],
  ['the smallest integer', -(2 ** 53 - 1)],
  ['zero', 0],
  ['true', true],
  ['null', null],
  ['an empty list', []],
  ['an object', { b: 1, a: { '': [1, [2, [3]]] }, constructor: 1 }],
];

test('kv: any JSON comes back as it was', async () => {
  for (const [name, value] of values) {
    await server.ok('POST', '/db/values/kv/rest', JSON.stringify(value), {
      headers: { 'content-type': 'application/json' },
    });
    assert.deepEqual((await server.ok('GET', '/db/values/kv/rest')).Value, value, `${name} over REST`);
    await server.batch({ KVSet: { Key: 'batch', Value: value } }, 'values');
    assert.deepEqual((await server.batch({ KVGet: 'batch' }, 'values')).KV[0]?.Value, value, `${name} in a batch`);
  }
});

const keys = [
  'a',
  'app/config',
  'ü/😀',
  'a b?c#d&e=f%41',
  'a..b',
  'k'.repeat(512),
  'é'.repeat(256),
  '\u0001',
  '__proto__',
  'constructor',
];

test('kv: any key of 1 to 512 bytes works, in the path as in a batch', async () => {
  for (const [i, key] of keys.entries()) {
    const url = `/db/keys/kv/${encodeURIComponent(key)}`;
    await server.ok('POST', url, String(i));
    assert.deepEqual((await server.batch({ KVGet: key }, 'keys')).KV[0]?.Value, i, key);
    await server.batch({ KVSet: { Key: key, Value: `batch ${i}` } }, 'keys');
    assert.partialDeepStrictEqual(await server.ok('GET', url), { Key: key, Value: `batch ${i}` });
  }
  const { KV } = await server.ok('GET', '/db/keys/kv');
  assert.deepEqual(new Set(KV.map(({ Key }) => Key)), new Set(keys));
});

test('kv: text/plain is kept as a string; JSON needs no content type', async () => {
  await server.ok('POST', '/db/text/kv/t?as=text', 'plain {"x"} ü', {
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  });
  assert.equal((await server.ok('GET', '/db/text/kv/t')).Value, 'plain {"x"} ü');
  await server.ok('POST', '/db/text/kv/t?as=text', '', { headers: { 'content-type': 'text/plain' } });
  assert.equal((await server.ok('GET', '/db/text/kv/t')).Value, '');
  await server.ok('POST', '/db/text/kv/t', '{"x":1}');
  assert.deepEqual((await server.ok('GET', '/db/text/kv/t')).Value, { x: 1 });
  await server.fails('unsupported_media_type', 'POST', '/db/text/kv/t', '<x/>', {
    headers: { 'content-type': 'text/xml' },
  });
});

test('kv: Version 0 creates only, n must equal, absent is unconditional', async () => {
  const created = await server.ok('POST', '/db/ver/kv/k?ver=0', 1);
  const exists = await server.fails('version_mismatch', 'POST', '/db/ver/kv/k?ver=0', 2);
  assert.partialDeepStrictEqual(exists, { Failed: [{ Key: 'k', Version: created.Version }] });
  const second = await server.ok('POST', `/db/ver/kv/k?ver=${created.Version}`, 2);
  assert(second.Version > created.Version);
  await server.batchFails('version_mismatch', { KVSet: { Key: 'k', Value: 3, Version: created.Version } }, 'ver');
  await server.ok('POST', '/db/ver/kv/k', 4);
  await server.batchFails('version_mismatch', { KVSet: { Key: 'k', Delete: true, Version: second.Version } }, 'ver');
  assert.equal((await server.ok('GET', '/db/ver/kv/k')).Value, 4);
});

test('kv: a delete of a missing key is a no-op without Version, refused with one', async () => {
  const before = await server.ok('GET', '/db/del/kv');
  const gone = await server.batch({ KVSet: { Key: 'k', Delete: true } }, 'del');
  assert.deepEqual(gone.KVSet, [{ Key: 'k', Version: 0, Deleted: false }]);
  assert.equal((await server.ok('DELETE', '/db/del/kv/k')).Deleted, false);
  assert.equal((await server.ok('GET', '/db/del/kv')).Rev, before.Rev, 'nothing was committed');
  await server.fails('version_mismatch', 'DELETE', '/db/del/kv/k?ver=5');
});

test('kv: versions never repeat for a key, even after deletion', async () => {
  const seen = new Set<number>();
  let last = 0;
  for (let i = 0; i < 5; i += 1) {
    const { Version } = await server.ok('POST', '/db/again/kv/k?ver=0', i);
    assert(Version > last && !seen.has(Version));
    seen.add(Version);
    last = Version;
    assert.equal((await server.ok('DELETE', `/db/again/kv/k?ver=${Version}`)).Deleted, true);
  }
});

test('kv: a key with a TTL is never readable after its time, and its end is an event', async () => {
  const start = await server.ok('GET', '/db/ttl/kv');
  const set = await server.batch(
    {
      KVSet: [
        { Key: 't', Value: 1, TTL: 0.3 },
        { Key: 'stays', Value: 1 },
      ],
    },
    'ttl',
  );
  const { TillMs, Value } = await server.ok('GET', '/db/ttl/kv/t').then((read) => ({ ...read }));
  assert.equal(Value, 1);
  assert(TillMs > Date.now() - 300 && TillMs <= Date.now() + 300);
  assert.equal((await server.batch({ KVGet: 't' }, 'ttl')).KV[0]?.TillMs, TillMs);
  await untilTime(TillMs);
  const [read, list, batch] = await Promise.all([
    server.call('GET', '/db/ttl/kv/t'),
    server.ok('GET', '/db/ttl/kv'),
    server.batch({ KVGet: 't' }, 'ttl'),
  ]);
  assert.equal(read.status, 404);
  assert.deepEqual(
    list.KV.map(({ Key }) => Key),
    ['stays'],
  );
  assert.equal(batch.KV[0]?.Version, 0);
  const watched = await server.ok('POST', '/watch/ttl', { Prefix: 't', After: set.Rev, Wait: 5 });
  assert.partialDeepStrictEqual(watched.Events, [{ Key: 't', Deleted: true, Expired: true }]);
  assert(watched.Events[0]!.Rev > start.Rev);
  assert(Date.now() - TillMs < 1000, 'the event came within a second');
});

test('kv: a set without TTL clears an earlier one', async () => {
  await server.ok('POST', '/db/clear/kv/k?ttl=0.1', 1);
  const { TillMs } = await server.ok('GET', '/db/clear/kv/k');
  await server.ok('POST', '/db/clear/kv/k', 2);
  assert.equal((await server.ok('GET', '/db/clear/kv/k')).TillMs, undefined);
  await untilTime(TillMs + 50);
  assert.equal((await server.ok('GET', '/db/clear/kv/k')).Value, 2);
});

test('kv: a key that expired can be created anew in the same moment', async () => {
  await server.ok('POST', '/db/anew/kv/k?ttl=1', 1);
  const { TillMs } = await server.ok('GET', '/db/anew/kv/k');
  await untilTime(TillMs);
  await server.ok('POST', '/db/anew/kv/k?ver=0', 2);
  assert.equal((await server.ok('GET', '/db/anew/kv/k')).Value, 2);
});

test('kv: a value may have 1 MiB of JSON, and not a byte more', async () => {
  const mib = 1024 * 1024;
  await server.ok('POST', '/db/large/kv/k?as=text', 'x'.repeat(mib - 2), { headers: { 'content-type': 'text/plain' } });
  assert.equal((await server.ok('GET', '/db/large/kv/k')).Value, 'x'.repeat(mib - 2));
  await server.fails('too_large', 'POST', '/db/large/kv/k?as=text', 'x'.repeat(mib - 1), {
    headers: { 'content-type': 'text/plain' },
  });
  await server.batchFails('too_large', { KVSet: { Key: 'k', Value: 'ü'.repeat(mib / 2) } }, 'large');
});

test('keys: DELETE with a prefix takes a page, and everything only when told so', async () => {
  for (const key of ['p/1', 'p/2', 'p/3', 'q']) await server.ok('POST', `/db/clears/kv/${key}`, 1);
  const first = await server.ok('DELETE', '/db/clears/kv?prefix=p/&limit=2');
  assert.partialDeepStrictEqual(first, { Deleted: 2, More: true, After: 'p/2' });
  assert.partialDeepStrictEqual(await server.ok('DELETE', '/db/clears/kv?prefix=p/&after=p/2'), { Deleted: 1 });
  for (const query of ['', '?prefix=', '?limit=5', '?all=1', '?all=true&prefix=q', '?prefix=q&limit=1001'])
    await server.fails('invalid', 'DELETE', `/db/clears/kv${query}`);
  assert.equal((await server.ok('GET', '/db/clears/kv')).KV.length, 1);
  assert.partialDeepStrictEqual(await server.ok('DELETE', '/db/clears/kv?prefix=&all=true'), { Deleted: 1 });
  assert.partialDeepStrictEqual(await server.ok('DELETE', '/db/clears/kv?all=true'), { Deleted: 0 });
});

test('keys: a batch reads keys and one page below a prefix', async () => {
  for (const key of ['p/1', 'p/2', 'q']) await server.ok('POST', `/db/range/kv/${key}`, 1);
  const { KV } = await server.batch({ KVGet: [{ Prefix: 'p/', After: 'p/1' }, 'q'] }, 'range');
  assert.partialDeepStrictEqual(KV, [
    { Prefix: 'p/', KV: [{ Key: 'p/2', Value: 1 }] },
    { Key: 'q', Value: 1 },
  ]);
  for (const [KVGet, field] of [
    [[{ Prefix: 'p' }, { Prefix: 'q' }], /^KVGet\[1\]: expected at most one/],
    [[{ Prefix: 'p', Limit: 0 }], /^KVGet\[0\]/],
    [[{ Prefix: 'p\0' }], /^KVGet\[0\]\.Prefix: expected no NUL/],
    [[{ Prefix: 'p', Key: 'k' }], /^KVGet\[0\]/],
  ] as const)
    assert.match((await server.batchFails('invalid', { KVGet }, 'range')).Message, field);
});
