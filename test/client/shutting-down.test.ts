/** What a signal leaves behind, with `releaseOnSignals`: nothing. */
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import { DragonLock, type Lock } from '../../src/client/exports.ts';
import { serverForFile, ServerUnderTest } from '../support/server-under-test.ts';
import { runProgram, type Child } from './client-program.ts';

const server = serverForFile();
/** The next client, made when the server has its address. */
let made: DragonLock | undefined;
const next = (): DragonLock => (made ??= new DragonLock({ url: server.url, account: 'acc' }));
after(() => made?.close());

const optIn = 'releaseOnSignals: true';
const start = (t: TestContext, program: string, options = optIn): Child => runProgram(t, server.url, program, options);

/** Takes a lock that nobody holds any more; without the release it would stay locked for its ttl. */
async function isFree(id: string): Promise<void> {
  const lock: Lock = await next().lock(id, { wait: 0 });
  assert.equal(lock.recover, undefined, 'it was released, and did not expire');
  await lock.release();
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} inside sections gives back locks, mutexes, lockers and acquires, and ends the process`, async (t) => {
    const busy = await next().lock('busy');
    const child = start(
      t,
      `
        const locker = new DragonLockStore({ client }).newLock('locker', { ttl: 300_000 });
        await locker.lock();
        await client.mutex('mutex', { ttl: 300_000 });
        client.lock('busy', { wait: 300_000, ttl: 300_000 }).catch((error) => console.log('acquire', error.code));
        await client.withLock('section', { ttl: 300_000 }, async ({ signal }) => {
          signal.addEventListener('abort', () => console.log('told', signal.reason.code, signal.reason.message));
          console.log('held');
          await once(signal, 'abort');
          signal.throwIfAborted();
        });
      `,
    );
    assert.equal(await child.nextLine(), 'held');
    await server.waiters(1);
    child.process.kill(signal);
    assert.equal(
      await child.nextLine(),
      `told released The lock was released, because the process received ${signal}.`,
    );
    assert.equal(await child.nextLine(), 'acquire closed');
    assert.equal(await child.exitSignal(), signal);
    for (const id of ['section', 'locker']) await isFree(id);
    await (await next().mutex('mutex', { wait: 0 })).release();
    await server.waiters(0);
    await busy.release();
  });
}

for (const [how, when] of [
  ['on', 'before'],
  ['once', 'before'],
  ['once', 'after'],
] as const) {
  test(`an application that listens itself, ${how} and ${when} the client, decides when it ends`, async (t) => {
    const child = runProgram(
      t,
      server.url,
      `
      ${when === 'before' ? 'await client.close();' : ''}
      process.${how}('SIGTERM', () => console.log('heard'));
      const worker = new DragonLock({ account: 'acc', releaseOnSignals: true });
      const { signal } = await ${when === 'before' ? 'worker' : 'client'}.lock('own', { ttl: 300_000 });
      console.log('held');
      await once(signal, 'abort');
      await Promise.all([worker.close(), client.close()]);
      process.exitCode = 7;
    `,
      optIn,
    );
    assert.equal(await child.nextLine(), 'held');
    child.process.kill('SIGTERM');
    assert.equal(await child.nextLine(), 'heard');
    assert.equal(await child.exitCode(), 7);
    await isFree('own');
  });
}

test('several clients of a process have all been released before it ends', async (t) => {
  const child = start(
    t,
    `
      const other = new DragonLock({ account: 'acc', releaseOnSignals: true });
      const closed = new DragonLock({ account: 'acc', releaseOnSignals: true });
      await closed.close();
      await client.lock('one', { ttl: 300_000 });
      await other.lock('two', { ttl: 300_000 });
      console.log('held');
    `,
  );
  assert.equal(await child.nextLine(), 'held');
  child.process.kill('SIGTERM');
  assert.equal(await child.exitSignal(), 'SIGTERM');
  for (const id of ['one', 'two']) await isFree(id);
});

test('without the option, and after a close, a signal ends the process as ever', async (t) => {
  const child = start(t, `await client.lock('left', { ttl: 300_000 }); console.log('held');`, '');
  assert.equal(await child.nextLine(), 'held');
  child.process.kill('SIGTERM');
  assert.equal(await child.exitSignal(), 'SIGTERM');
  assert.equal((await next().locks.get('left')).locked, true);

  const closed = start(
    t,
    `
      await client.close();
      console.log(process.listenerCount('SIGTERM') + process.listenerCount('SIGINT'));
      setInterval(() => {}, 1e6);
    `,
  );
  assert.equal(await closed.nextLine(), '0');
  closed.process.kill('SIGTERM');
  assert.equal(await closed.exitSignal(), 'SIGTERM');
});

test('a server that does not answer holds the end up for 3 seconds, or until a second signal', async (t) => {
  const own = await ServerUnderTest.forTest(t);
  const program = `
    const { signal } = await client.lock('away', { ttl: 60_000 });
    console.log('held');
    await once(signal, 'abort');
    console.log('told');
  `;
  const [patient, hurried] = [1, 2].map((n) => runProgram(t, own.url, program.replace('away', `away${n}`), optIn));
  for (const child of [patient!, hurried!]) assert.equal(await child.nextLine(), 'held');
  await own.kill();
  for (const child of [patient!, hurried!]) {
    child.process.kill('SIGTERM');
    assert.equal(await child.nextLine(), 'told');
  }
  hurried!.process.kill('SIGINT');
  assert.equal(await hurried!.exitSignal(), 'SIGINT');
  assert.equal(await patient!.exitSignal(), 'SIGTERM');
});

test('an error of the application while it ends is not swallowed', async (t) => {
  const child = start(
    t,
    `
      const { signal } = await client.lock('faulty', { ttl: 300_000 });
      signal.addEventListener('abort', () => { throw new Error('own fault'); });
      process.on('uncaughtExceptionMonitor', (error) => console.log(error.message));
      console.log('held');
    `,
  );
  assert.equal(await child.nextLine(), 'held');
  child.process.kill('SIGTERM');
  assert.equal(await child.nextLine(), 'own fault');
});
