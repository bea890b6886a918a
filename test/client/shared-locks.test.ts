/** Readers, semaphores, sets, elections and watches of locks, against a real server. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DragonLock, LimitMismatchError, LockLostError, NotLockedError } from '../../src/client/exports.ts';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();
const clients: DragonLock[] = [];
after(() => Promise.all(clients.map((client) => client.close())));

function connect(account: string): DragonLock {
  const client = new DragonLock({ url: server.url, account });
  clients.push(client);
  return client;
}

test('readers hold a lock together, and a writer waits for all of them', async () => {
  const client = connect('readers');
  const [r1, r2] = await Promise.all([client.lock('a', { read: true }), client.lock('a', { read: true })]);
  assert.notEqual(r1.fence, r2.fence);
  await assert.rejects(client.lock('a', { wait: 0 }), NotLockedError);
  const writer = client.lock('a');
  await r1.release();
  await r2.batch({ set: [{ key: 'k', value: 1 }] }, { release: true });
  const w = await writer;
  assert.ok(w.fence > r2.fence);
  await w.release();
});

test('a semaphore has so many permits, renews them, and refuses another number', async () => {
  const client = connect('permits');
  const ttl = 1500;
  const permits = await Promise.all([client.semaphore('s', 2, { ttl }), client.semaphore('s', 2, { ttl })]);
  await assert.rejects(client.semaphore('s', 2, { wait: 0 }), NotLockedError);
  const waiting = client.semaphore('s', 2);
  await assert.rejects(client.semaphore('s', 3), (error) => error instanceof LimitMismatchError && error.limit === 2);
  assert.deepEqual((await client.locks.get('s')).holders, 2);
  await permits[0].release();
  const third = await waiting;
  await sleep(ttl);
  assert.ok(permits[1].state === 'held');
  await permits[1].release();
  await third.release();
  assert.equal((await client.locks.get('s')).locked, false);
});

test('locks that are taken together have one fence, guard a batch, and are released together', async () => {
  const client = connect('sets');
  const both = await client.locks.all(['x', 'y'], { ttl: 3000 });
  assert.equal(await client.locks.isHeld('x', both.fence), true);
  await assert.rejects(client.lock('y', { wait: 0 }), NotLockedError);
  await both.batch({ set: [{ key: 'k', value: 1 }] });
  await both.batch({ set: [{ key: 'k', value: 2 }] }, { release: true });
  assert.equal((await client.locks.get('x')).locked, false);
  const again = await client.locks.all(['y', 'x']);
  await client.locks.force('y');
  await assert.rejects(again.batch({ set: [{ key: 'k', value: 3 }] }), LockLostError);
  await assert.rejects(again.release(), LockLostError);
  assert.equal((await client.kv.get('k'))?.value, 2);
});

test('a set whose wait is given up leaves nothing behind', async () => {
  const client = connect('given-up');
  const held = await client.lock('y');
  const controller = new AbortController();
  const waiting = client.locks.all(['x', 'y'], { signal: controller.signal });
  // The place that it has, and the one that it waits for.
  await server.waiters(2);
  controller.abort();
  await assert.rejects(waiting);
  await held.release();
  const both = await client.locks.all(['x', 'y']);
  await both.release();
});

test('a batch takes and releases several locks, and a share', async () => {
  const client = connect('batches');
  const { lock } = await client.batch({ locks: { ids: ['x', 'y'], ttl: '10s' }, set: [{ key: 'k', value: 1 }] });
  await client.batch({ unlocks: { ids: ['x', 'y'], fence: lock!.fence }, set: [{ key: 'k', value: 2 }] });
  assert.equal((await client.locks.get('x')).locked, false);
  const permit = await client.batch({ lock: { id: 'p', ttl: '10s', owner: 'o', limit: 3 } });
  assert.equal(permit.lock!.free, 2);
});

test('an election: one leads at a time, the next follows, and everybody sees who', async () => {
  const [one, two] = [connect('election'), connect('election')];
  // A watch shows the last state, so that short ones in between may be missing.
  const watching = (async () => {
    for await (const { locked, meta } of two.watch.lock('leader')) if (locked && meta === 'two') return;
  })();
  let leading = 0;
  const lead = async (): Promise<void> => {
    leading += 1;
    assert.equal(leading, 1);
    await Promise.resolve();
    leading -= 1;
  };
  const resigned = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const first = one.elect('leader', { meta: 'one' }, async () => {
    started.resolve();
    await resigned.promise;
    await lead();
    return 'resigned';
  });
  await started.promise;
  assert.equal((await two.leader('leader'))?.meta, 'one');
  const second = two.elect('leader', { meta: 'two' }, async () => {
    await lead();
    await watching;
  });
  await server.waiters(1);
  resigned.resolve();
  assert.equal(await first, 'resigned');
  await second;
  assert.equal(await two.leader('leader'), undefined);
});

test('what is wrong is refused before anything is sent', async () => {
  const client = new DragonLock({ url: 'http://127.0.0.1:1', account: 'a' });
  clients.push(client);
  await assert.rejects(client.semaphore('s', 1), /permits: expected an integer from 2 to 10000, got 1/);
  await assert.rejects(client.locks.all([]), /ids: expected an array of 1 to 32 ids/);
  await assert.rejects(client.mutex('m', { read: true } as object), /unknown option "read"/);
  await assert.rejects(client.batch({ lock: { id: 'a', ttl: 5000, read: true } }), /lock.owner: missing/);
  await assert.rejects(client.elect('a', {}, 7 as never), /expected a function/);
});
