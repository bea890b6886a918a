/** Pipelines by hand: what each kind of request in front means for those behind it. */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { revision } from '../../../../src/protocol/ids.ts';
import { openDoor } from '../../../support/door-in-process.ts';
import type { HttpCall } from '../../../support/http-calls.ts';
import { callBytes, Pipeline, type PipelinedReply } from '../../../support/pipeline.ts';
import { keyOn } from '../../../support/router-under-test.ts';
import { makeDoor, type HttpDoorUnderTest } from '../http-door-under-test.ts';

const ok = { rev: revision(9), outcome: 'ok', body: '{"Rev":9}' } as const;

function post(target: string, body?: unknown): HttpCall {
  return { method: 'POST', target, ...(body === undefined ? {} : { body }) };
}

function read(target: string): HttpCall {
  return { method: 'GET', target };
}

/** Sends all in one write. Returns the replies with their bodies. */
async function send(connection: Pipeline, ...calls: HttpCall[]): Promise<(PipelinedReply & { json: Json })[]> {
  connection.socket.write(Buffer.concat(calls.map((call) => callBytes(call))));
  const replies = await connection.take(calls.length);
  return replies.map((reply) => ({ ...reply, json: (reply.body === '' ? {} : JSON.parse(reply.body)) as Json }));
}

interface Json {
  readonly [member: string]: unknown;
  readonly Rev: number;
  readonly Lock: number;
  readonly Events: readonly { readonly Key: string; readonly Value: unknown }[];
}

/** A connection to the whole server. */
async function open(t: TestContext, shards: number, yaml?: string): Promise<Pipeline> {
  const { port } = await openDoor(t, shards, yaml);
  return connect(t, port);
}

/** A connection to a door with a fake dispatcher. */
async function openFake(t: TestContext, door: HttpDoorUnderTest): Promise<Pipeline> {
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  return connect(t, (door.app.server.address() as AddressInfo).port);
}

async function connect(t: TestContext, port: number): Promise<Pipeline> {
  const connection = await Pipeline.open(port);
  t.after(() => connection.socket.destroy());
  return connection;
}

for (const shards of [1, 2]) {
  test(`pipeline: a request without a body does not overtake one with a body, ${shards} shard(s)`, async (t) => {
    const connection = await open(t, shards);
    for (let round = 0; round < 20; round += 1) {
      const [, got, , , gone, , counted] = await send(
        connection,
        post('/db/a/kv/k', round),
        read('/db/a/kv/k'),
        post('/db/a/kv/d', round),
        { method: 'DELETE', target: '/db/a/kv/d' },
        read('/db/a/kv/d'),
        post('/db/a', { Atomic: { Key: 'c', Set: 10 } }),
        post('/db/a/counter/c?add=1'),
      );
      assert.equal(got!.json['Value'], round);
      assert.equal(gone!.status, 404);
      assert.equal(counted!.json['Value'], 11);
    }
  });

  test(`pipeline: what is read behind an array and a batch over shards is what they wrote, ${shards} shard(s)`, async (t) => {
    const connection = await open(t, shards);
    const [one, other] = [keyOn(0, shards), keyOn(shards - 1, shards, 1)];
    for (let round = 0; round < 20; round += 1) {
      const both = { KVSet: [one, other].map((Key) => ({ Key, Value: round })) };
      const replies = await send(
        connection,
        post('/db/acme', [{ KVSet: { Key: one, Value: 'array' } }, both, { KVSet: { Key: other, Value: 'last' } }]),
        read(`/db/acme/kv/${one}`),
        read(`/db/acme/kv/${other}`),
        post('/db/acme', both),
        read(`/db/acme/kv/${other}`),
        read('/db/acme/kv'),
      );
      const [, first, last, , after, list] = replies;
      assert.deepEqual(
        [first, last, after].map((reply) => reply!.json['Value']),
        [round, 'last', round],
      );
      assert.deepEqual(
        (list!.json['KV'] as Json[]).map(({ Value }) => Value),
        [round, round],
      );
    }
  });

  test(`pipeline: a lock call that waits lets those behind it begin, ${shards} shard(s)`, async (t) => {
    const connection = await open(t, shards);
    const [held] = await send(connection, post('/db/a/lock/l?dur=60'));
    const replies = await send(
      connection,
      post('/db/a/lock/l?dur=60&wait=300'),
      post('/db/a/kv/p/1', 1),
      post('/watch/a', { Prefix: 'p/', Wait: 300 }),
      post('/db/a/kv/p/2', 2),
      { method: 'DELETE', target: `/db/a/lock/l?lock=${held!.json.Lock}` },
      read('/db/a/kv/p/1'),
    );
    assert.deepEqual(
      replies.map(({ status }) => status),
      Array.from(replies, () => 200),
    );
    assert.ok(replies[0]!.json.Lock > held!.json.Lock);
    assert.deepEqual(
      replies[2]!.json.Events.map(({ Key }) => Key),
      ['p/2'],
      'what was sent after the watch',
    );
  });

  test(`pipeline: a prefix watch shows what was sent after it, and all after its cursor, ${shards} shard(s)`, async (t) => {
    const connection = await open(t, shards);
    for (let round = 0; round < 20; round += 1) {
      const [{ json: before } = assert.fail()] = await send(connection, post('/db/a/kv/p/0', round));
      const [, fromNow, , fromCursor] = await send(
        connection,
        post('/db/a/kv/p/1', round),
        post('/watch/a', { Prefix: 'p/', Wait: 300 }),
        post('/db/a/kv/p/2', round),
        post('/watch/a', { Prefix: 'p/', After: before.Rev, Wait: 0 }),
      );
      assert.deepEqual(
        fromNow!.json.Events.map(({ Key }) => Key),
        ['p/2'],
      );
      assert.deepEqual(fromCursor!.json.Events.map(({ Key }) => Key).toSorted(), ['p/1', 'p/2']);
    }
  });

  test(`pipeline: an event stream begins behind what was sent before it, ${shards} shard(s)`, async (t) => {
    const connection = await open(t, shards);
    const calls = [post('/db/a/kv/p/1', 1), read('/watch/a?prefix=p/'), post('/db/a/kv/p/2', 2)];
    let text = '';
    const told = new Promise<void>((resolve) => {
      connection.socket.on('data', (data) => {
        text += String(data);
        if (/"Key":"p\/2".*\n\n/.test(text)) resolve();
      });
    });
    connection.socket.write(Buffer.concat(calls.map((call) => callBytes(call))));
    await told;
    assert.deepEqual(
      text.match(/^data: .*$/gm)?.map((line) => (JSON.parse(line.slice(6)) as { Key: string }).Key),
      ['p/2'],
    );
    connection.socket.destroy();
  });
}

test('pipeline: a request that is refused holds nothing up, whatever refuses it', async (t) => {
  const connection = await open(t, 1, 'limits: { body_bytes_max: 2000, value_bytes_max: 1000 }');
  const replies = await send(
    connection,
    post('/db/a/kv/k', 1),
    post('/db/a/kv/k', 'x'.repeat(3000)),
    { method: 'POST', target: '/db/a/kv/k', body: Buffer.from('{'), headers: {} },
    post('/db/a/kv/k', 'x'.repeat(1500)),
    post('/db/a/kv/k?ver=0', 2),
    post('/db/a/nowhere', 3),
    read('/db/a/kv/k'),
  );
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 413, 400, 413, 409, 404, 200],
  );
  assert.equal(replies.at(-1)!.json['Value'], 1);
});

test('pipeline: rates are charged in the order of sending', async (t) => {
  const door = makeDoor(t, 'limits: { account_requests_per_second: 4 }', () => 1000);
  const connection = await openFake(t, door);
  const replies = await send(
    connection,
    post(
      '/db/a',
      Array.from({ length: 4 }, () => ({ KVGet: 'k' })),
    ),
    read('/db/a/kv/k'),
  );
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 429],
  );
});

test('pipeline: when the connection closes, what has not begun never begins', async (t) => {
  const door = makeDoor(t);
  const { dispatcher } = door;
  dispatcher.reply = undefined;
  const connection = await openFake(t, door);
  const calls = [post('/db/a/kv/k', 1), post('/watch/a', { Prefix: '' }), post('/db/a/kv/k', 2), read('/db/a/kv/k')];
  connection.socket.write(Buffer.concat(calls.map((call) => callBytes(call))));
  await dispatcher.until(() => dispatcher.asked.length === 1);
  connection.socket.destroy();
  await dispatcher.until(() => dispatcher.asked[0]!.cancelled);
  // Another connection is served, and by then nothing else was asked for.
  dispatcher.reply = () => ({});
  assert.equal((await door.send('GET', '/db/a/kv/other')).statusCode, 200);
  assert.equal(dispatcher.asked.length, 2);
});

test('pipeline: of a connection that sends on while its requests wait, only so many are kept', async (t) => {
  const door = makeDoor(t);
  const { dispatcher } = door;
  dispatcher.reply = undefined;
  let parsed = 0;
  door.app.server.on('request', () => (parsed += 1));
  const connection = await openFake(t, door);
  const one = callBytes(read('/db/a/kv/k'));
  const count = 8000;
  const front = [post('/db/a/kv/k', 1), post('/watch/a', { Prefix: '' })].map((call) => callBytes(call));
  connection.socket.write(Buffer.concat([...front, ...Array.from({ length: count }, () => one)]));
  await dispatcher.until(() => dispatcher.asked.length === 1);
  let before = -1;
  while (before !== parsed) {
    before = parsed;
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(parsed < 4000, `${parsed} of ${count} requests were parsed`);
  assert.equal(dispatcher.asked.length, 1, 'none of them has begun');
  dispatcher.reply = () => ({});
  dispatcher.asked[0]!.client!.deliver(ok);
  await dispatcher.until(() => dispatcher.asked.length > 1);
  dispatcher.asked[1]!.client!.deliver(ok);
  const replies = await connection.take(count + 2);
  assert.ok(replies.every(({ status }) => status === 200));
  assert.equal(dispatcher.asked.length, count + 2, 'in the end all have begun');
});
