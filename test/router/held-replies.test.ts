/** Replies that are held for a rate limit: until their slot, and for nobody who has gone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { batch } from '../support/commands.ts';
import { keyOn, RouterUnderTest } from '../support/router-under-test.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';

function take(key: string, more: Partial<Batch> = {}): Batch {
  const limit = [{ key, rateThousandths: 10_000, perMs: 1000, burst: 1, cost: 1, waitMs: 60_000 }];
  return batch({ limit, ...more });
}

for (const shards of [1, 3]) {
  describe(`with ${shards} shards`, () => {
    const key = keyOn(0, shards);
    const spanning = { set: [{ key: keyOn(shards - 1, shards, 1), value: '1' }] };

    test('a reply is held until its slot begins, and what it did is done at once', async () => {
      const server = new RouterUnderTest({ shards });
      await server.ok(take(key));
      const [next, last] = [server.send(take(key)), server.send(take(key, spanning))];
      await server.settle();
      assert.deepEqual([next.waits, last.waits], [true, true]);
      const { KV } = await server.ok(batch({ get: [spanning.set[0]!.key] }));
      assert.equal(KV[0]!['Value'], 1);
      await server.advance(99);
      assert.ok(next.waits);
      await server.advance(1);
      assert.deepEqual([next.code, last.waits], ['ok', true]);
      await server.advance(100);
      assert.equal(last.code, 'ok');
      assert.deepEqual(server.leftovers(), {});
    });

    test('a held reply of a client that has gone is forgotten at once, and its slot stays taken', async () => {
      const server = new RouterUnderTest({ shards, limits: { account_waiters_max: 2 } });
      await server.ok(take(key));
      for (const more of [{}, spanning]) {
        const gone = server.send(take(key, more));
        await server.settle();
        gone.hangUp();
        await server.settle();
        assert.deepEqual(server.leftovers(), {});
      }
      const third = server.send(take(key));
      await server.advance(299);
      assert.ok(third.waits);
      await server.advance(1);
      assert.equal(third.code, 'ok');
    });

    test('held replies count as waiting, so an account has a limit of them', async () => {
      const server = new RouterUnderTest({ shards, limits: { account_waiters_max: 2 } });
      await server.ok(take(key));
      const held = [server.send(take(key)), server.send(take(key))];
      await server.settle();
      assert.equal((await server.ask(take(key))).code, 'too_many_waiters');
      await server.advance(200);
      assert.deepEqual(
        held.map(({ code }) => code),
        ['ok', 'ok'],
      );
    });

    test('a server that stops gives what it holds, with the time for which it would have held it', async () => {
      const server = new RouterUnderTest({ shards });
      await server.ok(take(key));
      const held = [server.send(take(key)), server.send(take(key, spanning))];
      await server.settle();
      await Promise.all([...server.routers.map((router) => router.drain()), server.settle()]);
      await server.settle();
      assert.deepEqual(
        held.map(({ code, body }) => [code, (body['Limit'] as { WaitMs: number }[])[0]!.WaitMs]),
        [
          ['ok', 100],
          ['ok', 200],
        ],
      );
      assert.deepEqual(server.leftovers(), {});
    });
  });
}
