/** What is still locked at the server after a client was closed, at any moment of what it does: nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock } from '../../src/client/dragon-lock.ts';
import { ClosedError } from '../../src/client/errors.ts';
import { DragonLockStore } from '../../src/client/store/dragon-lock-store.ts';
import { LockAcquireCancelled } from '../../src/client/store/store-errors.ts';
import { serverForFile } from '../support/server-under-test.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { FakeClock, settled } from './fake-clock.ts';
import { FakeLockServer } from './fake-lock-server.ts';
import { clientUnderTest } from './fake-transport.ts';

const server = serverForFile();

const ways = ['lock', 'mutex', 'store', 'store with value'] as const;

function acquire(client: DragonLock, way: (typeof ways)[number], wait: boolean): Promise<unknown> {
  if (way === 'lock' || way === 'mutex') return client[way]('x', { wait: wait ? 60_000 : 0, ttl: 3_600_000 });
  const store = new DragonLockStore({ client });
  const value = way === 'store with value' ? { value: 'shown' } : {};
  return store.newLock('x', { ttl: 3_600_000, noPolling: !wait, ...value }).lock();
}

test('closed at any moment of an acquire, a client leaves no lock behind', async () => {
  let granted = 0;
  let givenUp = 0;
  for (let seed = 1; seed <= 80; seed += 1) {
    const random = seededRandom(seed);
    const [way, wait, steps] = [ways[seed % ways.length]!, random.next() < 0.5, Math.floor(random.next() * 12)];
    const fake = new FakeLockServer();
    const clock = new FakeClock();
    const options = { url: 'http://127.0.0.1:1', account: 'acc' };
    const client = new DragonLock(options, { transport: () => fake, clock, random: () => 1 });
    const outcome = acquire(client, way, wait).then(
      () => (granted += 1),
      () => (givenUp += 1),
    );
    for (let step = 0; step < steps; step += 1) await fake.step(random);
    const closing = client.close();
    const run = { closed: false };
    void closing.then(() => (run.closed = true));
    for (let step = 0; step < 100 && !run.closed; step += 1) await fake.step(random);
    await Promise.all([closing, outcome]);
    assert.deepEqual([...fake.held.keys()], [], `${way}, wait ${wait}, closed after ${steps} steps, seed ${seed}`);
  }
  assert.ok(granted > 5 && givenUp > 5, `${granted} granted, ${givenUp} given up`);
});

for (const way of ways) {
  test(`closed soon after it asked a real server, a client leaves nothing behind: ${way}`, async () => {
    const other = new DragonLock({ url: server.url, account: 'acc' });
    for (let round = 0; round < 40; round += 1) {
      const client = new DragonLock({ url: server.url, account: 'acc' });
      // One round begins with the first contact, the next one after it.
      if (round % 2 === 1) await client.version().then(() => client.kv.get('warm'));
      const outcome = acquire(client, way, round % 3 > 0).catch((error: Error) => error);
      for (let turn = 0; turn < (round % 20) * 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await client.close();
      const error = await outcome;
      if (error instanceof Error) assert.ok(error instanceof ClosedError || error instanceof LockAcquireCancelled);
      // The next one is granted at once, or this rejects.
      if (way === 'mutex') await (await other.mutex('x', { wait: 0 })).release();
      else await (await other.lock('x', { wait: 0 })).release();
      assert.equal(await other.kv.get('x'), undefined, `the pair of a locker is gone too, round ${round}`);
    }
    await other.close();
  });
}

test('a client that is closed while many wait takes all of them out of the wait queue', async () => {
  const [holder, client] = [1, 2].map(() => new DragonLock({ url: server.url, account: 'acc' })) as [
    DragonLock,
    DragonLock,
  ];
  const lock = await holder.lock('busy', { ttl: 3_600_000 });
  const waiting = Array.from({ length: 20 }, () => assert.rejects(client.lock('busy'), ClosedError));
  const locker = new DragonLockStore({ client }).newLock('busy');
  waiting.push(assert.rejects(locker.lock(), LockAcquireCancelled));
  await server.waiters(21);
  await client.close();
  await Promise.all(waiting);
  await server.waiters(0);
  await lock.release();
  assert.equal((await holder.locks.get('busy')).locked, false);
  await holder.close();
});

test('a locker that holds a lock releases it when its store or its client is closed', async () => {
  const other = new DragonLock({ url: server.url, account: 'acc' });
  for (const what of ['store', 'client'] as const) {
    const client = new DragonLock({ url: server.url, account: 'acc' });
    const store = new DragonLockStore({ client });
    const { lost } = await store.newLock('held', { ttl: 3_600_000, value: 'me' }).lock();
    await (what === 'store' ? store : client).close();
    assert.equal(lost.aborted, false, 'it was released, not lost');
    await assert.rejects(store.newLock('held').lock(), { code: 'closed' });
    await (await other.lock('held', { wait: 0 })).release();
    assert.equal(await other.kv.get('held'), undefined);
    await client.close();
  }
  await other.close();
});

test('a close without a server ends within its bound, and later acquires are refused', async () => {
  const { client, transport, clock } = clientUnderTest();
  const rejected = assert.rejects(client.lock('x'), ClosedError);
  await settled();
  assert.equal(transport.exchanges.length, 1);
  const closed = client.close();
  await rejected;
  await assert.rejects(client.lock('y'), ClosedError);
  await clock.pass(3000);
  await closed;
  assert.equal(clock.nextMs, undefined, 'no timer is left');
});

test('a close waits for a renewal, which could take a mutex anew after its release', async () => {
  const { client, transport, clock } = clientUnderTest();
  const locking = client.mutex('m', { ttl: 3000 });
  await settled();
  await transport.take().reply(200, { Lock: 5, Rev: 1 });
  await locking;
  await clock.pass(1000);
  const renewal = transport.take();
  let closed = false;
  const closing = client.close().then(() => (closed = true));
  await settled();
  await transport.take().reply(200, { Rev: 2 });
  assert.equal(closed, false);
  await renewal.reply(200, { Lock: 6, Rev: 3 });
  const release = transport.take();
  assert.equal(release.request.path, '/db/acc/munlock/m?lock=6');
  await release.reply(200, { Rev: 4 });
  await closing;
});

test('a grant whose renewal fails before it is returned is released', async () => {
  const { client, transport, clock } = clientUnderTest({ timeout: 1000 });
  const rejected = assert.rejects(client.lock('x', { ttl: 3000, wait: 60_000 }), { code: 'unreachable' });
  await settled();
  await clock.pass(10_000);
  await transport.take().reply(200, { Lock: 5, Rev: 5 });
  for (let n = 0; n < 30; n += 1) {
    for (const { request } of transport.exchanges) assert.notEqual(request.method, 'DELETE');
    for (const exchange of transport.exchanges.splice(0)) await exchange.breaks('before');
    await clock.pass(100);
    if (transport.exchanges.some(({ request }) => request.method === 'DELETE')) break;
  }
  await rejected;
  assert.match(transport.take().request.path, /^\/db\/acc\/lock\/x\?owner=/);
});
