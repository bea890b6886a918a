/** Tests the client against a real server, beyond the examples of docs/client.md. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, test, type TestContext } from 'node:test';
import {
  DragonLock,
  ForbiddenError,
  NotDragonLockError,
  OutOfBoundsError,
  PreconditionFailedError,
  UnauthorizedError,
  type DragonLockOptions,
  type PrefixEvent,
} from '../../src/client/exports.ts';
import { serverForFile, ServerUnderTest } from '../support/server-under-test.ts';

const config = `
tokens:
  - { token: all, accounts: "*", scopes: [read, write, force] }
  - { token: reader, accounts: [acc], scopes: [read] }
limits: { memtable_bytes_max: 1048576, body_bytes_max: 262144, value_bytes_max: 65536 }
journal: { segment_bytes: 1048576, keep_bytes: 0 }
`;
const server = serverForFile({ config });
const clients: DragonLock[] = [];
after(() => Promise.all(clients.map((client) => client.close())));

function connect(options: DragonLockOptions = {}): DragonLock {
  const client = new DragonLock({ url: server.url, account: 'acc', token: 'all', timeout: 20_000, ...options });
  clients.push(client);
  return client;
}

/** Checks that each call reports the wrong setting in one line. */
async function isTold(
  options: DragonLockOptions,
  kind: new (...parameters: never[]) => Error,
  line: RegExp,
): Promise<void> {
  const client = connect(options);
  for (const call of [client.kv.get('a'), client.lock('a', { wait: 0 }), client.watch.key('a').next()]) {
    await assert.rejects(call, (error: Error) => {
      assert.ok(error instanceof kind, String(error));
      assert.match(error.message, line);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  }
}

test('a wrong token, account or URL is reported in one line', async (t: TestContext) => {
  const page = http
    .createServer((_, response) => response.writeHead(404).end('<h1>not here</h1>'))
    .listen(0, '127.0.0.1');
  await once(page, 'listening');
  t.after(() => page.close());
  const { port } = page.address() as AddressInfo;
  await isTold({ token: 'wrong' }, UnauthorizedError, /token/);
  await isTold({ token: 'reader', account: 'other' }, ForbiddenError, /account/);
  await isTold({ url: `http://127.0.0.1:${port}` }, NotDragonLockError, /127\.0\.0\.1:\d+ is not a Dragon Lock server/);
  const https = connect({ url: server.url.replace('http:', 'https:'), timeout: 10_000 });
  await assert.rejects(https.kv.get('a'), {
    name: 'UnreachableError',
    message: /^Cannot reach https:.* \(TLS: .*\)\.$/,
  });
  await assert.rejects(https.watch.key('a').next(), { name: 'UnreachableError' });
  for (const options of [
    { url: 'localhost' },
    { url: 'http://user:secret@localhost' },
    { account: 'a b' },
    { token: 'a\nb' },
    { timeout: 0 },
  ]) {
    assert.throws(() => new DragonLock({ account: 'acc', ...options }), {
      name: 'TypeError',
      message: /^(url|account|token|timeout): /,
    });
  }
});

test('a variable of the environment that is set to nothing counts as unset', (t) => {
  const names = ['DRAGONLOCK_URL', 'DRAGONLOCK_ACCOUNT', 'DRAGONLOCK_TOKEN'];
  const before = names.map((name) => process.env[name]);
  t.after(() => {
    for (const [i, name] of names.entries()) {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }
  });
  for (const name of names) process.env[name] = '';
  assert.equal(new DragonLock({ account: 'acc' }).url, 'http://127.0.0.1:8081');
  assert.throws(() => new DragonLock(), { message: /DRAGONLOCK_ACCOUNT, got neither/ });
});

test('if no server listens, watches wait and other calls fail in time', async () => {
  const client = connect({ url: 'http://127.0.0.1:9', timeout: 300 });
  await assert.rejects(client.kv.get('a'), { code: 'unreachable', message: /Cannot reach .*ECONNREFUSED/ });
  const signal = AbortSignal.timeout(1000);
  await assert.rejects(client.watch.key('a', { signal }).next(), { name: 'TimeoutError' });
});

test('a forbidden batch does not fail the calls that travel with it', async () => {
  await connect().kv.set('readable', 1);
  const reader = connect({ token: 'reader' });
  const [set, got] = await Promise.allSettled([reader.kv.set('x', 1), reader.kv.get('readable')]);
  assert.ok(set.status === 'rejected' && set.reason instanceof ForbiddenError);
  assert.ok(got.status === 'fulfilled' && got.value?.value === 1);
});

test('large values travel and come back, many at once', async () => {
  const client = connect();
  const value = 'x'.repeat(60_000);
  const keys = Array.from({ length: 40 }, (_, n) => `large/${n}`);
  await Promise.all(keys.map((key) => client.kv.set(key, value)));
  const got = await Promise.all(keys.map((key) => client.kv.get(key)));
  assert.ok(got.every((entry) => entry?.value === value));
  await assert.rejects(client.kv.set('too large', 'x'.repeat(70_000)), { code: 'too_large' });
});

test('values are merged, compared and shown as they were; counters are listed and end', async () => {
  const client = connect();
  await client.kv.set('profile', { name: 'Ada', tags: ['a'], old: 1 });
  await client.kv.merge('profile', { tags: ['b'], old: null, address: { city: 'London' } });
  const merged = { name: 'Ada', tags: ['b'], address: { city: 'London' } };
  assert.deepEqual((await client.kv.get('profile'))?.value, merged);
  const { set, atomic } = await client.batch({
    check: [{ key: 'profile', equals: { address: { city: 'London' }, tags: ['b'], name: 'Ada' } }],
    atomic: [{ key: 'windows/1', add: 3, ttl: '1h' }],
    set: [
      { key: 'profile', value: 'gone', old: true },
      { key: 'nothing before', merge: { a: 1 }, old: true },
    ],
  });
  assert.deepEqual(set[0]?.old?.value, merged);
  assert.deepEqual(['old' in set[1]!, set[1]!.old], [true, undefined]);
  assert.ok(atomic[0]!.till! > Date.now());
  await client.batch({ check: [{ counter: 'windows/1', equals: 3 }], get: ['profile'] });
  await assert.rejects(client.batch({ check: [{ counter: 'windows/1', equals: 2 }] }), PreconditionFailedError);
  await assert.rejects(client.batch({ check: [{ key: 'profile', equals: null }] }), PreconditionFailedError);
  await client.counter.add('windows/2', 1, { ttl: '1h' });
  for (const key of ['below/1', 'below/2']) await client.kv.set(key, 1);
  const { get, range } = await client.batch({ get: ['below/1'], range: { prefix: 'below/', limit: 1 } });
  assert.deepEqual([get.length, range?.entries[0]?.key, range?.after], [1, 'below/1', 'below/1']);
  assert.equal(await client.kv.deletePrefix('below/'), 2);
  await assert.rejects(client.kv.deletePrefix(''), /prefix: expected at least one character, or all, got ""/);
  const listed = await Array.fromAsync(client.counter.list('windows/', { limit: 1 }));
  assert.deepEqual(
    listed.map(({ key, value, till }) => [key, value, typeof till]),
    [
      ['windows/1', 3, 'number'],
      ['windows/2', 1, 'number'],
    ],
  );
});

test('an addition keeps within its floor and ceil, and a check of existence refuses the whole batch', async () => {
  const client = connect();
  assert.equal(await client.counter.add('stock', 3, { ceil: 3 }), 3);
  await assert.rejects(client.counter.add('stock', 1, { floor: 0, ceil: 3 }), (error: Error) => {
    assert.ok(error instanceof OutOfBoundsError);
    assert.deepEqual([error.key, error.value, error.retryable], ['stock', 3, false]);
    return true;
  });
  const buy = {
    check: [{ key: 'sold', exists: false }],
    atomic: [{ key: 'stock', add: -2, floor: 0 }],
    set: [{ key: 'sold', value: 2 }],
  };
  assert.equal((await client.batch(buy)).atomic[0]?.value, 1);
  await assert.rejects(client.batch(buy), (error: Error) => {
    assert.ok(error instanceof PreconditionFailedError);
    assert.deepEqual([error.key, (error.version ?? 0) > 0, error.value], ['sold', true, undefined]);
    return true;
  });
  assert.equal(await client.counter.get('stock'), 1);
});

test('a list of keys or of locks continues over its pages', async () => {
  const client = connect();
  const keys = Array.from({ length: 25 }, (_, n) => `page/${String(n).padStart(2, '0')}`);
  await Promise.all(keys.map((key) => client.kv.set(key, key)));
  const listed = await Array.fromAsync(client.kv.list('page/', { limit: 10 }));
  assert.deepEqual(
    listed.map(({ key }) => key),
    keys,
  );
  const locks = await Promise.all(keys.map((id) => client.lock(id, { wait: 0 })));
  const held = await Array.fromAsync(client.locks.list('page/', { limit: 10 }));
  assert.deepEqual(
    held.map(({ id }) => id),
    keys,
  );
  await Promise.all(locks.map((lock) => lock.release()));
});

test('a watch of several keys shows their current state, then each change', async () => {
  const client = connect();
  await client.kv.set('w/a', 1);
  const seen: string[] = [];
  for await (const state of client.watch.keys(['w/a', 'w/b'])) {
    seen.push(`${state.key} ${state.kind === 'value' ? String(state.value) : state.kind}`);
    if (seen.length === 2) await client.kv.set('w/b', 2);
    if (seen.length === 3) await client.kv.delete('w/a');
    if (seen.length === 4) break;
  }
  assert.deepEqual(seen, ['w/a 1', 'w/b none', 'w/b 2', 'w/a none']);
});

test('a watch of several keys shows every change of a rare one beside one that changes all the time', async () => {
  const client = connect();
  const keys = ['fair/hot', ...Array.from({ length: 5 }, (_, n) => `fair/cold${n}`)];
  const stop = { now: false };
  const heating = (async () => {
    while (!stop.now) await Promise.all(Array.from({ length: 4 }, () => client.kv.set('fair/hot', 'hot')));
  })();
  const colds = new Set<string>();
  let events = 0;
  for await (const { key, kind } of client.watch.keys(keys)) {
    events += 1;
    if (events === keys.length) {
      // From here on the hot key has changed at each poll.
      await Promise.all(keys.slice(1).map((cold) => client.kv.set(cold, 1)));
    }
    if (events > keys.length && kind === 'value' && key !== 'fair/hot') colds.add(key);
    if (colds.size === 5) break;
    assert.ok(events < 60, `${colds.size} of 5 cold keys among ${events} events`);
  }
  stop.now = true;
  await heating;
});

test('a watch that cannot keep up gets another list, and continues after it', async () => {
  const client = connect();
  await client.kv.set('slow/0', 0);
  const watch = client.watch.prefix('slow/');
  const next = async (): Promise<PrefixEvent> => (await watch.next()).value;
  assert.equal((await next()).kind, 'list');
  // The watch stops reading until the server has trimmed the history that it needs.
  const value = 'x'.repeat(60_000);
  const start = (await client.kv.get('slow/0'))!.version;
  for (let round = 0; ; round += 1) {
    assert.ok(round < 200, 'history is trimmed in the end');
    await Promise.all(Array.from({ length: 20 }, (_, n) => client.kv.set(`slow/${n}`, value)));
    const probe = await server.call(
      'POST',
      '/watch/acc',
      { Prefix: 'none/', After: start, Wait: 0 },
      { headers: { authorization: 'Bearer all' } },
    );
    if (probe.status === 410) break;
  }
  const list = await next();
  assert.ok(list.kind === 'list' && list.entries.length === 20);
  await client.kv.set('slow/0', 'after');
  const commit = await next();
  assert.ok(commit.kind === 'commit' && commit.rev > list.rev);
  assert.deepEqual(commit.changes, [{ kind: 'set', key: 'slow/0', version: commit.rev, value: 'after' }]);
});

test('closing the client ends its watches and calls', async () => {
  const client = connect();
  const watching = assert.rejects(client.watch.key('never', { version: 0 }).next(), { code: 'closed' });
  await server.watchers(1);
  await client.close();
  await watching;
  await assert.rejects(client.kv.get('a'), { code: 'closed' });
});

test('the client reaches the server that replaces another at its address', async (t) => {
  const other = await ServerUnderTest.forTest(t);
  const client = connect({ url: other.url, token: undefined });
  const { boot } = await client.version();
  await other.restart('stop', { listen: `127.0.0.1:${other.port}` });
  assert.notEqual((await client.version()).boot, boot);
});
