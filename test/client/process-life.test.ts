/** What keeps a process alive: held locks, what is waited for; nothing else. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { DragonLock } from '../../src/client/exports.ts';
import { serverForFile, ServerUnderTest } from '../support/server-under-test.ts';

const exportsUrl = new URL('../../src/client/exports.ts', import.meta.url).href;
const storeUrl = new URL('../../src/client/store/exports.ts', import.meta.url).href;
const server = serverForFile();

interface Child {
  readonly process: ChildProcessByStdio<null, Readable, null>;
  nextLine(): Promise<string>;
  exitCode(): Promise<number | null>;
}

function run(t: TestContext, url: string, program: string): Child {
  const head = `
    import { once } from 'node:events';
    import { DragonLock } from ${JSON.stringify(exportsUrl)};
    import { DragonLockStore } from ${JSON.stringify(storeUrl)};
    const client = new DragonLock({ account: 'acc', timeout: 60_000 });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', head + program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DRAGONLOCK_URL: url, DRAGONLOCK_TOKEN: '' },
  });
  t.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    nextLine: async () => String((await lines.next()).value),
    exitCode: async () => ((await ended) as [number | null])[0],
  };
}

for (const [what, take] of [
  ['lock', "const { signal } = await client.lock('leader', { ttl: 2000 });"],
  ['mutex', "const { signal } = await client.mutex('leader', { ttl: 2000 });"],
  ['locker', "const { lost: signal } = await new DragonLockStore({ client }).newLock('leader', { ttl: 2000 }).lock();"],
] as const) {
  test(`a process that waits for nothing but the signal of its ${what} lives on until it fires`, async (t) => {
    const own = await ServerUnderTest.forTest(t);
    const child = run(
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
  const child = run(
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
  const child = run(
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
