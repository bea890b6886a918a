/**
 * Tests the client under faults: the server is killed in the middle of everything, this process is stopped or its event
 * loop is blocked, acquires are aborted at the worst moment.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DragonLock, LeaseUnknownError, LockLostError, NotLockedError, type Lock } from '../../src/client/exports.ts';
import { serverForFile } from '../support/server-under-test.ts';

const holderFile = fileURLToPath(new URL('holder-process.ts', import.meta.url));
/** Milliseconds. Long enough for a server to restart on a busy machine. */
const timeout = 60_000;

interface Setup {
  readonly client: DragonLock;
  readonly account: string;
  /** Restarts the server on the same port. */
  readonly killAndStart: () => Promise<void>;
}

const server = serverForFile();

/** A client with an account of its own. */
function setUp(t: TestContext): Setup {
  const place = server.place();
  const client = new DragonLock({ ...place, timeout });
  t.after(() => client.close());
  const listen = `127.0.0.1:${server.port}`;
  return { client, account: place.account, killAndStart: () => server.restart('kill', { listen }) };
}

test('after kills of the server, each write happened once, watches missed nothing, and locks kept their order', {
  timeout: 180_000,
}, async (t) => {
  const { client, killAndStart } = setUp(t);
  const kills = 2;
  const run = { stop: false, underWay: 0, added: 0, sections: 0 };
  const during = async <T>(call: Promise<T>): Promise<T> => {
    run.underWay += 1;
    return call.finally(() => (run.underWay -= 1));
  };

  const adding = async (): Promise<void> => {
    while (!run.stop) {
      await during(client.counter.add('n'));
      run.added += 1;
    }
  };

  const written: number[] = [];
  const writing = async (): Promise<void> => {
    for (let n = 0; !run.stop; n += 1) written.push(await during(client.kv.set(`log/${n % 7}`, n)));
  };

  const seen: number[] = [];
  const leave = new AbortController();
  const watching = (async (): Promise<void> => {
    const begun = Promise.withResolvers<void>();
    void (async () => {
      for await (const event of client.watch.prefix('log/', { signal: leave.signal })) {
        if (event.kind === 'list') {
          assert.equal(event.entries.length, 0, 'one list, and nothing but commits from there on');
          begun.resolve();
        } else {
          assert.equal(event.changes.length, 1);
          seen.push(event.rev);
          if (event.changes[0]?.key === 'log/end') leave.abort(new Error('seen all'));
        }
      }
    })().catch((error: unknown) => {
      assert.match(String(error), /seen all/);
    });
    await begun.promise;
  })();

  const fences: number[] = [];
  let inside: Lock | undefined;
  const contending = async (): Promise<void> => {
    while (!run.stop) {
      await client.withLock('section', { ttl: 60_000, wait: 60_000 }, async (lock) => {
        assert.equal(inside, undefined, 'one at a time');
        inside = lock;
        fences.push(lock.fence);
        const section = await client.counter.get('sections');
        await during(lock.batch({ atomic: [{ key: 'sections', set: section + 1 }] }));
        lock.assertHeld();
        run.sections += 1;
        inside = undefined;
      });
    }
  };

  await watching;
  const all = [adding(), adding(), adding(), writing(), contending(), contending(), contending()];
  let inTheMiddle = 0;
  for (let n = 0; n < kills; n += 1) {
    const [before, locked] = [run.added + written.length, run.sections];
    while (run.added + written.length < before + 50 || run.sections < locked + 5 || run.underWay === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    inTheMiddle += run.underWay;
    await killAndStart();
  }
  run.stop = true;
  await Promise.all(all);
  assert.ok(inTheMiddle > 0, 'calls were in flight when it was killed');

  assert.equal(await client.counter.get('n'), run.added, 'each add happened once');
  assert.equal(await client.counter.get('sections'), run.sections, 'no section was lost or done twice');
  assert.deepEqual(
    fences,
    fences.toSorted((a, b) => a - b),
  );
  assert.equal(new Set(fences).size, fences.length);
  await client.kv.set('log/end', 'end').then((version) => written.push(version));
  while (!leave.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(seen, written, 'every commit, in order, once');
});

test('a process stopped past its ttl finds the signal fired, and its guarded write is refused', {
  timeout: 120_000,
}, async (t) => {
  const { client, account } = setUp(t);
  const ttl = 500;
  const child = spawn(process.execPath, [holderFile, server.url, account, String(ttl)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => JSON.parse(String((await lines.next()).value));
  const { fence } = (await next()) as { fence: number };
  child.kill('SIGSTOP');
  await using lock = await client.lock('job', { wait: 30_000 });
  assert.ok(lock.fence > fence);
  assert.equal(lock.recover?.fence, fence);
  await lock.batch({ set: [{ key: 'guarded', value: 'in time' }] });
  child.stdin.write('go on\n');
  child.kill('SIGCONT');
  assert.deepEqual(await next(), { aborted: true, reason: 'lease_unknown', write: 'lock_lost' });
  assert.equal((await client.kv.get('guarded'))?.value, 'in time');
});

test('after a blocked event loop the signal has fired, and a guarded write is refused', async (t) => {
  const { client } = setUp(t);
  const lock = await client.lock('x', { ttl: 300 });
  lock.assertHeld();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  assert.equal(lock.signal.aborted, true);
  assert.ok(lock.signal.reason instanceof LeaseUnknownError);
  await assert.rejects(lock.batch({ set: [{ key: 'a', value: 1 }] }), LockLostError);
  await assert.rejects(lock.release(), LockLostError);
});

test('while the server is down the signal fires within the ttl; a lock with a longer ttl is kept', async (t) => {
  const { client, killAndStart } = setUp(t);
  const short = await client.lock('short', { ttl: 1000 });
  const long = await client.lock('long', { ttl: 3_600_000 });
  const { fence } = long;
  await server.kill();
  if (!short.signal.aborted) await once(short.signal, 'abort');
  assert.equal(short.state, 'unknown');
  await server.start({ listen: `127.0.0.1:${server.port}` });
  await long.batch({ set: [{ key: 'a', value: fence }] });
  await killAndStart();
  assert.equal(await client.locks.isHeld('long', fence), true);
  await long.release();
});

test('locks are renewed for as long as they are held', async (t) => {
  const { client } = setUp(t);
  await using lock = await client.lock('x', { ttl: 3000 });
  await using mutex = await client.mutex('x', { ttl: 3000 });
  const { till } = await client.locks.get('x');
  while (Date.now() < till! + 500) await new Promise((resolve) => setTimeout(resolve, 100));
  lock.assertHeld();
  mutex.assertHeld();
  assert.equal(await client.locks.isHeld('x', lock.fence), true);
});

test('an aborted acquire leaves the wait queue, and releases a grant that was on its way', async (t) => {
  const { client } = setUp(t);
  const first = await client.lock('x');
  const patience = new AbortController();
  const givingUp = assert.rejects(client.lock('x', { signal: patience.signal }), { name: 'AbortError' });
  await server.waiters(1);
  const third = client.lock('x', { wait: 60_000 });
  await server.waiters(2);
  patience.abort();
  await givingUp;
  await server.waiters(1);
  await first.release();
  await (await third).release();

  let granted = 0;
  let gaveUp = 0;
  for (let round = 0; round < 30; round += 1) {
    const holder = await client.lock('race', { wait: 60_000, ttl: 3_600_000 });
    const controller = new AbortController();
    const waiting = client.lock('race', { signal: controller.signal, ttl: 3_600_000 }).then(
      async (lock) => {
        granted += 1;
        await lock.release();
      },
      () => {
        gaveUp += 1;
      },
    );
    await server.waiters(1);
    const released = holder.release();
    for (let turn = 0; turn < round; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await Promise.all([released, waiting]);
  }
  await (await client.lock('race', { wait: 60_000 })).release();
  assert.equal(granted + gaveUp, 30);
  assert.ok(gaveUp > 0, 'acquires were given up');
});

test('a busy lock is refused after the wait, with its holder in the error', async (t) => {
  const { client } = setUp(t);
  await using lock = await client.lock('x', { meta: { who: 'me' } });
  await assert.rejects(client.lock('x', { wait: 50 }), (error: Error) => {
    assert.ok(error instanceof NotLockedError && error.retryable);
    assert.deepEqual(error.holder?.meta, { who: 'me' });
    return true;
  });
  lock.assertHeld();
});
