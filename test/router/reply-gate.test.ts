import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { revision } from '../../src/protocol/ids.ts';
import { ReplyGate } from '../../src/router/reply-gate.ts';
import { batch, get, inspect, kvList, lock, mlock, set, unlock } from '../support/commands.ts';
import { keyOn, RouterUnderTest } from '../support/router-under-test.ts';

describe('reply gate', () => {
  test('passes what is durable, holds what is not, and keeps the order of what it holds', () => {
    const gate = new ReplyGate(2, revision(5), () => {});
    const out: string[] = [];
    gate.pass(0, revision(5), () => out.push('a'));
    gate.pass(0, revision(7), () => out.push('b'));
    gate.pass(0, revision(6), () => out.push('c'));
    gate.pass(0, revision(1), () => out.push('e'));
    gate.pass(1, revision(6), () => out.push('d'));
    assert.deepEqual(out, ['a', 'e']);
    gate.advance(revision(6));
    assert.deepEqual(out, ['a', 'e', 'd']);
    gate.advance(revision(4));
    gate.advance(revision(7));
    assert.deepEqual(out, ['a', 'e', 'd', 'b', 'c']);
  });

  test('survives replies that make more pass while it drains', () => {
    const gate = new ReplyGate(1, revision(0), () => {});
    const out: number[] = [];
    for (let i = 1; i <= 3000; i++) {
      gate.pass(0, revision(i), () => {
        out.push(i);
        if (i === 10) gate.pass(0, revision(3001), () => out.push(3001));
        if (i === 20) gate.advance(revision(2500));
      });
    }
    gate.advance(revision(20));
    assert.equal(out.length, 2500);
    gate.advance(revision(3001));
    assert.deepEqual(
      out,
      Array.from({ length: 3001 }, (_, i) => i + 1),
    );
  });
});

describe('nothing leaves before it is durable', () => {
  test('neither replies, refusals, grants, lists nor reads that saw a write', async () => {
    const server = new RouterUnderTest({ shards: 1 });
    await server.ok(set('old', 1));
    server.journalStands = true;
    const write = server.send(set('k', 1));
    const asked = [
      write,
      server.send(get('k')),
      server.send(kvList('')),
      server.send(set('k', 2, { version: 0 })),
      server.send(lock('l')),
      server.send(lock('l')),
      server.send(inspect('l')),
      server.send(batch({ counter: [{ key: 'c', op: 'add', n: 1 }] })),
    ];
    await server.settle();
    assert.ok(asked.every(({ waits }) => waits));
    server.journalStands = false;
    await server.settle();
    assert.deepEqual(
      asked.map(({ code }) => code),
      ['ok', 'ok', 'ok', 'version_mismatch', 'ok', 'not_locked', 'ok', 'ok'],
    );
    assert.deepEqual(
      asked.map(({ order }) => order - asked[0]!.order),
      [0, 1, 2, 3, 4, 5, 6, 7],
      'in the order in which they were asked',
    );
  });

  test('a grant to a waiter waits for the unlock that freed the lock', async () => {
    const server = new RouterUnderTest({ shards: 1 });
    const { Lock } = await server.ok(lock('l'));
    const waiting = await server.ask(lock('l', { waitMs: 1000 }));
    server.journalStands = true;
    server.send(unlock('l', { fence: Lock }));
    await server.settle();
    assert.ok(waiting.waits);
    server.journalStands = false;
    await server.settle();
    assert.equal(waiting.code, 'ok');
    assert.equal(server.records.length, 3);
  });

  test('watch events neither', async () => {
    const server = new RouterUnderTest({ shards: 1 });
    const watcher = server.client();
    server.router.watchKeys(batch({}).account, [{ key: 'k', version: 0 }], 30_000, watcher);
    await server.settle();
    server.journalStands = true;
    const write = server.send(set('k', 1));
    await server.settle();
    const late = server.client();
    server.router.watchKeys(batch({}).account, [{ key: 'k', version: 0 }], 30_000, late);
    await server.settle();
    assert.ok(write.waits && watcher.waits && late.waits);
    server.journalStands = false;
    await server.settle();
    assert.equal(watcher.body['Value'], 1);
    assert.equal(late.body['Value'], 1);
  });

  test('a read of one shard does not wait for the commits of another', async () => {
    const server = new RouterUnderTest({ shards: 2 });
    server.journalStands = true;
    const write = server.send(set(keyOn(0, 2), 1));
    const read = server.send(get(keyOn(1, 2)));
    await server.settle();
    assert.ok(write.waits);
    assert.equal(read.code, 'ok');
  });
});

describe('a client that has disconnected', () => {
  test('when its grant arrives gives the lock to the next waiter, durable lock and mutex alike', async () => {
    const server = new RouterUnderTest({ shards: 2 });
    for (const take of [lock, mlock]) {
      server.journalStands = true;
      const gone = server.send(take('l'));
      await server.settle();
      const next = server.send(take('l', { waitMs: 60_000 }));
      await server.settle();
      gone.disconnected = true;
      server.journalStands = false;
      await server.settle();
      // A mutex is granted without the journal, so its reply came before the disconnect.
      if (take === mlock) {
        assert.equal(gone.code, 'ok');
        next.hangUp();
      } else assert.equal(next.code, 'ok');
      await server.settle();
    }
  });

  test('while it waits leaves the wait queue, and a drain does not wait for it', async () => {
    const server = new RouterUnderTest({ shards: 1 });
    const { Lock } = await server.ok(lock('l'));
    const gone = await server.ask(lock('l', { waitMs: 60_000 }));
    const next = await server.ask(lock('l', { waitMs: 60_000 }));
    gone.hangUp();
    await server.settle();
    assert.equal((await server.ok(inspect('l')))['Waiters'], 1);
    await server.ok(unlock('l', { fence: Lock }));
    assert.equal(next.code, 'ok');
    const drained = server.router.drain();
    await server.settle();
    await drained;
  });

  test('whose grant and whose cancel cross on their way holds nothing', async () => {
    const server = new RouterUnderTest({ shards: 1 });
    const { Lock } = await server.ok(lock('l'));
    const gone = await server.ask(lock('l', { waitMs: 60_000 }));
    server.journalStands = true;
    server.send(unlock('l', { fence: Lock }));
    await server.settle();
    gone.hangUp();
    server.journalStands = false;
    await server.settle();
    const next = await server.ok(lock('l'));
    assert.equal(next.Recover, undefined);
  });
});

describe('limits and drain', () => {
  test('more requests in flight than allowed are refused at once; waits for a lock do not count', async () => {
    const server = new RouterUnderTest({ shards: 2, limits: { inflight_per_shard_max: 2 } });
    const [a, b] = [keyOn(0, 2), keyOn(1, 2)];
    await server.ok(lock(a, { durMs: 60_000 }));
    for (let i = 0; i < 5; i++) server.send(lock(a, { waitMs: 1000 }));
    await server.settle();
    server.journalStands = true;
    const first = server.send(set(a, 1));
    const several = server.send(batch({ set: [keyOn(0, 2, 3), keyOn(1, 2, 3)].map((key) => ({ key, value: '1' })) }));
    const third = server.send(set(keyOn(0, 2, 4), 1));
    const more = server.send(batch({ set: [keyOn(0, 2, 5), keyOn(1, 2, 5)].map((key) => ({ key, value: '1' })) }));
    const other = server.send(set(b, 1));
    assert.deepEqual([third.code, third.status], ['overloaded', 503]);
    assert.equal(more.code, 'overloaded');
    server.journalStands = false;
    await server.settle();
    assert.deepEqual([first.code, several.code, other.code], ['ok', 'ok', 'ok']);
    await server.ok(set(a, 2));
  });

  test('drain answers waiters, watchers and batches over several shards, and refuses new requests', async () => {
    const server = new RouterUnderTest({ shards: 3 });
    const { account } = batch({});
    const l = keyOn(2, 3, 0, 'lock');
    await server.ok(lock(l, { durMs: 60_000 }));
    await server.ok(mlock('m', { durMs: 60_000 }));
    const waiting = [
      server.send(lock(l, { waitMs: 60_000 })),
      server.send(lock(l, { waitMs: 60_000 }, { set: [{ key: keyOn(0, 3), value: '1' }] })),
      server.send(mlock('m', { waitMs: 60_000 })),
    ];
    const watcher = server.client();
    server.router.watchKeys(account, [{ key: 'k', version: 0 }], 60_000, watcher);
    const prefix = server.client();
    server.router.watchPrefix({ account, prefix: '', waitMs: 60_000, limit: 10 }, prefix);
    await server.settle();
    server.journalStands = true;
    const underWay = server.send(batch({ set: [keyOn(0, 3), keyOn(1, 3)].map((key) => ({ key, value: '1' })) }));
    let drained = false;
    const draining = server.router.drain().then(() => (drained = true));
    await server.settle();
    assert.ok(underWay.waits && !drained);
    server.journalStands = false;
    await server.settle();
    await draining;
    assert.equal(underWay.code, 'ok');
    for (const client of [...waiting, watcher, prefix]) {
      assert.deepEqual([client.code, client.status], ['draining', 503]);
    }
    assert.equal(server.send(get('k')).code, 'draining');
    const late = server.client();
    server.router.watchKeys(account, [{ key: 'k', version: 0 }], 60_000, late);
    assert.equal(late.code, 'draining');
    const latePrefix = server.client();
    server.router.watchPrefix({ account, prefix: '', waitMs: 60_000, limit: 10 }, latePrefix);
    assert.equal(latePrefix.code, 'draining');
    assert.deepEqual(server.leftovers(), {});
  });
});
