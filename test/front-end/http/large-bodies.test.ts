/** A large body is read in the body thread, with the same result as a small one, and in the order of its connection. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawConnection } from '../../support/raw-connection.ts';
import { ServerUnderTest } from '../../support/server-under-test.ts';

const long = 'v'.repeat(100_000);

test('large bodies of every kind are read as small ones are', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const batch = await server.call('POST', '/db/a', { KVSet: keys(1000).map((Key) => ({ Key, Value: 1 })) });
  assert.deepEqual([batch.status, batch.body.KVSet.length], [200, 1000]);
  const array = await server.call(
    'POST',
    '/db/a',
    keys(1000).map((Key) => ({ KVSet: { Key, Value: 2 } })),
  );
  assert.deepEqual([array.status, (JSON.parse(array.text) as unknown[]).length], [200, 1000]);
  assert.equal((await server.call('POST', '/db/a/kv/value', JSON.stringify(long))).status, 200);
  assert.equal((await server.call('GET', '/db/a/kv/value')).body['Value'], long);
  const watch = await server.call('POST', '/watch/a', { IDs: keys(1000).map((ID) => ({ ID, Version: 0 })), Wait: 1 });
  assert.equal(watch.status, 200, watch.text);

  // A stored reply is found again, whichever thread has read the body.
  const once = { headers: { 'idempotency-key': 'once' } };
  const first = await server.call('POST', '/db/a/kv/once', JSON.stringify(long), once);
  const again = await server.call('POST', '/db/a/kv/once', JSON.stringify(long), once);
  assert.deepEqual([again.text, again.headers['idempotent-replayed']], [first.text, 'true']);
  const other = await server.call('POST', '/db/a/kv/once', JSON.stringify(`${long}x`), once);
  assert.equal(other.body.Code, 'idempotency_mismatch');
});

test('what is wrong with a large body is told as with a small one', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const refused = async (target: string, body: unknown): Promise<string> =>
    (await server.call('POST', target, body)).body.Code;
  assert.equal(await refused('/db/a', { KVSet: { Key: 'k', Value: long, TTL: -1 } }), 'invalid');
  assert.equal(await refused('/db/a/kv/k?ttl=-1', JSON.stringify(long)), 'invalid');
  assert.equal(await refused('/db/a/counter/c', JSON.stringify(long)), 'invalid');
  assert.equal(
    await refused('/db/a', [{ LockID: 'l', LockDur: 1, LockWait: 1 }, { KVSet: { Key: 'k', Value: long } }]),
    'invalid',
  );
  assert.equal(await refused('/db/a/kv/k', JSON.stringify('v'.repeat(1024 * 1024))), 'too_large');
});

test('requests of one connection take effect in order around a large body', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  const connection = (await RawConnection.open(server.port))!;
  const replies = [
    connection.ask('POST', '/db/a/kv/k', 'small'),
    connection.ask('POST', '/db/a/kv/k', long),
    connection.ask('GET', '/db/a/kv/k'),
    connection.ask('DELETE', '/db/a/kv/k'),
    connection.ask('POST', '/db/a/kv/k', long),
    connection.ask('POST', '/db/a/kv/k', 'last'),
    connection.ask('GET', '/db/a/kv/k'),
  ];
  const values = (await Promise.all(replies)).map((reply) => (JSON.parse(reply!.body) as { Value?: string }).Value);
  assert.deepEqual([values[2], values[6]], [long, 'last']);
  connection.socket.destroy();
});

test('while a body takes long to read, other requests are served', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config: 'http: {threads: 1}' });
  const connection = (await RawConnection.open(server.port))!;
  // Half a second and more for the thread that parses it.
  const deep = Buffer.from('['.repeat(7 * 1024 * 1024)).toString();
  const head = `POST /db/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${deep.length}\r\n\r\n`;
  const state = { answered: false };
  const reply = connection.reply().then((got) => {
    state.answered = true;
    return got;
  });
  connection.socket.write(head + deep);
  // The last byte has been read when the body thread has the body; until then this is no test.
  let served = 0;
  while (!state.answered) {
    assert.equal((await server.call('POST', '/db/b/kv/k', 1)).status, 200);
    served += 1;
  }
  assert.equal((await reply)?.status, 400);
  assert.ok(served > 5, `${served} were served meanwhile`);
  connection.socket.destroy();
});

function keys(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${'k'.repeat(100)}${i}`);
}
