/** Errors show who called, however late they are made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock } from '../../src/client/exports.ts';
import { showCallers, TracedError } from '../../src/client/caller.ts';
import { DragonLockStore } from '../../src/client/store/exports.ts';
import { clientUnderTest, type ClientUnderTest } from './fake-transport.ts';
import { settled } from './fake-clock.ts';

/** Checks that the first frame is of this file, and that the stack begins with the message. */
function isOfHere(error: unknown, what: string): void {
  assert.ok(error instanceof TracedError, what);
  const [head, ...frames] = (error.stack ?? '').split('\n    at ');
  assert.equal(head, `${error.name}: ${error.message}`, what);
  assert.match(frames[0] ?? '', /callers\.test\.ts:\d+:\d+/, `${what}: ${error.stack}`);
}

/** Makes a call whose error nobody awaits in the function that called. */
async function failureOf(call: () => unknown, fail: () => Promise<void>): Promise<unknown> {
  let failure: unknown = 'no error';
  const result = call();
  const pending = result instanceof Promise ? result : (result as AsyncGenerator).next();
  void (pending as Promise<unknown>).then(undefined, (error: unknown) => {
    failure = error;
  });
  await settled();
  await fail();
  await settled();
  return failure;
}

const run = (): void => undefined;
const calls: Readonly<Record<string, (client: DragonLock) => unknown>> = {
  'kv.get': ({ kv }) => kv.get('k'),
  'kv.getAll': ({ kv }) => kv.getAll(['k', 'l']),
  'kv.set': ({ kv }) => kv.set('k', 1),
  'kv.delete': ({ kv }) => kv.delete('k'),
  'kv.page': ({ kv }) => kv.page(),
  'kv.list': ({ kv }) => kv.list(''),
  'counter.add': ({ counter }) => counter.add('c'),
  'counter.get': ({ counter }) => counter.get('c'),
  'counter.reset': ({ counter }) => counter.reset('c'),
  'sequence.next': ({ sequence }) => sequence.next('s'),
  'sequence.get': ({ sequence }) => sequence.get('s'),
  'locks.get': ({ locks }) => locks.get('l'),
  'locks.isHeld': ({ locks }) => locks.isHeld('l', 1),
  'locks.list': ({ locks }) => locks.list(''),
  'locks.force': ({ locks }) => locks.force('l'),
  'watch.key': ({ watch }) => watch.key('k'),
  'watch.keys': ({ watch }) => watch.keys([{ key: 'k', version: 1 }]),
  'watch.prefix': ({ watch }) => watch.prefix(''),
  batch: (client) => client.batch({ set: [{ key: 'k', value: 1 }] }),
  limit: (client) => client.limit('g', { rate: 1 }),
  lock: (client) => client.lock('l'),
  withLock: (client) => client.withLock('l', run),
  mutex: (client) => client.mutex('l'),
  withMutex: (client) => client.withMutex('l', run),
  'store.put': (client) => new DragonLockStore({ client }).put('k'),
  'store.get': (client) => new DragonLockStore({ client }).get('k'),
  'store.exists': (client) => new DragonLockStore({ client }).exists('k'),
  'store.list': (client) => new DragonLockStore({ client }).list('k'),
  'store.watch': (client) => new DragonLockStore({ client }).watch('k'),
  'locker.lock': (client) => new DragonLockStore({ client }).newLock('k', { noPolling: true }).lock(),
};

test('an error of the server has the frame of the call', async () => {
  for (const [name, call] of Object.entries(calls)) {
    const { client, transport } = clientUnderTest();
    const failure = await failureOf(
      () => call(client),
      async () => {
        // A locker asks again, to give back what it may have been granted.
        while (transport.exchanges.length > 0) await transport.take().fails('forbidden', 403);
      },
    );
    isOfHere(failure, name);
  }
});

test('an argument that is refused has the frame of the call', async () => {
  const { client } = clientUnderTest();
  for (const call of [() => client.kv.get(''), () => client.lock(''), () => client.batch({ get: [''] })]) {
    isOfHere(await failureOf(call, settled), String(call));
  }
  const sync: unknown[] = [];
  for (const call of [() => client.watch.key(''), () => new DragonLockStore({ client }).newLock('')]) {
    try {
      call();
    } catch (error) {
      sync.push(error);
    }
  }
  assert.equal(sync.length, 2);
  for (const error of sync) isOfHere(error, 'at once');
});

async function held(under: ClientUnderTest): Promise<Awaited<ReturnType<DragonLock['lock']>>> {
  const lock = under.client.lock('l', { ttl: 10_000 });
  await settled();
  await under.transport.take().reply(200, { Rev: 1, Lock: 1, TillMs: 1 });
  return await lock;
}

test('what a held lock rejects with shows its call, and its signal shows who took the lock', async () => {
  const under = clientUnderTest();
  const lock = await held(under);
  const batch = await failureOf(
    () => lock.batch({ set: [{ key: 'k', value: 1 }] }),
    () => under.transport.take().reply(409, { Code: 'lock_lost', Message: 'lost', LockID: 'l', RequestID: 'b' }),
  );
  isOfHere(batch, 'lock.batch');
  isOfHere(lock.signal.reason, 'signal');
  assert.match((lock.signal.reason as Error).stack ?? '', /at held /);
  isOfHere(await failureOf(() => lock.release(), settled), 'release of a lost lock');
  const other = await held(clientUnderTest());
  assert.equal(other.state, 'held');
});

test('one error that ends many calls shows each its own caller', async () => {
  const { client, transport } = clientUnderTest();
  const first = (): Promise<unknown> => client.kv.get('a').catch((error: unknown) => error);
  const second = (): Promise<unknown> => client.kv.get('b').catch((error: unknown) => error);
  // Both are waiting for first contact, and end with one error.
  transport.version = undefined;
  const pending = Promise.all([first(), second()]);
  await settled();
  await client.close();
  const [a, b] = (await pending) as [Error, Error];
  for (const error of [a, b]) isOfHere(error, error.message);
  assert.match(a.stack!, /first/);
  assert.match(b.stack!, /second/);
  assert.equal((a as Error & { code: string }).code, 'closed');
  assert.ok(Error.isError(b) && b instanceof TracedError);
});

test("a signal's reason is thrown as it is", async () => {
  const { client } = clientUnderTest();
  const own = new Error('enough');
  const { stack } = own;
  const call = (): Promise<unknown> => client.kv.get('k', { signal: AbortSignal.abort(own) });
  assert.equal(await failureOf(call, settled), own);
  assert.equal(own.stack, stack);
});

test('stacks without frames, or that are no text, leave the message', async () => {
  const { stackTraceLimit } = Error;
  const prepareStackTrace: unknown = Reflect.get(Error, 'prepareStackTrace');
  const { client } = clientUnderTest();
  try {
    Error.stackTraceLimit = 0;
    const bare = await client.kv.get('').catch((error: Error) => error);
    assert.match((bare as Error).stack ?? '', /^InvalidError: key: expected [^\n]*$/);
    Error.stackTraceLimit = 10;
    Error.prepareStackTrace = () => [];
    const odd = await client.kv.get('').catch((error: Error) => error);
    assert.match((odd as Error).stack ?? '', /^InvalidError: key: expected [^\n]*$/);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    Reflect.set(Error, 'prepareStackTrace', prepareStackTrace);
  }
});

test('every public method of the classes shows its caller', () => {
  // A wrapped method shows: its source is that of the wrapper.
  class Sample {
    method(): void {}
  }
  showCallers(Sample, 'method');
  const wrapper = String(Reflect.get(Sample.prototype, 'method'));
  const { client } = clientUnderTest();
  const store = new DragonLockStore({ client });
  /** These cannot fail, or show their callers by other means. */
  const without = /^(constructor|close|release|interrupt|wasReleased|assertHeld|assertNotReleased)$/;
  const { kv, counter, sequence, locks, queues, watch } = client;
  for (const instance of [client, kv, counter, sequence, locks, queues, watch, client.queue('q'), store]) {
    const prototype = Object.getPrototypeOf(instance) as Record<string, unknown>;
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (without.test(name) || typeof prototype[name] !== 'function') continue;
      assert.equal(String(prototype[name]), wrapper, `${prototype.constructor.name}.${name}`);
    }
  }
});
