/** What the client refuses before it sends anything, in the names that its callers write. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock, InvalidError, type DragonLockOptions, type Duration } from '../../src/client/exports.ts';
import { inClientNames } from '../../src/client/client-names.ts';
import { DragonLockStore, DynamoDbStore, type DynamoDbCalls, type Store } from '../../src/client/store/exports.ts';
import { clientUnderTest } from './fake-transport.ts';
import { settled } from './fake-clock.ts';

type Loose = Record<string, (...parameters: unknown[]) => unknown>;

/** An object whose calls the compiler does not check, as in plain JavaScript. */
function loose(object: object): Loose {
  return object as Loose;
}

const run = (): void => undefined;

/** Runs a call that must be refused, at once or by its promise or its first item. @returns the message */
async function refusal(call: () => unknown): Promise<string> {
  try {
    const result = call();
    await (result instanceof Promise ? result : (result as AsyncGenerator).next());
  } catch (error) {
    assert.ok(error instanceof InvalidError, String(error));
    return error.message;
  }
  return assert.fail('it was not refused');
}

function stores(): readonly Store[] {
  const { client } = clientUnderTest();
  const calls = {} as DynamoDbCalls;
  return [new DragonLockStore({ client }), new DynamoDbStore({ client: calls, tableName: 't', partition: 'p' })];
}

test('every call refuses an option that does not exist, and sends nothing', async () => {
  const { client, transport } = clientUnderTest();
  const wrong = { nonsense: 1 };
  const calls: Readonly<Record<string, () => unknown>> = {
    'kv.get': () => loose(client.kv)['get']!('k', wrong),
    'kv.getAll': () => loose(client.kv)['getAll']!(['k'], wrong),
    'kv.set': () => loose(client.kv)['set']!('k', 1, wrong),
    'kv.delete': () => loose(client.kv)['delete']!('k', wrong),
    'kv.merge': () => loose(client.kv)['merge']!('k', {}, wrong),
    'kv.deletePrefix': () => loose(client.kv)['deletePrefix']!('k', wrong),
    'counter.list': () => loose(client.counter)['list']!('k', wrong),
    'kv.page': () => loose(client.kv)['page']!(wrong),
    'kv.list': () => loose(client.kv)['list']!('', wrong),
    'counter.get': () => loose(client.counter)['get']!('k', wrong),
    'counter.add': () => loose(client.counter)['add']!('k', 1, wrong),
    'counter.set': () => loose(client.counter)['set']!('k', 1, wrong),
    'counter.max': () => loose(client.counter)['max']!('k', 1, wrong),
    'counter.min': () => loose(client.counter)['min']!('k', 1, wrong),
    'counter.reset': () => loose(client.counter)['reset']!('k', wrong),
    'sequence.next': () => loose(client.sequence)['next']!('k', wrong),
    'sequence.block': () => loose(client.sequence)['block']!('k', 1, wrong),
    'sequence.get': () => loose(client.sequence)['get']!('k', wrong),
    'sequence.reset': () => loose(client.sequence)['reset']!('k', wrong),
    'locks.get': () => loose(client.locks)['get']!('k', wrong),
    'locks.isHeld': () => loose(client.locks)['isHeld']!('k', 1, wrong),
    'locks.page': () => loose(client.locks)['page']!(wrong),
    'locks.list': () => loose(client.locks)['list']!('', wrong),
    'locks.force': () => loose(client.locks)['force']!('k', wrong),
    'watch.key': () => loose(client.watch)['key']!('k', wrong),
    'watch.keys': () => loose(client.watch)['keys']!(['k'], wrong),
    'watch.prefix': () => loose(client.watch)['prefix']!('k', wrong),
    batch: () => loose(client)['batch']!({}, wrong),
    'batch of nonsense': () => loose(client)['batch']!(wrong),
    limit: () => loose(client)['limit']!('k', wrong),
    lock: () => loose(client)['lock']!('k', wrong),
    mutex: () => loose(client)['mutex']!('k', wrong),
    withLock: () => loose(client)['withLock']!('k', wrong, run),
    withMutex: () => loose(client)['withMutex']!('k', wrong, run),
  };
  for (const [name, call] of Object.entries(calls)) {
    assert.match(await refusal(call), /^unknown option "nonsense"; expected one of [a-z]/i, name);
  }
  for (const store of stores()) {
    const s = loose(store);
    for (const [name, call] of Object.entries({
      put: () => s['put']!('k', wrong),
      get: () => s['get']!('k', wrong),
      list: () => s['list']!('k', wrong),
      exists: () => s['exists']!('k', wrong),
      atomicPut: () => s['atomicPut']!('k', wrong),
      lock: () => loose(store.newLock('k'))['lock']!(wrong),
      newLock: () => s['newLock']!('k', wrong),
      watch: () => (s['watch'] ?? s['newLock'])!('k', wrong),
      watchTree: () => (s['watchTree'] ?? s['newLock'])!('k', wrong),
    })) {
      assert.match(await refusal(call), /^unknown option "nonsense"; expected one of /, name);
    }
  }
  await settled();
  assert.deepEqual(transport.exchanges, []);
});

test('an unknown option is answered with the name that was meant', async () => {
  const { client } = clientUnderTest();
  const told = async (options: object): Promise<string> => await refusal(() => loose(client)['lock']!('k', options));
  assert.equal(await told({ dur: 5 }), 'unknown option "dur"; did you mean "ttl"?');
  assert.equal(await told({ TTL: 5 }), 'unknown option "TTL"; did you mean "ttl"?');
  assert.equal(await told({ timeout: 5 }), 'unknown option "timeout"; did you mean "wait"?');
  assert.equal(await told({ singal: 5 }), 'unknown option "singal"; did you mean "signal"?');
  assert.equal(
    await refusal(() => loose(client.kv)['set']!('k', 1, { ex: 60 })),
    'unknown option "ex"; did you mean "ttl"?',
  );
  assert.equal(
    await refusal(() => loose(client.kv)['set']!('k', 1, 60)),
    'options: expected an object with version, ttl, signal, got 60',
  );
  assert.equal(
    await refusal(() => loose(client.kv)['get']!('k', null)),
    'options: expected an object with signal, got null',
  );
  assert.equal(await told({ signal: 5 }), 'signal: expected an AbortSignal, got 5');
  assert.equal(await told({ signal: new AbortController() }), 'signal: expected an AbortSignal, got an object');
});

test('nested options of a batch are refused with their place', async () => {
  const { client } = clientUnderTest();
  const told = async (batch: object): Promise<string> => await refusal(() => loose(client)['batch']!(batch));
  for (const [batch, message] of [
    [{ sets: [] }, 'unknown option "sets"; did you mean "set"?'],
    [
      {
        set: [
          { key: 'a', value: 1 },
          { key: 'a', val: 1 },
        ],
      },
      'set[1]: unknown option "val"; did you mean "value"?',
    ],
    [{ set: [{ key: 'a', delete: true, ttl: 5 }] }, /^set\[0\]: unknown option "ttl"; expected one of key, delete/],
    [{ set: { key: 'a', value: 1 } }, 'set: expected an array, got an object'],
    [{ set: [{ key: 'a', value: 1, ttl: 0 }] }, /^set\[0\]\.ttl: expected 1 to \d+ milliseconds, got 0$/],
    [{ atomic: [{ key: 'a', incr: 1 }] }, 'atomic[0]: unknown option "incr"; did you mean "add"?'],
    [{ atomic: [{ key: 'a', max: 1, floor: 0 }] }, /^atomic\[0\]: unknown option "floor"/],
    [{ atomic: [{ key: 'a' }] }, 'atomic[0]: expected add, max, min or set'],
    [{ atomic: [{ key: 'a', add: NaN }] }, 'atomic[0].add: expected an integer within ±(2^53−1), got NaN'],
    [{ check: [{ key: 'a', ver: 1 }] }, 'check[0]: unknown option "ver"; did you mean "version"?'],
    [{ check: [{ key: 'a' }] }, 'check[0]: expected version, exists or equals, got none'],
    [{ guard: [{ id: 'a', lock: 1 }] }, 'guard[0]: unknown option "lock"; did you mean "fence"?'],
    [{ guard: [{ id: 'a', fence: Infinity }] }, 'guard[0].fence: expected an integer from 1 to 2^53−1, got Infinity'],
    [{ lock: { id: 'a', dur: 5 } }, 'lock: unknown option "dur"; did you mean "ttl"?'],
    [{ lock: { id: 'a', ttl: '5' } }, /^lock\.ttl: expected milliseconds, or a duration such as/],
    [{ unlock: { id: 'a', token: 5 } }, 'unlock: unknown option "token"; did you mean "fence"?'],
    [{ idempotency: { ids: ['a'], TTL: 5 } }, 'idempotency: unknown option "TTL"; did you mean "ttl"?'],
    [{ idempotency: { ids: ['a'], mode: 'again' } }, /^idempotency\.mode: expected "replay" or "refuse"/],
    [{ get: ['a', 5] }, /^get\[1\]: expected 1 to 512 bytes/],
  ] as const) {
    const got = await told(batch);
    if (typeof message === 'string') assert.equal(got, message);
    else assert.match(got, message);
  }
});

test('constructors refuse what they do not know, with a TypeError', () => {
  for (const [options, message] of [
    [{ host: 'x' }, /^unknown option "host"; did you mean "url"\?$/],
    [{ timeOut: 5 }, /did you mean "timeout"\?$/],
    [{ timeout: '5 parsecs' }, /^timeout: expected milliseconds, or a duration such as/],
    [{ timeout: NaN }, /^timeout: /],
    [{ connections: 1.5 }, /^connections: expected an integer from 1/],
    [{ coalesce: 'false' }, /^coalesce: expected true or false, got "false"$/],
    [{ url: 5 }, /^url: expected a string, got 5$/],
  ] as const) {
    const make = (): DragonLock => new DragonLock({ account: 'acc', ...options } as unknown as DragonLockOptions);
    assert.throws(make, { name: 'TypeError', message });
  }
  const calls = {} as DynamoDbCalls;
  const table = { client: calls, tableName: 't', partition: 'p' };
  assert.throws(() => new DynamoDbStore({ ...table, pollMS: 5 } as never), {
    name: 'TypeError',
    message: /"pollMs"\?$/,
  });
  assert.throws(() => new DynamoDbStore({ ...table, pollMs: 'x' } as never), {
    name: 'TypeError',
    message: /^pollMs: /,
  });
  const { client } = clientUnderTest();
  assert.throws(() => new DragonLockStore({ client, ttl: 5 } as never), { name: 'TypeError', message: /"ttl"/ });
  assert.equal(new DragonLock({ account: 'acc', timeout: '1.5s' }).account, 'acc');
});

test('a duration has its unit, or is milliseconds', async () => {
  const { client, transport } = clientUnderTest();
  const ttls = ['500ms', '60s', '1.5s', '5m', '2h', '1d', 250] as const satisfies Duration[];
  const set = ttls.map((ttl, i) => ({ key: `k${i}`, value: 1, ttl }));
  void client.batch({ set, lock: { id: 'l', ttl: '30s', wait: '0s' }, idempotency: { ids: ['i'], ttl: '1h' } });
  await settled();
  const wire = transport.take().batches[0]!;
  const seconds = (wire['KVSet'] as { TTL: number }[]).map(({ TTL }) => TTL);
  assert.deepEqual(seconds, [0.5, 60, 1.5, 300, 7200, 86_400, 0.25]);
  assert.deepEqual([wire['LockDur'], wire['IdempotencyTTL']], [30, 3600]);
  for (const ttl of ['60', '', 's', '5 s', '-5s', '1e3s', '5sec', '٣s', NaN, Infinity, -1, null, true, 5n, {}]) {
    assert.match(await refusal(() => loose(client.kv)['set']!('k', 1, { ttl })), /^ttl: expected /);
    assert.match(await refusal(() => loose(client)['lock']!('k', { ttl })), /^ttl: expected /);
    assert.match(await refusal(() => loose(client)['mutex']!('k', { wait: ttl })), /^wait: expected /);
    for (const store of stores()) {
      assert.match(await refusal(() => loose(store)['put']!('k', { ttl })), /^ttl: expected /);
      assert.match(await refusal(() => loose(store)['newLock']!('k', { ttl })), /^ttl: expected /);
    }
  }
});

test('a value that JSON would change is refused with its place', async () => {
  const circle: Record<string, unknown> = { list: [] };
  (circle['list'] as unknown[]).push({ back: circle });
  const deep = Array.from({ length: 200 }).reduce<unknown>((inner) => [inner], 1);
  for (const [value, message] of [
    [{ items: [0, 1, 2, { price: NaN }] }, 'value.items[3].price: NaN has no JSON'],
    [-Infinity, 'value: -Infinity has no JSON'],
    [undefined, 'value: undefined has no JSON; expected null for nothing'],
    [[1, undefined], 'value[1]: undefined has no JSON; expected null for nothing'],
    [Array(2), 'value[0]: undefined has no JSON; expected null for nothing'],
    [{ at: new Date(NaN) }, 'value.at: an invalid Date has no JSON'],
    [{ 'a b': 5n }, 'value["a b"]: the BigInt 5 has no JSON; expected a number, or a string'],
    [{ f: () => 1 }, 'value.f: a function has no JSON'],
    [{ s: Symbol('s') }, 'value.s: a symbol has no JSON'],
    [{ m: new Map([[1, 2]]) }, 'value.m: a Map has no JSON; expected an object or an array'],
    [new Set([1]), 'value: a Set has no JSON; expected an object or an array'],
    [{ b: Buffer.from('x') }, 'value.b: a Buffer has no JSON; expected a string, for example in base64'],
    [new Uint8Array(2), 'value: a Uint8Array has no JSON; expected a string, for example in base64'],
    [new ArrayBuffer(2), 'value: an ArrayBuffer has no JSON'],
    [{ e: new Error('x') }, 'value.e: an Error has no JSON'],
    [/x/, 'value: a RegExp has no JSON'],
    [Promise.resolve(1), 'value: a Promise has no JSON'],
    [new Number(NaN), 'value: NaN has no JSON'],
    [{ toJSON: () => ({ n: NaN }) }, 'value.n: NaN has no JSON'],
    [circle, 'value.list[0].back: circular: it contains itself'],
    [deep, /^value(\[0\]){128}: nested too deeply; expected at most 128 levels$/],
  ] as const) {
    const { client } = clientUnderTest();
    const places: [string, () => unknown][] = [
      ['value', () => client.kv.set('k', value)],
      ['set[0].value', () => client.batch({ set: [{ key: 'k', value }] })],
    ];
    if (value !== undefined) {
      places.push(
        ['meta', () => client.lock('k', { meta: value })],
        ['meta', () => client.mutex('k', { meta: value })],
      );
      for (const store of stores()) {
        places.push(['value', () => store.put('k', { value })], ['value', () => store.newLock('k', { value })]);
      }
    }
    for (const [place, call] of places) {
      const got = await refusal(call);
      assert.ok(got.startsWith(place), got);
      const there = `value${got.slice(place.length)}`;
      if (typeof message === 'string') assert.equal(there, message);
      else assert.match(there, message);
    }
  }
});

test('a value that JSON can express is sent as JSON has it', async () => {
  class Order {
    readonly total = 5;
    readonly left = undefined;
  }
  const shared = { n: 1 };
  const date = new Date(0);
  const value = {
    order: new Order(),
    date,
    url: new URL('http://a/'),
    twice: [shared, shared],
    bare: Object.create(null),
  };
  const { client, transport } = clientUnderTest();
  const done = client.kv.set('k', value);
  await settled();
  const exchange = transport.take();
  assert.deepEqual((exchange.batches[0]!['KVSet'] as { Value: unknown }[])[0]!.Value, {
    order: { total: 5 },
    date: '1970-01-01T00:00:00.000Z',
    url: 'http://a/',
    twice: [{ n: 1 }, { n: 1 }],
    bare: {},
  });
  await exchange.succeed();
  assert.equal(await done, 7);
});

test('numbers that are none are refused by name', async () => {
  const { client } = clientUnderTest();
  for (const [call, name] of [
    [() => client.counter.add('c', NaN), 'add'],
    [() => client.counter.add('c', 1, { floor: 0.5 }), 'floor'],
    [() => client.counter.set('c', Infinity), 'value'],
    [() => client.counter.set('c', 1, { ifEq: NaN }), 'ifEq'],
    [() => client.counter.max('c', 1.5), 'max'],
    [() => client.kv.set('k', 1, { version: NaN }), 'version'],
    [() => client.kv.delete('k', { version: -1 }), 'version'],
    [() => client.kv.page({ limit: 0 }), 'limit'],
    [() => client.kv.list('', { limit: NaN }), 'limit'],
    [() => client.sequence.block('s', 0), 'n'],
    [() => client.locks.isHeld('l', NaN), 'fence'],
    [() => client.watch.key('k', { version: NaN }), 'version'],
    [() => client.watch.prefix('', { after: -1 }), 'after'],
    [() => client.watch.keys([{ key: 'k', version: 0.5 }]), 'keys[0].version'],
    [() => client.kv.get(''), 'key'],
    [() => client.kv.getAll(['a', '']), 'keys[1]'],
    [() => client.locks.force(''), 'id'],
    [() => client.lock(''), 'id'],
  ] as const) {
    const got = await refusal(call);
    assert.ok(got.startsWith(`${name}: expected `), got);
  }
});

test('withLock and withMutex take their function with or without options', async () => {
  const { client, transport } = clientUnderTest();
  for (const call of [() => loose(client)['withLock']!('k'), () => loose(client)['withMutex']!('k', {}, 5)]) {
    assert.match(await refusal(call), /^the function to run: expected a function, got /);
  }
  for (const run of [
    () => client.withLock('k', ({ id }) => id),
    () => client.withLock('k', undefined, ({ id }) => id),
    () => client.withMutex('k', ({ id }) => id),
  ]) {
    const done = run();
    await settled();
    await transport.take().reply(200, { Rev: 1, Lock: 1, TillMs: 1 });
    await transport.take().reply(200, { Rev: 2 });
    assert.equal(await done, 'k');
  }
});

test('messages of the server are told in the names of the client', async () => {
  const { client, transport } = clientUnderTest();
  const told = async (call: () => Promise<unknown>, message: string, code = 'invalid'): Promise<string> => {
    const failed = call().then(
      () => 'no error',
      (error: Error) => error.message,
    );
    await settled();
    await transport.take().reply(400, { Code: code, Message: message, RequestID: 'b-1' });
    return await failed;
  };
  const set = (): Promise<unknown> => client.kv.set('k', { Value: { Key: 1 } });
  assert.equal(await told(set, 'KVSet[0].Value.Value.Key: nested'), 'value.Value.Key: nested');
  assert.equal(await told(set, 'KVSet[0].TTL: expected more, got 0'), 'ttl: expected more, got 0');
  assert.equal(await told(set, '[3].KVSet[0].Value: too large', 'too_large'), 'value: too large');
  const batch = (): Promise<unknown> => client.batch({ set: [{ key: 'k', value: 1 }] });
  assert.equal(await told(batch, 'KVSet[0].TTL: given together with Delete'), 'set[0].ttl: given together with delete');
  assert.equal(await told(batch, 'The key "KVSet[0].Key" has Delete'), 'The key "KVSet[0].Key" has delete');
  const lock = (): Promise<unknown> => client.lock('k');
  assert.equal(await told(lock, 'LockMeta: 2000 bytes of JSON', 'too_large'), 'meta: 2000 bytes of JSON');
  assert.equal(await told(() => client.counter.add('c'), 'Atomic[0].Add: expected 1'), 'add: expected 1');
  const given = new Error('KVSet');
  assert.equal(inClientNames(given), given);
  assert.equal(given.message, 'KVSet');
});
