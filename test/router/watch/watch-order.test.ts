/** What a watch may answer: nothing older than what was acknowledged, or sent by its own client, before it began. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import type { JournalTail, TailRead } from '../../../src/protocol/journal.ts';
import type { Reply } from '../../../src/protocol/replies.ts';
import { PollReader } from '../../../src/router/watch/prefix-readers.ts';
import { PrefixWatches } from '../../../src/router/watch/prefix-watches.ts';
import { RouterCounts } from '../../../src/router/router-counts.ts';
import { defaultLimits } from '../../../src/shared/limits.ts';
import { acme, batch, set } from '../../support/commands.ts';
import { keyOn, RouterUnderTest, type AskedClient } from '../../support/router-under-test.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const longMs = 300_000;

function watch(server: RouterUnderTest, router: number, version: number, key = 'k'): AskedClient {
  const client = server.client();
  client.pending = server.routers[router]!.watchKeys(acme, [{ key, version }], longMs, client);
  return client;
}

for (const shards of [1, 3]) {
  test(`watch: a change on its way for an earlier watcher does not answer a later one, with ${shards} shards`, async () => {
    const server = new RouterUnderTest({ shards, routers: 2 });
    const earlier = watch(server, 1, 0);
    await server.settle();
    server.deaf.add(1);
    const first = (await server.ok(set('k', 1))).Rev;
    const second = (await server.ok(set('k', 2))).Rev;
    const [upToDate, ...outdated] = [second, first, 0].map((version) => watch(server, 1, version));
    await server.settle();
    server.deaf.delete(1);
    await server.settle();
    assert.equal(earlier.body.Rev, first, 'sent before either change');
    assert.ok(upToDate!.waits, `still at ${second}: ${upToDate!.reply?.body}`);
    for (const { body } of outdated) assert.deepEqual([body['Version'], body['Value'], body.Rev], [second, 2, second]);
    const third = (await server.ok(set('k', 3))).Rev;
    assert.deepEqual([upToDate!.body['Version'], upToDate!.body.Rev], [third, third]);
    assert.deepEqual(server.leftovers(), {});
  });

  test(`watch: a client that wrote twice before it watches is not told of its first write, with ${shards} shards`, async () => {
    const server = new RouterUnderTest({ shards });
    watch(server, 0, 0);
    await server.settle();
    const writes = [server.send(set('k', 1)), server.send(set('k', 2))];
    // The writes are sent off; the question follows them in a message of its own.
    await server.step();
    const later = watch(server, 0, 0);
    await server.settle();
    assert.equal(later.body['Version'], writes[1]!.body.Rev);
  });

  test(`watch: no answer is older than what any client knew when it was sent, with ${shards} shards`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let checked = 0;
    for (let seed = 1; seed <= 150; seed += 1) {
      const server = new RouterUnderTest({ shards, routers: 2, seed });
      const random = seededRandom(seed * 7919);
      const keys = ['k', keyOn(shards - 1, shards)];
      const writes: AskedClient[] = [];
      const watches: { client: AskedClient; known: number }[] = [];
      const known = (): number => Math.max(0, ...writes.map(({ reply }) => reply?.rev ?? 0));
      for (let action = 0; action < 60; action += 1) {
        const router = random.below(2);
        const key = keys[random.below(2)]!;
        const draw = random.below(6);
        if (draw === 0) writes.push(server.send(set(key, action), router));
        else if (draw === 1) {
          writes.push(server.send(batch({ set: keys.map((each) => ({ key: each, value: '1' })) }), router));
        } else if (draw === 2) {
          const versions = [0, known()];
          watches.push({ known: known(), client: watch(server, router, versions[random.below(2)]!, key) });
        } else for (let step = random.below(4); step > 0; step -= 1) await server.step();
      }
      await server.settle();
      for (const { client, known: before } of watches) {
        if (client.waits) continue;
        checked += 1;
        assert.ok(client.body.Rev >= before, `seed ${seed}: ${client.reply?.body} after ${before}`);
      }
    }
    assert.ok(checked > 200, `${checked} watches were answered`);
  });

  test(`watch: "nothing happened" is said only once the shard has said so, with ${shards} shards`, async () => {
    const server = new RouterUnderTest({ shards });
    const { Rev } = await server.ok(set('k', 1));
    const ask = (version: number): AskedClient => {
      const client = server.client();
      server.router.watchKeys(acme, [{ key: 'k', version }], 0, client);
      return client;
    };
    const [outdated, upToDate] = [ask(0), ask(Rev)];
    server.tick(1);
    assert.ok(outdated.waits && upToDate.waits);
    await server.settle();
    assert.equal(outdated.body['Version'], Rev);
    assert.equal(upToDate.status, 204);
    assert.deepEqual(server.leftovers(), {});
  });
}

test('watch: a poll whose wait runs out first reads what was durable when it began', () => {
  const deferred: (() => void)[] = [];
  const timers: (() => void)[] = [];
  const steps: { read: TailRead; position: number }[] = [
    { read: { kind: 'seeking' }, position: 3 },
    { read: { kind: 'seeking' }, position: 6 },
    { read: { kind: 'seeking' }, position: 9 },
  ];
  let position = 1;
  const tail: JournalTail = {
    get position() {
      return revision(position);
    },
    read: () => {
      const step = steps.shift();
      if (step === undefined) return { kind: 'idle' };
      position = step.position;
      return step.read;
    },
    close: () => {},
  };
  const counts = new RouterCounts(RouterCounts.allocate(1), 1);
  const watches = new PrefixWatches({
    source: { tail: () => tail, replay: () => [] },
    durable: () => revision(8),
    limits: defaultLimits,
    counts,
    defer: (run) => deferred.push(run),
    after: (_delayMs, run) => {
      timers.push(run);
      return () => {};
    },
  });
  const replies: Reply[] = [];
  const ask = { account: accountId('acme'), prefix: '', after: revision(1), waitMs: 0, limit: 10 };
  watches.watch(ask, { disconnected: false, deliver: (reply) => void replies.push(reply) });
  timers[0]!();
  assert.deepEqual(replies, [], 'it has read up to 3 of 8');
  deferred.shift()!();
  assert.deepEqual(replies, [], 'it has read up to 6 of 8');
  deferred.shift()!();
  assert.deepEqual(
    replies.map(({ body }) => body),
    ['{"Events":[],"Rev":9}'],
  );
  assert.equal(counts.prefixWatches.value, 0);
});

test('watch: a poll whose wait has run out does not end at a change before what was durable when it began', () => {
  const replies: Reply[] = [];
  const watch = { account: acme, prefix: '', after: revision(1), waitMs: 0, limit: 4 };
  const poll = new PollReader(watch, revision(8), (reply) => void replies.push(reply));
  poll.runOut();
  poll.commit(revision(3), ['{"Key":"a"}']);
  poll.handed(revision(5));
  assert.deepEqual(replies, []);
  poll.handed(revision(9));
  assert.deepEqual(
    replies.map(({ body }) => body),
    ['{"Events":[{"Key":"a"}],"Rev":9}'],
  );
});
