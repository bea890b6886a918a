/**
 * The examples and call lists of the READMEs that this server was asked for, sent as they stand there (as valid JSON).
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { isPending, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();
const run = promisify(execFile);

test('seeds: a lock is taken for 30 seconds, and given back with its fence as a string', async () => {
  const locked = await server.batch({ LockID: 'ABC', LockDur: 30, LockWait: 30 }, 'my_env');
  assert(Number.isSafeInteger(locked.Lock));
  const seconds = locked.Till - Date.now() / 1000;
  assert(seconds > 25 && seconds < 32, `Till is Unix seconds, 30 s ahead; it is ${seconds} s ahead`);
  await server.batch({ UnlockID: 'ABC', Unlock: String(locked.Lock) }, 'my_env');
  assert.equal((await server.ok('GET', '/db/my_env/lock/ABC')).Locked, false);
});

test('seeds: one call sets, reads and counts', async () => {
  await server.batch({ KVSet: [{ Key: 'CDE', Value: { my_json: 'object' } }] }, 'set');
  await server.batch({ Atomic: [{ Key: 'Total_Count', Set: 332 }] }, 'set');
  const reply = await server.batch(
    { KVSet: [{ Key: 'ABC', Value: '123' }], KVGet: [{ Key: 'CDE' }], Atomic: [{ Key: 'Total_Count', Add: 1 }] },
    'set',
  );
  assert.partialDeepStrictEqual(reply, {
    Atomic: [{ Key: 'Total_Count', Value: 333 }],
    KV: [{ Key: 'CDE', Value: { my_json: 'object' } }],
  });
  assert.equal((await server.ok('GET', '/db/set/kv/ABC')).Value, '123');
});

test('seeds: the second request with the same idempotency id is refused, and changes nothing', async () => {
  const request = {
    IdempotencyIDs: ['ABC_create'],
    KVSet: [{ Key: 'ABC', Value: '123' }],
    Atomic: [{ Key: 'Total_Count', Add: 1 }],
  };
  assert.partialDeepStrictEqual(await server.batch(request, 'idem'), { Atomic: [{ Key: 'Total_Count', Value: 1 }] });
  await server.batchFails('duplicate_request', request, 'idem');
  assert.equal((await server.ok('GET', '/db/idem/counter/Total_Count')).Value, 1);
});

test('seeds: a watch for creation answers when the key is created', async () => {
  const watch = server.ok('POST', '/watch/watched', { ID: 'ABC', Version: 0 });
  await server.watchers(1);
  assert(await isPending(watch), 'it waits while there is no key');
  const set = await server.batch({ KVSet: [{ Key: 'ABC', Value: '123' }] }, 'watched');
  assert.partialDeepStrictEqual(await watch, { Key: 'ABC', Version: set.KVSet[0]?.Version, Value: '123' });
});

test('seeds: a watch with an old version answers at once; with the current one, after the next change', async () => {
  const first = await server.batch({ KVSet: [{ Key: 'ABC', Value: '1' }] }, 'versions');
  const second = await server.batch({ KVSet: [{ Key: 'ABC', Value: '123' }] }, 'versions');
  const late = await server.ok('POST', '/watch/versions', { ID: 'ABC', Version: first.Rev });
  assert.partialDeepStrictEqual(late, { Key: 'ABC', Version: second.Rev, Value: '123' });

  const watch = server.ok('POST', '/watch/versions', { ID: 'ABC', Version: second.Rev });
  await server.watchers(1);
  assert(await isPending(watch), 'blocked until the value is updated again');
  const third = await server.batch({ KVSet: [{ Key: 'ABC', Value: '124' }] }, 'versions');
  assert.partialDeepStrictEqual(await watch, { Key: 'ABC', Version: third.Rev, Value: '124' });
});

test('seeds: sequences are read, counted up by one, reset', async () => {
  await server.fails('not_found', 'GET', '/db/1/sequence/s');
  assert.equal((await server.ok('POST', '/db/1/sequence/s')).Value, 1);
  assert.equal((await server.ok('POST', '/db/1/sequence/s')).Value, 2);
  assert.equal((await server.ok('GET', '/db/1/sequence/s')).Value, 2);
  await server.ok('DELETE', '/db/1/sequence/s');
  assert.equal((await server.ok('POST', '/db/1/sequence/s')).Value, 1);
});

test('seeds: counters are read, counted up and down, reset', async () => {
  assert.equal((await server.ok('POST', '/db/1/counter/c?add=5')).Value, 5);
  assert.equal((await server.ok('POST', '/db/1/counter/c?add=-7')).Value, -2);
  assert.equal((await server.ok('GET', '/db/1/counter/c')).Value, -2);
  await server.ok('DELETE', '/db/1/counter/c');
  await server.fails('not_found', 'GET', '/db/1/counter/c');
});

test('seeds: keys are set, read and deleted, with and without a version check', async () => {
  const set = await server.ok('POST', '/db/1/kv/k', { a: 1 });
  assert.partialDeepStrictEqual(await server.ok('GET', '/db/1/kv/k'), { Value: { a: 1 }, Version: set.Version });
  await server.fails('version_mismatch', 'POST', '/db/1/kv/k?ver=123456', { a: 2 });
  const next = await server.ok('POST', `/db/1/kv/k?ver=${set.Version}`, { a: 2 });
  await server.fails('version_mismatch', 'DELETE', '/db/1/kv/k?ver=123456');
  await server.ok('DELETE', `/db/1/kv/k?ver=${next.Version}`);
  await server.fails('not_found', 'GET', '/db/1/kv/k');
  await server.ok('POST', '/db/1/kv/k', 1);
  await server.ok('DELETE', '/db/1/kv/k');
  await server.fails('not_found', 'GET', '/db/1/kv/k');
});

test('seeds: a mutex blocks the next one until it is unlocked', async () => {
  const first = await server.ok('POST', '/db/1/mlock/m?dur=30&wait=15');
  const second = server.ok('POST', '/db/1/mlock/m?dur=30&wait=15');
  await server.waiters(1);
  assert(await isPending(second));
  await server.ok('POST', `/db/1/munlock/m?lock=${first.Lock}`);
  await second;
});

test('seeds: a lock is checked, set and deleted', async () => {
  assert.equal((await server.ok('GET', '/db/1/lock/l')).Locked, false);
  await server.ok('POST', '/db/1/lock/l?id=123&dur=30');
  assert.equal((await server.ok('GET', '/db/1/lock/l')).Locked, true);
  await server.ok('DELETE', '/db/1/lock/l?id=123');
  assert.equal((await server.ok('GET', '/db/1/lock/l')).Locked, false);
  await server.ok('POST', '/db/1/lock/l?id=123&dur=30');
  await server.fails('invalid', 'DELETE', '/db/1/lock/l');
  await server.ok('DELETE', '/db/1/lock/l?force=1');
  assert.equal((await server.ok('GET', '/db/1/lock/l')).Locked, false);
});

const noCurl = spawnSync('curl', ['--version']).status === 0 ? false : 'curl is not installed';

/** Of curl, for a lock over REST: 0, or 22 for any status from 400. */
function curl(method: 'POST' | 'DELETE', owner: string): Promise<number> {
  const target = `${server.url}/db/1/lock/1?id=${owner}${method === 'POST' ? '&dur=30' : ''}`;
  return run('curl', ['-sS', '-f', '-X', method, target]).then(
    () => 0,
    (error: { code?: number }) => error.code ?? -1,
  );
}

test('seeds: in a shell, curl -f fails exactly while the lock is busy', { skip: noCurl }, async () => {
  assert.equal(await curl('POST', '123'), 0, 'free');
  assert.equal(await curl('POST', '456'), 22, 'busy');
  assert.equal(await curl('POST', '123'), 0, 'the same id again extends');
  assert.equal(await curl('DELETE', '123'), 0, 'given back');
  assert.equal(await curl('POST', '456'), 0, 'free again');
});
