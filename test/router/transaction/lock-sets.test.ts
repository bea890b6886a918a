/** Several locks under one fencing token, on one shard and over three. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { acme, batch, inspect, lock, set, unlock } from '../../support/commands.ts';
import { keyOn, RouterUnderTest, type AskedClient } from '../../support/router-under-test.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

const [a, b, c] = [2, 0, 1].map((shard) => keyOn(shard, 3, 0, 'lock')) as [string, string, string];

function takeAll(ids: readonly string[], terms: Partial<LockOperation> = {}, more: Partial<Batch> = {}): Batch {
  return batch({ locks: ids.map((id) => ({ id, durMs: 10_000, waitMs: 0, ...terms })), ...more });
}

function giveAll(ids: readonly string[], fence?: number): Batch {
  return batch({ unlocks: ids.map((id) => (fence === undefined ? { id } : { id, fence })) });
}

async function held(server: RouterUnderTest, ids: readonly string[] = [a, b, c]): Promise<unknown[]> {
  const seen = [];
  for (const id of ids) seen.push((await server.ok(inspect(id)))['Locked']);
  return seen;
}

for (const shards of [1, 3]) {
  describe(`locks that are taken together, on ${shards === 1 ? 'one shard' : 'several shards'}`, () => {
    test('are granted in one commit, under its revision, and are given back one by one or together', async () => {
      const server = new RouterUnderTest({ shards });
      const body = await server.ok(takeAll([a, b, c], {}, { set: [{ key: 'k', value: '1' }] }));
      assert.equal(body.Lock, body.Rev);
      assert.equal(server.records.length, 1);
      for (const id of [a, b, c]) await server.ok(inspect(id, body.Lock));
      await server.ok(unlock(b, { fence: body.Lock }));
      assert.deepEqual(await held(server), [true, false, true]);
      await server.ok(giveAll([a, b, c], body.Lock));
      assert.deepEqual(await held(server), [false, false, false]);
      assert.deepEqual(server.leftovers(), {});
    });

    test('all or none: one that is busy refuses a try, and leaves nothing', async () => {
      const server = new RouterUnderTest({ shards });
      await server.ok(lock(c));
      const tried = await server.ask(takeAll([a, b, c]));
      assert.equal(tried.code, 'not_locked');
      assert.deepEqual(await held(server), [false, false, true]);
      const failing = await server.ask(takeAll([a, b], {}, { check: [{ key: 'k', version: 7 }] }));
      assert.equal(failing.code, 'version_mismatch');
      assert.deepEqual(await held(server), [false, false, true]);
      assert.deepEqual(server.leftovers(), {});
    });

    test('who waits has no lock, keeps its places, and is granted all in the turn in which the last is free', async () => {
      const server = new RouterUnderTest({ shards });
      // Places are reserved by shard, and then by name.
      const [head, last] = shards === 1 ? [[a, b, c].toSorted()[0]!, [a, b, c].toSorted()[2]!] : [b, a];
      const first = await server.ok(lock(last));
      const waiting = await server.ask(takeAll([a, b, c], { waitMs: 5000 }));
      const behind = await server.ask(lock(head, { waitMs: 5000 }));
      await server.ok(set('k', 1));
      assert.ok(waiting.waits && behind.waits);
      await server.ok(unlock(last, { fence: first.Lock }));
      assert.equal(waiting.code, 'ok');
      assert.ok(behind.waits, 'nobody overtakes a place that is reserved');
      await server.ok(giveAll([a, b, c], waiting.body.Lock));
      assert.equal(behind.code, 'ok');
      await server.ok(unlock(head, { fence: behind.body.Lock }));
      assert.deepEqual(server.leftovers(), {});
    });

    test('a wait that ends gives every place up, and so does a client that hangs up', async () => {
      const server = new RouterUnderTest({ shards });
      await server.ok(lock(c, { durMs: 60_000 }));
      for (const end of ['time', 'hang up'] as const) {
        const waiting = await server.ask(takeAll([a, b, c], { waitMs: 1000 }));
        const behind = await server.ask(lock(b, { waitMs: 30_000 }));
        assert.ok(waiting.waits);
        if (end === 'time') await server.advance(1000);
        else waiting.hangUp();
        await server.settle();
        if (end === 'time') assert.equal(waiting.code, 'not_locked');
        assert.equal(behind.code, 'ok');
        await server.ok(unlock(b, { fence: behind.body.Lock }));
        assert.deepEqual(server.leftovers(), {});
      }
    });

    test('LockWait is for all of them together', async () => {
      const server = new RouterUnderTest({ shards });
      const first = await server.ok(lock(b, { durMs: 700 }));
      await server.ok(lock(c, { durMs: 60_000 }));
      await server.ok(lock(a, { durMs: 700 }));
      const waiting = await server.ask(takeAll([a, b, c], { waitMs: 1000 }));
      await server.advance(999);
      assert.ok(waiting.waits && first.Lock > 0);
      await server.advance(1);
      assert.equal(waiting.code, 'not_locked');
      assert.deepEqual(server.leftovers(), { leasesExpired: 2 });
    });

    test('two who take them in opposite orders never wait for each other', async () => {
      for (let seed = 1; seed <= 20; seed += 1) {
        const server = new RouterUnderTest({ shards, seed, routers: 2 });
        const sets = [
          server.send(takeAll([a, b, c], { waitMs: 5000 }), 0),
          server.send(takeAll([c, b, a], { waitMs: 5000 }), 1),
        ];
        await server.settle();
        const granted = sets.filter((client) => !client.waits);
        assert.equal(granted.length, 1, `seed ${seed}`);
        await server.ok(giveAll([b, a, c], granted[0]!.body.Lock));
        assert.ok(sets.every((client) => client.code === 'ok'));
      }
    });

    test('are extended together, and an owner that asks again has its lease again', async () => {
      const server = new RouterUnderTest({ shards });
      const first = await server.ok(takeAll([a, b], { owner: 'o' }));
      const again = await server.ok(takeAll([b, a], { owner: 'o', durMs: 30_000 }));
      assert.deepEqual([again.Lock, again['Extended']], [first.Lock, true]);
      const extended = await server.ok(takeAll([a, b], { extend: first.Lock, durMs: 60_000 }));
      assert.equal(extended.TTLMs, 60_000);
      const partly = await server.ask(takeAll([a, b, c], { owner: 'o', waitMs: 5000 }));
      assert.deepEqual([partly.code, partly.body.Why], ['not_locked', 'partly_held']);
      await server.ok(unlock(a, { fence: first.Lock }));
      const lost = await server.ask(takeAll([a, b], { extend: first.Lock }));
      assert.equal(lost.code, 'lock_lost');
      assert.deepEqual(await held(server), [false, true, false]);
      assert.deepEqual(server.leftovers(), {});
    });

    test('a grant that reaches nobody gives all of them back', async () => {
      const server = new RouterUnderTest({ shards });
      const first = await server.ok(lock(c));
      const waiting = await server.ask(takeAll([a, b, c], { waitMs: 5000 }));
      waiting.disconnected = true;
      await server.ok(unlock(c, { fence: first.Lock }));
      assert.deepEqual(await held(server), [false, false, false]);
      assert.deepEqual(server.leftovers(), {});
    });

    test('each lock that was lost is told to the next, by its name', async () => {
      const server = new RouterUnderTest({ shards });
      const lost = await server.ok(lock(b, { durMs: 1000, meta: '"m"' }));
      await server.advance(1000);
      const body = await server.ok(takeAll([a, b]));
      assert.deepEqual(body.Recover, [{ LockID: b, Lock: lost.Lock, Meta: 'm', Why: 'expired' }]);
    });
  });
}

test('whoever takes any locks in any order is served: no lock has two holders, and nobody waits for ever', async () => {
  for (let seed = 1; seed <= 15; seed += 1) {
    const random = seededRandom(seed);
    const server = new RouterUnderTest({ shards: 1 + (seed % 3), seed, routers: 2 });
    const names = Array.from({ length: 5 }, (_, i) => `lock${i}`);
    const open: { readonly ids: readonly string[]; readonly client: AskedClient }[] = [];
    for (let round = 0; round < 60; round += 1) {
      const size = 1 + random.below(3);
      const ids = names.toSorted(() => random.below(3) - 1).slice(0, size);
      const terms = { waitMs: 60_000, durMs: 600_000 };
      const command = size === 1 ? lock(ids[0]!, terms) : takeAll(ids, terms);
      if (open.length < 8) open.push({ ids, client: server.send(command, random.below(2)) });
      if (random.below(2) === 0) await server.settle();
      const granted = open.filter(({ client }) => !client.waits);
      const busy = granted.flatMap((one) => one.ids);
      assert.equal(new Set(busy).size, busy.length, `seed ${seed}: a lock has two holders`);
      const [done] = granted;
      if (done === undefined) continue;
      open.splice(open.indexOf(done), 1);
      server.send(giveAll(done.ids, done.client.body.Lock), random.below(2));
    }
    for (let left = open.length; left > 0; left -= 1) {
      await server.settle();
      const at = open.findIndex(({ client }) => !client.waits);
      assert.ok(at >= 0, `seed ${seed}: ${open.length} wait for each other`);
      const [done] = open.splice(at, 1);
      server.send({ ...giveAll(done!.ids, done!.client.body.Lock), account: acme });
    }
    await server.settle();
    assert.deepEqual(server.leftovers(), {}, `seed ${seed}`);
  }
});
