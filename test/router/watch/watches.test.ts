import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import type { WatchedKey } from '../../../src/router/dispatcher.ts';
import { acme, batch, get, kvList, remove, set } from '../../support/commands.ts';
import { keyOn, type AskedClient } from '../../support/router-under-test.ts';
import { ServerInMemory } from '../../support/server-in-memory.ts';

function watchKeys(server: ServerInMemory, keys: WatchedKey[], waitMs = 30_000): AskedClient {
  const client = server.client();
  client.pending = server.running.router.watchKeys(acme, keys, waitMs, client);
  return client;
}

function watchPrefix(
  server: ServerInMemory,
  prefix: string,
  after: number | undefined,
  { waitMs = 30_000, limit = 100 } = {},
): AskedClient {
  const client = server.client();
  const cursor = after === undefined ? {} : { after: revision(after) };
  client.pending = server.running.router.watchPrefix({ account: acme, prefix, ...cursor, waitMs, limit }, client);
  return client;
}

interface Event {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly Deleted?: true;
  readonly Expired?: true;
  readonly Rev: number;
}

function eventsOf(client: AskedClient): Event[] {
  assert.equal(client.code, 'ok');
  return client.body['Events'] as Event[];
}

const shardCounts = [1, 3];

for (const shards of shardCounts) {
  describe(`key watches with ${shards} shards`, () => {
    test('answer when the version differs, now or later; deletion too; 204 after Wait', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const waiting = watchKeys(server, [{ key: 'k', version: 0 }]);
      const quiet = watchKeys(server, [{ key: 'quiet', version: 0 }], 1000);
      await server.settle();
      assert.ok(waiting.waits);
      const { Rev } = await server.ok(set('k', 1));
      assert.deepEqual(waiting.body, { Key: 'k', Version: Rev, Value: 1, Rev });
      const outdated = watchKeys(server, [{ key: 'k', version: Rev - 1 }]);
      const upToDate = watchKeys(server, [{ key: 'k', version: Rev }]);
      await server.settle();
      assert.equal(outdated.body['Value'], 1);
      assert.ok(upToDate.waits);
      await server.ok(remove('k'));
      assert.equal(upToDate.body['Deleted'], true);
      await server.advance(999);
      assert.ok(quiet.waits);
      await server.advance(1);
      assert.equal(quiet.status, 204);
      assert.ok(server.running.states.every(({ watched }) => watched.size === 0));
    });

    test('of several keys answer with the first that differs, once, and leave no watcher', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const keys = Array.from({ length: 6 }, (_, i) => ({ key: `k${i}`, version: 0 }));
      const waiting = watchKeys(server, keys);
      await server.settle();
      await server.ok(
        batch({
          set: [
            { key: 'k5', value: '5' },
            { key: 'k2', value: '2' },
          ],
        }),
      );
      assert.match(String(waiting.body['Key']), /k[25]/);
      assert.ok(server.running.states.every(({ watched }) => watched.size === 0));
      const gone = watchKeys(server, keys.slice(0, 2));
      await server.settle();
      gone.hangUp();
      await server.settle();
      assert.ok(server.running.states.every(({ watched }) => watched.size === 0));
    });

    test('ten thousand on one key share one text, and all are answered', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const watchers = Array.from({ length: 10_000 }, () => watchKeys(server, [{ key: 'k', version: 0 }]));
      await server.settle();
      await server.ok(set('k', { large: 'x'.repeat(1000) }));
      const first = watchers[0]!.reply;
      assert.ok(watchers.every(({ reply }) => reply === first));
    });

    test('see an expiry', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const { Rev } = await server.ok(set('k', 1, { ttlMs: 1000 }));
      const waiting = watchKeys(server, [{ key: 'k', version: Rev }]);
      await server.advance(1000);
      assert.deepEqual([waiting.body['Deleted'], waiting.body['Expired']], [true, true]);
    });

    test('that wait for a key whose expiry is not committed yet hear of its return', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const keys = Array.from({ length: 3500 }, (_, i) => `k${i}`);
      for (let i = 0; i < keys.length; i += 500) {
        await server.ok(batch({ set: keys.slice(i, i + 500).map((key) => ({ key, value: '1', ttlMs: 1000 })) }));
      }
      // The clock moves on, the timer does not fire yet: the first turns end a thousand keys each.
      server.now += 1000;
      const watchers = keys.map((key) => watchKeys(server, [{ key, version: 0 }]));
      await server.settle();
      await server.advance(1000);
      assert.ok(watchers.every(({ waits }) => waits));
      for (let i = 0; i < keys.length; i += 500) {
        await server.ok(batch({ set: keys.slice(i, i + 500).map((key) => ({ key, value: '2' })) }));
      }
      assert.equal(watchers.filter(({ waits }) => waits).length, 0);
    });
  });

  describe(`prefix watches with ${shards} shards`, () => {
    test('hand out every change after the cursor: ordered, unique, whole commits, nothing missing', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const { Rev: start } = await server.ok(kvList('a/'));
      const expected: string[] = [];
      for (let i = 0; i < 60; i++) {
        const changed = [`a/${i % 7}`, `a/${(i * 3) % 11}x`, `b/${i}`];
        const { Rev } = await server.ok(
          i % 5 === 4 && i > 6
            ? batch({ set: [{ key: changed[0]! }, { key: changed[2]!, value: '1' }] })
            : batch({ set: changed.map((key) => ({ key, value: String(i) })) }),
        );
        if (i % 5 === 4 && i > 6) expected.push(`${Rev} a/${i % 7} deleted`);
        else for (const key of changed.slice(0, 2)) expected.push(`${Rev} ${key} ${i}`);
      }
      for (const limit of [1, 2, 3, 7, 1000]) {
        const seen: Event[] = [];
        let after = start;
        for (;;) {
          const watcher = watchPrefix(server, 'a/', after, { limit, waitMs: 100 });
          await server.advance(100);
          const events = eventsOf(watcher);
          if (events.length === 0) break;
          const counts = new Map<number, number>();
          for (const { Rev } of events) counts.set(Rev, (counts.get(Rev) ?? 0) + 1);
          for (const [rev, count] of counts) {
            const whole = expected.filter((text) => text.startsWith(`${rev} `)).length;
            assert.equal(count, whole, `the commit ${rev} is not split`);
          }
          assert.ok(events.length <= limit + 1);
          seen.push(...events);
          after = watcher.body.Rev;
        }
        const shown = seen.map(
          ({ Rev, Key, Value, Deleted }) => `${Rev} ${Key} ${Deleted ? 'deleted' : String(Value)}`,
        );
        // Within a commit over several shards the order is the shards'.
        assert.deepEqual(shown.toSorted(byRevision), expected.toSorted(byRevision));
        assert.deepEqual(
          shown.map(revOf),
          shown.map(revOf).toSorted((a, b) => a - b),
        );
      }
    });

    test('wait for what comes, hear only of their prefix and account, and end with a bookmark', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const waiting = watchPrefix(server, 'a/', undefined);
      const bookmarked = watchPrefix(server, 'none/', undefined, { waitMs: 1000 });
      await server.settle();
      await server.ok(set('b/1', 1));
      await server.ok({ ...set('a/1', 1), account: accountId('other') });
      assert.ok(waiting.waits);
      const { Rev } = await server.ok(set('a/1', 1));
      assert.deepEqual(eventsOf(waiting), [{ Key: 'a/1', Version: Rev, Value: 1, Rev }]);
      await server.advance(1000);
      assert.deepEqual(eventsOf(bookmarked), []);
      assert.equal(bookmarked.body.Rev, Rev, 'the revision that was reached');
    });

    test('list, then watch after its Rev: no gap and nothing twice, in the middle of writes', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 8; i++) server.send(set(`p/${round}-${i}`, i));
        await server.steps(round);
        const list = server.send(kvList('p/', { limit: 1000 }));
        for (let i = 8; i < 12; i++) server.send(set(`p/${round}-${i}`, i));
        await server.settle();
        const watcher = watchPrefix(server, 'p/', list.body.Rev, { waitMs: 10, limit: 1000 });
        await server.advance(10);
        const listed = list.body.KV.map(({ Key }) => Key).filter((key) => key.startsWith(`p/${round}-`));
        const told = eventsOf(watcher).map(({ Key }) => Key);
        assert.deepEqual(
          [...listed, ...told].toSorted(),
          Array.from({ length: 12 }, (_, i) => `p/${round}-${i}`).toSorted(),
        );
      }
    });

    test('show expiry as Deleted and Expired', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const { Rev } = await server.ok(set('a/1', 1, { ttlMs: 1000 }));
      const waiting = watchPrefix(server, 'a/', Rev);
      await server.advance(1000);
      assert.deepEqual(eventsOf(waiting), [{ Key: 'a/1', Version: 0, Deleted: true, Expired: true, Rev: Rev + 1 }]);
    });

    test('resume over a stop and over a crash', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const { Rev } = await server.ok(set('a/1', 1));
      await server.ok(set('a/2', 2));
      await server.stop();
      await server.start();
      await server.ok(set('a/3', 3));
      await server.crash(3);
      await server.ok(set('a/4', 4));
      const watcher = watchPrefix(server, 'a/', Rev, { waitMs: 10 });
      await server.advance(10);
      assert.deepEqual(
        eventsOf(watcher).map(({ Key }) => Key),
        ['a/2', 'a/3', 'a/4'],
      );
    });

    test('a cursor older than what is kept: 410 with the oldest; that one works; ahead of the server: 400', async (context) => {
      const server = await ServerInMemory.start(context, { shards, segmentBytes: 64 * 1024, keepBytes: 0 });
      const { Rev: first } = await server.ok(set('a', 1));
      for (let i = 0; i < 40; i++) {
        await server.ok(set(`k${i}`, 'x'.repeat(10_000)));
        await server.advance(60_000);
      }
      const old = watchPrefix(server, '', first - 1);
      await server.settle();
      assert.deepEqual([old.code, old.status], ['compacted', 410]);
      const oldest = old.body['Oldest'] as number;
      assert.ok(oldest > first);
      const resumed = watchPrefix(server, '', oldest, { limit: 1000 });
      await server.settle();
      assert.equal(eventsOf(resumed)[0]!.Rev, oldest + 1);
      const { Rev } = await server.ok(get('k'));
      const ahead = watchPrefix(server, '', Rev + 1);
      assert.deepEqual([ahead.code, ahead.status], ['invalid', 400]);
    });

    test('a watcher that disconnects is removed, and one that never could read is not answered', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const gone = watchPrefix(server, '', undefined);
      await server.settle();
      gone.hangUp();
      await server.ok(set('a', 1));
      assert.ok(gone.waits);
      const stats = server.running.router.stats();
      assert.equal((await server.until(stats)).watchers, 0);
    });

    test('a stream gets every commit in order, starting with a bookmark or its history', async (context) => {
      const server = await ServerInMemory.start(context, { shards });
      const { Rev } = await server.ok(set('a', 0));
      const told: string[] = [];
      const sink = streamSink(told);
      const pending = server.running.router.streamPrefix({ account: acme, prefix: '', after: revision(Rev - 1) }, sink);
      await server.settle();
      const both = await server.ok(
        batch({ set: [keyOn(0, shards), keyOn(shards - 1, shards, 1)].map((key) => ({ key, value: '1' })) }),
      );
      await server.ok(batch({ counter: [{ key: 'c', op: 'add', n: 1 }] }));
      pending.cancel();
      await server.ok(set('a', 2));
      assert.deepEqual(
        told.filter((text) => text.startsWith('commit')),
        [`commit ${Rev} 1`, `commit ${both.Rev} 2`],
      );
      assert.equal((await server.until(server.running.router.stats())).streams, 0);
    });

    test('a stream that catches up past the live readers gets nothing twice, whatever the moment', async (context) => {
      for (let moment = 0; moment < 12; moment++) {
        const server = await ServerInMemory.start(context, { shards });
        const { Rev } = await server.ok(set('a', 0));
        watchPrefix(server, 'none', undefined);
        await server.settle();
        const writes = [server.send(set('a', 1)), server.send(set('b', 2))];
        await server.steps(moment);
        const told: string[] = [];
        server.running.router.streamPrefix({ account: acme, prefix: '', after: revision(Rev - 1) }, streamSink(told));
        await server.settle();
        assert.deepEqual(
          told.filter((text) => text.startsWith('commit')),
          [Rev, ...writes.map(({ body }) => body.Rev)].map((rev) => `commit ${rev} 1`),
          `after ${moment} steps`,
        );
      }
    });
  });
}

function streamSink(told: string[]): Parameters<ServerInMemory['running']['router']['streamPrefix']>[1] {
  return {
    ready: () => true,
    commit: (rev: number, events: readonly string[]) => told.push(`commit ${rev} ${events.length}`) > 0,
    bookmark: (rev: number) => told.push(`bookmark ${rev}`) > 0,
    end: () => void told.push('end'),
  };
}

function revOf(text: string): number {
  return Number(text.split(' ')[0]);
}

function byRevision(a: string, b: string): number {
  return revOf(a) - revOf(b) || (a < b ? -1 : a > b ? 1 : 0);
}

test('drain answers every kind of watcher', async (context: TestContext) => {
  const server = await ServerInMemory.start(context, { shards: 3 });
  const told: string[] = [];
  const watchers = [watchKeys(server, [{ key: 'k', version: 0 }]), watchPrefix(server, '', undefined)];
  server.running.router.streamPrefix({ account: acme, prefix: '' }, streamSink(told));
  await server.settle();
  await server.stop();
  assert.deepEqual(
    watchers.map(({ code }) => code),
    ['draining', 'draining'],
  );
  assert.equal(told.at(-1), 'end');
});

test('streams of one prefix share the very same events', async (context) => {
  const server = await ServerInMemory.start(context, { shards: 1 });
  const handed: (readonly string[])[] = [];
  const sink = { ...streamSink([]), commit: (_rev: number, events: readonly string[]) => handed.push(events) > 0 };
  for (let i = 0; i < 3; i += 1) server.running.router.streamPrefix({ account: acme, prefix: 'a' }, sink);
  server.running.router.streamPrefix({ account: acme, prefix: 'b' }, sink);
  await server.settle();
  await server.ok(set('a', 1));
  await server.ok(set('b', 2));
  assert.deepEqual([handed.length, new Set(handed).size], [4, 2]);
});
