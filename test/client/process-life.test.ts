/** What keeps a process alive: held locks, what is waited for; nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock } from '../../src/client/exports.ts';
import { runProgram } from './client-program.ts';
import { serverForFile, ServerUnderTest } from '../support/server-under-test.ts';

const server = serverForFile();

for (const [what, take] of [
  ['lock', "const { signal } = await client.lock('leader', { ttl: 2000 });"],
  ['mutex', "const { signal } = await client.mutex('leader', { ttl: 2000 });"],
  ['locker', "const { lost: signal } = await new DragonLockStore({ client }).newLock('leader', { ttl: 2000 }).lock();"],
] as const) {
  test(`a process that waits for nothing but the signal of its ${what} lives on until it fires`, async (t) => {
    const own = await ServerUnderTest.forTest(t);
    const child = runProgram(
      t,
      own.url,
      `${take} console.log('held'); await once(signal, 'abort'); console.log(signal.reason.code); process.exit(0);`,
    );
    assert.equal(await child.nextLine(), 'held');
    await own.kill();
    assert.equal(await child.nextLine(), 'lease_unknown');
    assert.equal(await child.exitCode(), 0);
  });
}

test('a process ends by itself once its locks are released, and its watches and acquires are over', async (t) => {
  const child = runProgram(
    t,
    server.url,
    `
      const lock = await client.lock('a');
      const mutex = await client.mutex('a');
      const locker = new DragonLockStore({ client }).newLock('b');
      await locker.lock();
      await client.lock('a', { wait: 50 }).catch((error) => console.log(error.code));
      const watch = client.watch.key('k', { version: 1 });
      void watch.next();
      await watch.return();
      await lock.release();
      await mutex.release();
      await locker.unlock();
      console.log('done');
    `,
  );
  assert.equal(await child.nextLine(), 'not_locked');
  assert.equal(await child.nextLine(), 'done');
  assert.equal(await child.exitCode(), 0);
});

test('a process lives while it waits for a lock or watches a key, and a closed client lets it end', async (t) => {
  const client = new DragonLock({ url: server.url, account: 'acc' });
  const lock = await client.lock('busy');
  const child = runProgram(
    t,
    server.url,
    `
      console.log('asks');
      const lock = await client.lock('busy', { wait: 300_000 });
      console.log('has it');
      const { value } = await client.watch.key('seen', { version: 0 }).next();
      console.log(value.value);
      await client.close();
    `,
  );
  assert.equal(await child.nextLine(), 'asks');
  await server.waiters(1);
  await lock.release();
  assert.equal(await child.nextLine(), 'has it');
  await server.watchers(1);
  await client.kv.set('seen', 'this');
  assert.equal(await child.nextLine(), 'this');
  assert.equal(await child.exitCode(), 0);
  assert.equal((await client.locks.get('busy')).locked, false);
  await client.close();
});
