/** Watches and lists as async iterators: fair, left at any moment, and kept through gateways that cut them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClosedError, NotDragonLockError } from '../../src/client/errors.ts';
import { DragonLockStore } from '../../src/client/store/dragon-lock-store.ts';
import { settled } from './fake-clock.ts';
import { clientUnderTest, type ClientUnderTest, type Exchange } from './fake-transport.ts';

const state = (key: string, version: number): object => ({ Key: key, Version: version, Value: version, Rev: version });
const keysIn = (exchange: Exchange): string[] => {
  const { IDs } = JSON.parse(exchange.request.body ?? '') as { IDs: { ID: string }[] };
  return IDs.map(({ ID }) => ID);
};

test('a key that changes all the time does not hide the changes of the others', async () => {
  const { client, transport } = clientUnderTest();
  const names = ['hot', 'warm', 'cold'];
  const watch = client.watch.keys(names.map((key) => ({ key, version: 1 })));
  const seen: string[] = [];
  for (let version = 2; version < 11; version += 1) {
    const next = watch.next();
    await settled();
    const exchange = transport.take();
    const keys = keysIn(exchange);
    assert.equal(keys.length, 3);
    // The server answers with the first key that has changed. Here all have, always.
    await exchange.reply(200, state(keys[0]!, version));
    seen.push((await next).value.key);
  }
  assert.deepEqual(seen, [...names, ...names, ...names]);
});

type Loop = AsyncGenerator<unknown, unknown, undefined>;
const loops: Readonly<Record<string, (made: ClientUnderTest, signal?: AbortSignal) => Loop>> = {
  'watch.key': ({ client }, signal) => client.watch.key('a', { version: 1, signal }),
  'watch.keys': ({ client }, signal) => client.watch.keys(['a', 'b'], { signal }),
  'watch.prefix': ({ client }, signal) => client.watch.prefix('a/', { after: 1, signal }),
  'watch.prefix, its list': ({ client }, signal) => client.watch.prefix('a/', { signal }),
  'kv.list': ({ client }, signal) => client.kv.list('a/', { signal }),
  'locks.list': ({ client }, signal) => client.locks.list('a/', { signal }),
  'store.watch': ({ client }) => new DragonLockStore({ client }).watch('a'),
  'store.watchTree': ({ client }) => new DragonLockStore({ client }).watchTree('a/'),
};

for (const [name, open] of Object.entries(loops)) {
  test(`${name} can be left while it waits`, async () => {
    const made = clientUnderTest();
    for (const how of ['return', 'throw', 'dispose'] as const) {
      const loop = open(made);
      const [first, second] = [loop.next(), loop.next()];
      await settled();
      assert.equal(made.transport.exchanges.length, 1);
      if (how === 'return') assert.deepEqual(await loop.return('mine'), { done: true, value: 'mine' });
      if (how === 'throw') await assert.rejects(loop.throw(new Error('mine')), /mine/);
      if (how === 'dispose') await loop[Symbol.asyncDispose]();
      assert.deepEqual(
        await Promise.all([first, second, loop.next()]),
        [1, 2, 3].map(() => ({ done: true, value: undefined })),
      );
      assert.deepEqual(await loop.return('again'), { done: true, value: 'again' });
      await settled();
      made.transport.exchanges.length = 0;
    }
    assert.equal(made.clock.nextMs, undefined, 'no timer is left');
  });
}

test('a watch that was never begun can be left, and one that waits between two attempts', async () => {
  const { client, transport, clock } = clientUnderTest();
  assert.equal((await client.watch.key('a').return(undefined as never)).done, true);
  const watch = client.watch.key('a', { version: 1 });
  const next = watch.next();
  await settled();
  await transport.take().breaks('sent');
  await watch.return(undefined as never);
  assert.equal((await next).done, true);
  await clock.pass(60_000);
  assert.equal(transport.exchanges.length, 0);
});

test('a signal still ends a watch with its reason, and a closed client with its own', async () => {
  const { client, transport } = clientUnderTest();
  const giveUp = new AbortController();
  const rejected = assert.rejects(client.watch.key('a', { version: 1, signal: giveUp.signal }).next(), /enough/);
  await settled();
  giveUp.abort(new Error('enough'));
  await rejected;
  const closed = assert.rejects(client.watch.key('a', { version: 1 }).next(), ClosedError);
  await settled();
  transport.exchanges.shift();
  await client.close();
  await transport.take().breaks('sent');
  await closed;
});

test('a gateway that cuts each poll neither ends a watch, nor slows it down, nor is asked in a busy loop', async () => {
  const { client, transport, clock } = clientUnderTest();
  const next = client.watch.key('a', { version: 1 }).next();
  await settled();
  for (let cut = 0; cut < 40; cut += 1) {
    await clock.pass(3000);
    await transport.take().gateway(504);
    await clock.pass(20);
    assert.equal(transport.exchanges.length, 0, 'not at once');
    // A poll whose own time is over is asked anew, after another delay.
    await clock.pass(80);
    assert.equal(transport.exchanges.length, 1, `after cut ${cut}`);
  }
  await transport.take().reply(200, state('a', 7));
  assert.equal((await next).value.version, 7);

  const failing = client.watch.key('a', { version: 1 }).next();
  void failing;
  await settled();
  let asked = 0;
  for (let ms = 0; ms < 60_000; ms += 100) {
    for (const exchange of transport.exchanges.splice(0)) {
      asked += 1;
      await exchange.gateway(503);
    }
    await clock.pass(100);
  }
  assert.ok(asked > 20 && asked < 60, `${asked} in a minute, while each is refused at once`);
});

test('a watch begins with a foreign server only if it never had contact with the right one', async () => {
  const { client, transport, clock } = clientUnderTest();
  transport.version = undefined;
  const rejected = assert.rejects(client.watch.key('a').next(), NotDragonLockError);
  await settled();
  await transport.take().gateway(404, 'nothing here');
  await rejected;

  const next = client.watch.key('a', { version: 1 }).next();
  await settled();
  await transport.take().reply(200, { Version: '0.1.0' });
  await transport.take().gateway(404, 'default backend');
  await clock.pass(50);
  await transport.take().breaks('for good');
  await clock.pass(100);
  await transport.take().reply(200, state('a', 7));
  assert.equal((await next).value.version, 7);
});
