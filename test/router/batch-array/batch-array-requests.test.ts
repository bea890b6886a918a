/** The batches of an array body travel together, but each is a request of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batch, get, lock, once, set } from '../../support/commands.ts';
import { keyOn, RouterUnderTest } from '../../support/router-under-test.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import type { CounterOperation } from '../../../src/protocol/operations/counter.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

const add = (...keys: string[]): Batch =>
  batch({ counter: keys.map((key): CounterOperation => ({ key, op: 'add', n: 1 })) });

test('the batches of an array travel as one message to each shard', async () => {
  const server = new RouterUnderTest({ shards: 2 });
  const keys = [0, 1, 0, 1, 0].map((shard, i) => keyOn(shard, 2, i));
  const clients = server.sendArray(keys.map((key) => set(key, 1)));
  await server.step();
  for (const shard of [0, 1]) {
    const messages = server.onTheirWay(shard);
    assert.deepEqual(
      messages.map((message) => message.kind === 'array' && message.batches.map(({ set: asks }) => asks?.[0]?.key)),
      [keys.filter((_, i) => i % 2 === shard)],
    );
  }
  await server.settle();
  for (const [i, client] of clients.entries()) assert.equal(client.body.KVSet[0]!.Key, keys[i]);
});

test('batches of one array that share a key are applied in their order, whatever they wait for', async () => {
  let overShards = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = seededRandom(seed);
    const shards = 1 + random.below(3);
    const server = new RouterUnderTest({ shards, seed, routers: 2 });
    const keys = ['a', 'b', 'c', 'd', 'e'];
    const pick = (): string => keys[random.below(keys.length)]!;
    const arrays = Array.from({ length: 4 }, () =>
      Array.from({ length: 1 + random.below(12) }, () => {
        const touched = [...new Set(random.next() < 0.3 ? [pick(), pick(), pick()] : [pick()])];
        if (touched.length > 1 && shards > 1) overShards += 1;
        return add(...touched);
      }),
    );
    const asked = arrays.map((batches, i) => server.sendArray(batches, i % 2));
    await server.settle();
    const total = new Map<string, number>();
    for (const clients of asked) {
      const seen = new Map<string, number>();
      for (const client of clients) {
        for (const { Key, Value } of client.body.Atomic) {
          assert.ok(Value > (seen.get(Key) ?? 0), `${Key} is ${Value} after ${seen.get(Key)} (seed ${seed})`);
          seen.set(Key, Value);
          total.set(Key, (total.get(Key) ?? 0) + 1);
        }
      }
    }
    // Arrays of one front end follow each other.
    for (const [first, second] of [[asked[0]!, asked[2]!] as const, [asked[1]!, asked[3]!] as const]) {
      const high = new Map(first.flatMap(({ body }) => body.Atomic.map(({ Key, Value }) => [Key, Value])));
      for (const { body } of second) {
        for (const { Key, Value } of body.Atomic) assert.ok(Value > (high.get(Key) ?? 0), `seed ${seed}`);
      }
    }
    const { body } = await server.ask(batch({ counter: keys.map((key) => ({ key, op: 'get', n: 0 })) }));
    for (const { Key, Value } of body.Atomic)
      assert.equal(Value, total.get(Key) ?? 0, `nothing is lost (seed ${seed})`);
    assert.deepEqual(server.leftovers(), {});
  }
  assert.ok(overShards > 50, `${overShards} batches were over several shards`);
});

test('each batch of an array is all or nothing by itself, and has a reply of its own', async () => {
  const server = new RouterUnderTest({ shards: 1 });
  const clients = server.sendArray([
    set('a', 1, { version: 0 }),
    batch({
      set: [
        { key: 'b', value: '2' },
        { key: 'a', value: '2', version: 0 },
      ],
    }),
    batch({ set: [{ key: 'c', value: '3' }], ...once('id') }),
    batch({ set: [{ key: 'c', value: '3' }], ...once('id', { mode: 'replay' }) }),
    get('a', 'b', 'c'),
  ]);
  await server.settle();
  assert.deepEqual(
    clients.map(({ code }) => code),
    ['ok', 'version_mismatch', 'ok', 'ok', 'ok'],
  );
  assert.equal(clients[3]!.reply!.replayed, true);
  assert.equal(clients[3]!.reply!.body, clients[2]!.reply!.body);
  assert.deepEqual(
    clients[4]!.body.KV.map(({ Value }) => Value),
    [1, undefined, 3],
  );
});

test('no batch is answered before it is durable', async () => {
  const server = new RouterUnderTest({ shards: 2 });
  server.journalStands = true;
  const keys = [keyOn(0, 2), keyOn(1, 2), keyOn(0, 2, 1)];
  const clients = server.sendArray(keys.map((key) => set(key, 1)));
  await server.settle();
  assert.deepEqual(
    clients.map(({ waits }) => waits),
    [true, true, true],
  );
  server.journalStands = false;
  await server.settle();
  assert.deepEqual(
    clients.map(({ code }) => code),
    ['ok', 'ok', 'ok'],
  );
});

test('each batch counts as a request in flight: those over the limit are refused, the count returns to 0', async () => {
  for (const shards of [1, 2]) {
    const server = new RouterUnderTest({ shards, limits: { inflight_per_shard_max: 3 } });
    const key = keyOn(shards - 1, shards);
    for (let round = 0; round < 2; round += 1) {
      const clients = server.sendArray(Array.from({ length: 5 }, () => add(key)));
      const single = server.send(add(key));
      await server.settle();
      assert.deepEqual(
        [...clients, single].map(({ code }) => code),
        ['ok', 'ok', 'ok', 'overloaded', 'overloaded', 'overloaded'],
      );
    }
    assert.equal((await server.ok(add(key))).Atomic[0]!.Value, 7);
  }
});

test('a lock that an array was granted goes to the next waiter when its client has disconnected', async () => {
  const server = new RouterUnderTest({ shards: 2 });
  const [client] = server.sendArray([set(keyOn(0, 2), 1), lock('l'), set(keyOn(1, 2), 1)]);
  const next = server.send(lock('l', { waitMs: 60_000 }));
  client!.hangUp();
  await server.settle();
  assert.equal(client!.reply, undefined);
  assert.equal(next.code, 'ok');
});

test('a server that goes down answers the arrays in flight, and refuses later requests', async () => {
  const server = new RouterUnderTest({ shards: 2 });
  server.journalStands = true;
  const keys = [keyOn(0, 2), keyOn(1, 2)];
  const underWay = server.sendArray(keys.map((key) => set(key, 1)));
  await server.settle();
  let drained = false;
  void server.router.drain().then(() => (drained = true));
  const late = server.sendArray(keys.map((key) => set(key, 2)));
  await server.settle();
  assert.deepEqual(
    late.map(({ code }) => code),
    ['draining', 'draining'],
  );
  assert.equal(drained, false, 'it waits for the arrays in flight');
  server.journalStands = false;
  await server.settle();
  assert.deepEqual(
    underWay.map(({ code }) => code),
    ['ok', 'ok'],
  );
  assert.equal(drained, true);
});
