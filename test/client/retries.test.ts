import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DrainingError,
  InternalError,
  NotDragonLockError,
  OutcomeUnknownError,
  ServerTooOldError,
  UnreachableError,
} from '../../src/client/errors.ts';
import { backoffMs } from '../../src/client/retry.ts';
import { settled } from './fake-clock.ts';
import { clientUnderTest } from './fake-transport.ts';

test('a write without a reply is sent again with the same id', async () => {
  const { client, transport, clock } = clientUnderTest();
  const added = client.counter.add('n', 5);
  await settled();
  const first = transport.take();
  const id = first.batches[0]?.['IdempotencyIDs'];
  assert.ok(Array.isArray(id) && id.length === 1);
  assert.equal(first.batches[0]?.['IdempotencyMode'], 'replay');
  await first.breaks('sent');
  await clock.pass(50);
  const second = transport.take();
  assert.equal(second.request.body, first.request.body);
  await second.succeed();
  assert.equal(await added, 5);
});

test('a sequence has its id in the header', async () => {
  const { client, transport, clock } = clientUnderTest();
  void client.sequence.next('s');
  await settled();
  const first = transport.take();
  assert.ok(first.request.idempotencyKey);
  await first.breaks('sent');
  await clock.pass(50);
  assert.equal(transport.take().request.idempotencyKey, first.request.idempotencyKey);
});

test('a write without an id is sent again only if nothing was sent or done', async () => {
  const { client, transport, clock } = clientUnderTest({ retryWrites: false });
  const set = client.kv.set('a', 1);
  await settled();
  assert.equal(transport.exchanges[0]?.batches[0]?.['IdempotencyIDs'], undefined);
  await transport.take().breaks('before');
  await clock.pass(50);
  await transport.take().fails('draining', 503);
  await clock.pass(100);
  const rejected = assert.rejects(set, OutcomeUnknownError);
  await transport.take().breaks('sent');
  await rejected;
  assert.equal(transport.exchanges.length, 0);
});

test('ids of the caller keep their meaning: only the id of the client marks its own first attempt', async () => {
  const { client, transport, clock } = clientUnderTest();
  const batch = { idempotency: { ids: ['order-1'] }, atomic: [{ key: 'n', add: 1 }] };
  const mine = client.batch(batch);
  await settled();
  const first = transport.take();
  const ids = first.batches[0]?.['IdempotencyIDs'] as string[];
  assert.equal(ids.length, 2);
  await first.breaks('sent');
  await clock.pass(50);
  const Response = { Atomic: [{ Key: 'n', Value: 1, Old: 0 }], Rev: 3 };
  const duplicate = { Code: 'duplicate_request', Message: 'used', Same: true, Rev: 3, Response };
  await transport.take().reply(409, { ...duplicate, IDs: ids });
  assert.equal((await mine).atomic[0]?.value, 1);

  const theirs = client.batch(batch);
  await settled();
  const rejected = assert.rejects(theirs, { name: 'DuplicateRequestError', response: Response, same: true });
  await transport.take().reply(409, { ...duplicate, IDs: ['order-1'] });
  await rejected;
});

test('reads are sent again after any loss', async () => {
  const { client, transport, clock } = clientUnderTest();
  const got = client.kv.get('a');
  await settled();
  for (const how of ['sent', 'before', 'sent'] as const) {
    await transport.take().breaks(how);
    await clock.pass(2000);
  }
  await transport.take().succeed();
  assert.equal((await got)?.value, 'v');
});

test('a transient error is retried after the delay of the server, any other rejects at once', async () => {
  const { client, transport, clock } = clientUnderTest();
  const got = client.kv.get('a');
  await settled();
  await transport.take().fails('overloaded', 503, 1000);
  await clock.pass(999);
  assert.equal(transport.exchanges.length, 0);
  await clock.pass(1);
  const rejected = assert.rejects(got, InternalError);
  await transport.take().fails('internal', 500);
  await rejected;
  assert.equal(transport.exchanges.length, 0);
});

test('of an array only the overloaded batches are sent again, in order', async () => {
  const { client, transport, clock } = clientUnderTest();
  const outcomes = Promise.all(['a', 'b', 'c'].map((key) => client.kv.set(key, key)));
  await settled();
  const overloaded = { Status: 503, Code: 'overloaded', Message: 'later' };
  await transport.take().reply(200, [{ Status: 200, KVSet: [{ Key: 'a', Version: 5 }] }, overloaded, overloaded]);
  await clock.pass(100);
  const again = transport.take();
  assert.deepEqual(
    again.batches.map(({ KVSet }) => (KVSet as { Key: string }[])[0]?.Key),
    ['b', 'c'],
  );
  await again.succeed();
  assert.deepEqual(await outcomes, [5, 7, 7]);
});

for (const [how, expected] of [
  ['a read', UnreachableError],
  ['a write', OutcomeUnknownError],
] as const) {
  test(`${how} without a reply ends within its timeout`, async () => {
    const { client, transport, clock } = clientUnderTest({ timeout: 3000 });
    const call = how === 'a read' ? client.kv.get('a') : client.kv.set('a', 1);
    const rejected = assert.rejects(call, expected);
    await settled();
    let attempts = 0;
    let passedMs = 0;
    let lastMs = 0;
    while (passedMs < 4000) {
      for (const exchange of transport.exchanges.splice(0)) {
        attempts += 1;
        assert.ok(exchange.request.timeoutMs <= 1000 && exchange.request.timeoutMs <= 3000 - passedMs);
        passedMs += exchange.request.timeoutMs;
        lastMs = passedMs;
        await clock.pass(exchange.request.timeoutMs);
        await exchange.breaks('sent');
      }
      await clock.pass(10);
      passedMs += 10;
    }
    await rejected;
    assert.ok(lastMs <= 3000, `the last attempt ended at ${lastMs} ms`);
    assert.ok(attempts >= 2, `${attempts} attempts`);
  });
}

test('a server that drains for longer than the timeout is reported as draining', async () => {
  const { client, transport, clock } = clientUnderTest({ timeout: 1000 });
  const rejected = assert.rejects(client.kv.get('a'), DrainingError);
  await settled();
  for (let n = 0; n < 100 && transport.exchanges.length > 0; n += 1) {
    await transport.take().fails('draining', 503);
    await clock.pass(2000);
  }
  await rejected;
});

test('a permanent transport error is final before first contact, and a passing one after it', async () => {
  const { client, transport, clock } = clientUnderTest();
  transport.version = undefined;
  const rejected = assert.rejects(client.kv.get('a'), UnreachableError);
  await settled();
  await transport.take().breaks('for good');
  await rejected;
  assert.equal(transport.exchanges.length, 0);

  transport.version = '0.1.0';
  const got = client.kv.get('a');
  await settled();
  await transport.take().breaks('for good');
  await clock.pass(50);
  await transport.take().succeed();
  assert.equal((await got)?.value, 'v');
});

const gatewayReplies = [
  [502, '<html><h1>502 Bad Gateway</h1></html>'],
  [503, 'no server is available'],
  [504, ''],
  [500, '{"error":"upstream"}'],
  [520, '<html>'],
  [530, '<html>'],
  [429, 'slow down'],
  [408, ''],
  [425, ''],
  [404, 'default backend - 404'],
  [413, '<html>'],
  [302, ''],
  [200, '<html>Welcome to our Wi-Fi</html>'],
  [200, '{"ok":true}'],
  [204, ''],
] as const;

test('a reply of a gateway is no reply: what can be repeated is asked again', async () => {
  for (const [status, text] of gatewayReplies) {
    const { client, transport, clock } = clientUnderTest();
    const calls = [client.kv.get('a'), client.kv.set('b', 1), client.counter.add('n', 5)];
    const next = client.sequence.next('s');
    await settled();
    const [alone, array] = [transport.take(), transport.take()];
    await alone.gateway(status, text);
    await array.gateway(status, text);
    await clock.pass(50);
    const [aloneAgain, again] = [transport.take(), transport.take()];
    assert.equal(again.request.body, array.request.body, `${status} ${text}`);
    assert.equal(aloneAgain.request.idempotencyKey, alone.request.idempotencyKey);
    await again.succeed();
    await aloneAgain.reply(200, { From: 3, To: 3, Rev: 1 });
    assert.deepEqual(await Promise.all(calls), [{ key: 'a', version: 7, value: 'v' }, 7, 5]);
    assert.equal(await next, 3);
  }
});

test('a reply of a gateway leaves the outcome of a write unknown if it cannot be repeated', async () => {
  for (const [status, text] of gatewayReplies) {
    const { client, transport } = clientUnderTest({ retryWrites: false });
    const rejected = assert.rejects(client.kv.set('a', 1), OutcomeUnknownError, `${status} ${text}`);
    await settled();
    await transport.take().gateway(status, text);
    await rejected;
    assert.equal(transport.exchanges.length, 0);
  }
});

test('while only a gateway answers, a read ends as unreachable, a write as unknown, each in time', async () => {
  for (const [how, expected] of [
    ['a read', UnreachableError],
    ['a write', OutcomeUnknownError],
  ] as const) {
    const { client, transport, clock } = clientUnderTest({ timeout: 3000 });
    const call = how === 'a read' ? client.kv.get('a') : client.kv.set('a', 1);
    const rejected = assert.rejects(call, (error: Error) => {
      assert.ok(error instanceof expected, String(error));
      assert.match(error.message, /gateway replied with status 503/);
      return true;
    });
    let attempts = 0;
    for (let ms = 0; ms < 3000; ms += 10) {
      // A fixed Retry-After of a maintenance page must not end the call early.
      for (const exchange of transport.exchanges.splice(0)) {
        attempts += 1;
        await exchange.gateway(503, 'maintenance', 3_600_000);
      }
      await clock.pass(10);
    }
    await rejected;
    assert.ok(attempts >= 2 && attempts < 20, `${attempts} attempts`);
  }
});

test('before first contact a gateway is asked again, and what is behind it is a foreign server or the right one', async () => {
  for (const [status, text] of gatewayReplies) {
    const { client, transport, clock } = clientUnderTest();
    transport.version = undefined;
    const got = client.kv.get('a');
    const outcome = got.then(
      (entry) => entry?.value,
      (error: unknown) => error,
    );
    await settled();
    await transport.take().gateway(status, text);
    if (status < 500 && ![408, 425, 429].includes(status)) {
      assert.ok((await outcome) instanceof NotDragonLockError, `${status} ${text}`);
      assert.equal(transport.exchanges.length, 0);
      continue;
    }
    await clock.pass(50);
    await transport.take().reply(200, { Version: '0.1.0' });
    await transport.take().succeed();
    assert.equal(await outcome, 'v', `${status} ${text}`);
  }
});

test('a server whose header a proxy removes is told of in these words', async () => {
  const { client, transport } = clientUnderTest();
  transport.version = undefined;
  const rejected = assert.rejects(client.kv.get('a'), { name: 'NotDragonLockError', message: /Dragonlock-Boot/ });
  await settled();
  await transport.take().gateway(200, '{"Version":"0.1.0","Boot":"b"}');
  await rejected;
});

test('a write whose first reply was lost is in doubt, even if the server refuses the attempts after it', async () => {
  const { client, transport, clock } = clientUnderTest({ timeout: 1000 });
  const rejected = assert.rejects(client.kv.set('a', 1), (error: Error) => {
    assert.ok(error instanceof OutcomeUnknownError, String(error));
    assert.ok(error.cause instanceof DrainingError);
    return true;
  });
  await settled();
  await transport.take().breaks('sent');
  for (let n = 0; n < 20; n += 1) {
    await clock.pass(100);
    for (const exchange of transport.exchanges.splice(0)) await exchange.fails('draining', 503);
  }
  await rejected;
});

test('an old server and a foreign server are reported in one line, before any call is sent', async () => {
  for (const [version, expected] of [
    ['0.0.9', { name: 'ServerTooOldError', message: /is too old: expected version 0\.1\.0 or newer, got 0\.0\.9/ }],
    ['nginx', { name: 'NotDragonLockError', message: /http:\/\/127\.0\.0\.1:8081 is not a Dragon Lock server/ }],
  ] as const) {
    const { client, transport } = clientUnderTest();
    transport.version = version;
    await assert.rejects(client.kv.set('a', 1), expected);
    await assert.rejects(client.lock('a'), expected);
    assert.equal(transport.exchanges.length, 0);
  }
  const { client, transport } = clientUnderTest();
  transport.version = undefined;
  const rejected = assert.rejects(client.kv.get('a'), NotDragonLockError);
  await settled();
  await transport.take().reply(404, 'a page');
  await rejected;
  assert.ok(ServerTooOldError.prototype instanceof Error);
});

test('delays double up to two seconds, with jitter over their upper half', () => {
  assert.deepEqual(
    [1, 2, 3, 10, 50].map((attempt) => backoffMs(attempt, 0, 1)),
    [50, 100, 200, 2000, 2000],
  );
  assert.equal(backoffMs(1, 0, 0), 25);
  assert.equal(backoffMs(1, 5000, 0.5), 3750);
});
