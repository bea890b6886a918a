/** Limits of an account: exact over front ends and shards, and given back whatever way a request ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';
import { AccountCounts } from '../../src/router/account-counts.ts';
import { requestBytes } from '../../src/router/memory-costs.ts';
import { batch, lock, mlock, set, unlock } from '../support/commands.ts';
import { keyOn, RouterUnderTest, type AskedClient } from '../support/router-under-test.ts';

const other = accountId('other');

function ofOther<Asked extends Command>(command: Asked): Asked {
  return { ...command, account: other };
}

function quotaOf(client: AskedClient): unknown[] {
  return [client.code, client.body['Quota'], client.body['Limit']];
}

for (const shards of [1, 3]) {
  describe(`with ${shards} shards and two front ends`, () => {
    test('waiters of an account have a limit; every way to end gives back its place', async () => {
      const server = new RouterUnderTest({ shards, routers: 2, limits: { account_waiters_max: 3 } });
      const [a, b] = [keyOn(0, shards), keyOn(shards - 1, shards, 1)];
      const { Lock } = await server.ok(lock(a, { durMs: 60_000 }));
      const spanning = lock(a, { waitMs: 9000 }, { set: [{ key: keyOn(shards - 1, shards, 7), value: '1' }] });
      const granted = server.send(lock(a, { waitMs: 50_000, durMs: 60_000 }), 0);
      const gone = server.send(spanning, 1);
      const timedOut = server.send(lock(a, { waitMs: 1000 }), 1);
      await server.settle();
      for (const router of [0, 1]) {
        const fourth = await server.ask(mlock(b, { waitMs: 1000 }), router);
        assert.deepEqual(quotaOf(fourth), ['too_many_waiters', 'waiters', 3]);
      }
      await server.ok(ofOther(lock(a, { waitMs: 1000, durMs: 60_000 })));
      assert.ok(server.send(ofOther(lock(a, { waitMs: 1000 }))).waits, 'another account may wait');
      await server.advance(1001);
      assert.equal(timedOut.code, 'not_locked');
      gone.hangUp();
      await server.settle();
      await server.ok(unlock(a, { fence: Lock }));
      assert.equal(granted.code, 'ok');
      const drained = [0, 1, 0].map((router) => server.send(lock(a, { waitMs: 60_000 }), router));
      await server.settle();
      assert.deepEqual(
        drained.map(({ waits }) => waits),
        [true, true, true],
        'three have room again',
      );
      await Promise.all([...server.routers.map((router) => router.drain()), server.settle()]);
      await server.settle();
      assert.deepEqual(
        drained.map(({ code }) => code),
        ['draining', 'draining', 'draining'],
      );
      assert.deepEqual(server.leftovers(), {});
    });

    test('requests in flight of an account have a limit, those of arrays too', async () => {
      const server = new RouterUnderTest({ shards, routers: 2, limits: { account_inflight_max: 3 } });
      const keys = Array.from({ length: 6 }, (_, i) => keyOn(0, shards, i));
      server.journalStands = true;
      const sent = keys.slice(0, 2).map((key, i) => server.send(set(key, i), i));
      const array = server.sendArray(keys.slice(2, 4).map((key) => set(key, 1)));
      assert.deepEqual(quotaOf(array[1]!), ['rate_limited', 'inflight', 3]);
      assert.deepEqual(quotaOf(server.send(set(keys[5]!, 1), 1)), ['rate_limited', 'inflight', 3]);
      const others = server.send(ofOther(set('k', 1)), 1);
      server.journalStands = false;
      await server.settle();
      assert.deepEqual(
        [...sent, array[0]!, others].map(({ code }) => code),
        ['ok', 'ok', 'ok', 'ok'],
      );
      const several = batch({ set: keys.map((key) => ({ key, value: '2' })) });
      await Promise.all([1, 2, 3].map(() => server.ok(several)));
      assert.deepEqual(server.leftovers(), {});
    });

    test('requests in flight and waiting have budgets in bytes, of an account and of the server', async () => {
      const limits = {
        inflight_bytes_max: 5 * requestBytes,
        account_inflight_bytes_max: 3 * requestBytes,
        waiting_bytes_max: 3 * requestBytes,
        account_waiting_bytes_max: 2 * requestBytes,
      };
      const server = new RouterUnderTest({ shards, routers: 2, limits });
      server.journalStands = true;
      const keys = Array.from({ length: 8 }, (_, i) => keyOn(0, shards, i));
      for (const key of keys.slice(0, 3)) server.send(set(key, 1));
      assert.deepEqual(quotaOf(server.send(set(keys[3]!, 1), 1)), ['rate_limited', 'inflight_bytes', 3 * requestBytes]);
      for (const key of keys.slice(0, 2)) server.send(ofOther(set(key, 1)), 1);
      const full = server.send(ofOther(set(keys[3]!, 1)));
      assert.deepEqual(quotaOf(full), ['overloaded', 'inflight_bytes', 5 * requestBytes]);
      const array = server.sendArray([set(keys[4]!, 1), set(keys[5]!, 1)]);
      assert.deepEqual(
        array.map(({ code }) => code),
        ['rate_limited', 'rate_limited'],
      );
      server.journalStands = false;
      await server.settle();
      await server.ok(mlock('m', { durMs: 60_000 }));
      await server.ok(ofOther(mlock('m', { durMs: 60_000 })));
      for (const router of [0, 1]) server.send(mlock('m', { waitMs: 1000 }), router);
      const third = server.send(mlock('m', { waitMs: 1000 }));
      assert.deepEqual(quotaOf(third), ['too_many_waiters', 'waiting_bytes', 2 * requestBytes]);
      assert.ok(server.send(ofOther(mlock('m', { waitMs: 1000 }))).waits);
      const fourth = server.send(ofOther(mlock('m', { waitMs: 1000 })));
      assert.deepEqual(quotaOf(fourth), ['too_many_waiters', 'waiting_bytes', 3 * requestBytes]);
      await server.advance(2000);
      assert.deepEqual(server.leftovers(), {});
    });

    test('watchers of an account have a limit, over keys, prefixes and streams, and a budget', async () => {
      const limits = { account_watchers_max: 3, account_watching_bytes_max: 2 * 1024 * 1024 };
      const server = new RouterUnderTest({ shards, routers: 2, limits });
      const account = accountId('acme');
      const watch = (ids: number, router: number, asks: typeof account = account): AskedClient => {
        const client = server.client();
        const keys = Array.from({ length: ids }, (_, i) => ({ key: `k${i}`, version: 0 }));
        client.pending = server.routers[router]!.watchKeys(asks, keys, 60_000, client);
        return client;
      };
      assert.equal(watch(800, 0).waits, true);
      assert.deepEqual(quotaOf(watch(800, 1)), ['too_many_waiters', 'watching_bytes', 2 * 1024 * 1024]);
      const key = watch(1, 1);
      const ended: unknown[] = [];
      const sink = {
        commit: () => true,
        ready: () => true,
        bookmark: () => true,
        end: (reply: unknown) => ended.push(reply),
      };
      const stream = server.routers[0]!.streamPrefix({ account, prefix: '' }, sink);
      assert.deepEqual(quotaOf(watch(1, 1)), ['too_many_waiters', 'watchers', 3]);
      const prefix = server.client();
      server.routers[1]!.watchPrefix({ account, prefix: 'p', waitMs: 1000, limit: 10 }, prefix);
      assert.deepEqual(quotaOf(prefix), ['too_many_waiters', 'watchers', 3]);
      assert.equal(watch(1, 0, other).waits, true, 'another account watches');
      stream.cancel();
      key.hangUp();
      await server.settle();
      assert.deepEqual([watch(1, 0).waits, watch(1, 1).waits, watch(1, 1).waits], [true, true, false]);
      for (const router of server.routers) void router.drain();
      await server.settle();
      assert.deepEqual(server.leftovers(), {});
    });
  });
}

test('an account in config.yml may have limits of its own; 0 is none', () => {
  const memory = AccountCounts.allocate();
  const own = new Map([
    ['small', { waiters: 1 }],
    ['free', { waiters: 0 }],
  ]);
  const [one, two] = [new AccountCounts(memory, own), new AccountCounts(memory, own)];
  const small = one.use(accountId('small'));
  const smallToo = two.use(accountId('small'));
  assert.deepEqual(
    [small.take('waiters', 5), smallToo.take('waiters', 5), smallToo.value('waiters')],
    [true, false, 1],
  );
  const free = one.use(accountId('free'));
  for (let i = 0; i < 10; i += 1) assert.ok(free.take('waiters', 5));
});

test('with more accounts in use than there are places, no account is refused because of others', () => {
  const counts = new AccountCounts(AccountCounts.allocate());
  const uses = Array.from({ length: 30_000 }, (_, i) => counts.use(accountId(`account-${i}`)));
  for (const use of uses) assert.ok(use.take('waiters', 1));
  const uncounted = uses.filter((use) => use.take('waiters', 1)).length;
  assert.ok(uncounted > 0 && uncounted < 20_000, `${uncounted} are not counted`);
  for (const use of uses) {
    use.give('waiters');
    if (use.value('waiters') > 0) use.give('waiters');
    counts.release(use);
  }
  assert.equal(counts.used, 0);
  const late = counts.use(accountId('late'));
  assert.deepEqual([late.take('waiters', 1), late.take('waiters', 1)], [true, false], 'its place counts from 0');
});
