import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { batch, extend, get, inspect, kvList, lock, lockList, once, set, unlock } from '../../support/commands.ts';
import { keyOn, RouterUnderTest, type AskedClient } from '../../support/router-under-test.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

const shards = 3;
const k0 = keyOn(0, shards);
const k1 = keyOn(1, shards);
const k2 = keyOn(2, shards);
const l2 = keyOn(2, shards, 0, 'lock');
const l0 = keyOn(0, shards, 0, 'lock');

function everyKind(): Partial<Batch> {
  return {
    counter: [
      { key: k0, op: 'add', n: 5 },
      { key: k1, op: 'max', n: 7 },
    ],
    get: [k2, k0],
    set: [
      { key: k0, value: '"a"' },
      { key: k1, value: '"b"' },
      { key: k2, value: '"c"' },
    ],
  };
}

describe('a batch over several shards', () => {
  test('is one record in the journal, one revision for all keys, and one reply in the order of the request', async () => {
    const server = new RouterUnderTest({ shards });
    const body = await server.ok(batch(everyKind()));
    assert.equal(server.records.length, 1);
    assert.equal(server.records[0]!.rev, body.Rev);
    assert.deepEqual(
      body.Atomic.map(({ Key, Value }) => [Key, Value]),
      [
        [k0, 5],
        [k1, 7],
      ],
    );
    assert.deepEqual(
      body.KV.map(({ Key, Version }) => [Key, Version]),
      [
        [k2, 0],
        [k0, 0],
      ],
    );
    assert.deepEqual(
      body.KVSet.map(({ Key, Version }) => [Key, Version]),
      [k0, k1, k2].map((key) => [key, body.Rev]),
    );
    const read = await server.ok(get(k0, k1, k2));
    assert.deepEqual(
      read.KV.map(({ Value }) => Value),
      ['a', 'b', 'c'],
    );
    assert.equal(read.Rev, body.Rev);
    assert.deepEqual(server.leftovers(), {});
  });

  test('that only reads takes no revision', async () => {
    const server = new RouterUnderTest({ shards });
    await server.ok(set(k0, 1));
    const before = server.records.length;
    await server.ok(batch({ get: [k0, k1], check: [{ key: k2, version: 0 }] }));
    assert.equal(server.records.length, before);
    assert.deepEqual(server.leftovers(), {});
  });

  test('with a failing condition on any shard changes nothing and releases every hold', async () => {
    const conditions: [string, Partial<Batch>, string][] = [k0, k1, k2].flatMap((key): typeof conditions => [
      ['Check', { check: [{ key, version: 9 }] }, 'version_mismatch'],
      ['Guard', { guard: [{ id: key, fence: 9 }] }, 'lock_lost'],
      ['Unlock', { unlock: { id: key, fence: 9 } }, 'lock_lost'],
      ['IfEq', { counter: [{ key, op: 'set', n: 1, ifEq: 9 }] }, 'precondition_failed'],
      ['LockID', { lock: { id: key, durMs: 1000, waitMs: 0, extend: 9 } }, 'lock_lost'],
      ['Overflow', { sequence: { key, op: 'next', n: Number.MAX_SAFE_INTEGER } }, 'overflow'],
    ]);
    const server = new RouterUnderTest({ shards });
    for (const key of [k0, k1, k2]) await server.ok(batch({ sequence: { key, op: 'next', n: 1 } }));
    const records = server.records.length;
    for (const [what, condition, code] of conditions) {
      const effects = everyKind();
      const failing = await server.ask(
        batch({ ...effects, ...condition, counter: [...effects.counter!, ...(condition.counter ?? [])] }),
      );
      assert.equal(failing.code, code, what);
      assert.equal(server.records.length, records, what);
      assert.deepEqual(server.leftovers(), {}, what);
    }
    assert.ok((await server.ok(get(k0, k1, k2))).KV.every(({ Version }) => Version === 0));
  });

  test('lists all that fails, in the same order whichever shard owns what', async () => {
    const asked = batch({
      guard: [{ id: k2, fence: 9 }],
      check: [
        { key: k1, version: 9 },
        { key: k0, version: 9 },
      ],
      counter: [{ key: k0, op: 'set', n: 1, ifEq: 9 }],
    });
    for (const count of [1, shards]) {
      const server = new RouterUnderTest({ shards: count });
      const failing = await server.ask(asked);
      assert.equal(failing.code, 'lock_lost');
      assert.deepEqual(
        failing.body.Failed.map(({ Field }) => Field),
        ['Guard[0]', 'Check[0]', 'Check[1]', 'Atomic[0]'],
      );
    }
  });

  test('is seen on all shards or on none, in every order of steps: bank transfers keep their total', async () => {
    const accounts = Array.from({ length: 6 }, (_, i) => keyOn(i % shards, shards, Math.floor(i / shards), 'bank/'));
    for (let seed = 1; seed <= 12; seed++) {
      const server = new RouterUnderTest({ shards, routers: 2, seed });
      await server.ok(batch({ counter: accounts.map((key) => ({ key, op: 'set' as const, n: 100 })) }));
      await server.ok(batch({ set: accounts.map((key) => ({ key, value: '100' })) }));
      const reads: AskedClient[] = [];
      const lists: AskedClient[] = [];
      const balances = accounts.map(() => 100);
      for (let i = 0; i < 12; i++) {
        const from = (i * 5 + seed) % accounts.length;
        const to = (i * 3 + 1) % accounts.length;
        const router = i % 2;
        server.send(
          batch({
            counter: [
              { key: accounts[from]!, op: 'add', n: -i },
              { key: accounts[to]!, op: 'add', n: i },
            ],
          }),
          router,
        );
        // KV has no arithmetic: the client knows the balances, and sends through one router, in order.
        balances[from]! -= i;
        balances[to]! += i;
        server.send(
          batch({
            set: [from, to].map((at) => ({ key: accounts[at]!, value: String(balances[at]) })),
          }),
          0,
        );
        reads.push(server.send(batch({ counter: accounts.map((key) => ({ key, op: 'get' as const, n: 0 })) }), 1));
        lists.push(server.send(kvList('bank/'), 1));
        for (let steps = 0; steps < 4; steps++) await server.step();
      }
      await server.settle();
      for (const read of reads) {
        const sum = read.body.Atomic.reduce((total, { Value }) => total + Value, 0);
        assert.equal(sum, 600, `seed ${seed}: ${read.reply!.body}`);
      }
      for (const list of lists) {
        const sum = list.body.KV.reduce((total, { Value }) => total + Number(Value), 0);
        assert.equal(sum, 600, `seed ${seed}: ${list.reply!.body}`);
      }
      assert.deepEqual(server.leftovers(), {}, `seed ${seed}`);
    }
  });

  test('in opposite directions, many at once: none waits forever', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const server = new RouterUnderTest({ shards, routers: 2, seed });
      const asked = Array.from({ length: 30 }, (_, i) => {
        const keys = i % 2 === 0 ? [k0, k1, k2] : [k2, k1, k0];
        return server.send(batch({ counter: keys.map((key) => ({ key, op: 'add' as const, n: 1 })) }), i % 2);
      });
      await server.settle();
      assert.ok(
        asked.every((client) => client.code === 'ok'),
        `seed ${seed}`,
      );
      assert.deepEqual(
        asked
          .map(({ body }) => body.Atomic[0]!.Value)
          .toSorted((a, b) => a - b)
          .at(-1),
        30,
      );
      for (const { body } of asked) assert.equal(new Set(body.Atomic.map(({ Value }) => Value)).size, 1);
      assert.deepEqual(server.leftovers(), {}, `seed ${seed}`);
    }
  });

  test('keeps the order per key of what one client sends after it', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const server = new RouterUnderTest({ shards, seed });
      server.send(batch({ set: [k0, k1, k2].map((key) => ({ key, value: '"first"' })) }));
      const single = server.send(set(k2, 'second'));
      const read = server.send(get(k2));
      const both = server.send(batch({ set: [k0, k2].map((key) => ({ key, value: '"third"' })) }));
      const last = server.send(get(k2));
      const list = server.send(kvList('k'));
      await server.settle();
      assert.equal(read.body.KV[0]!.Value, 'second', `seed ${seed}`);
      assert.equal(last.body.KV[0]!.Value, 'third', `seed ${seed}`);
      assert.ok(single.body.Rev < both.body.Rev);
      assert.deepEqual(
        list.body.KV.map(({ Value }) => Value),
        ['third', 'first', 'third'].toSorted((a, b) => (list.body.KV[0]!.Value === a ? -1 : a === b ? 0 : 1)),
      );
    }
  });

  test('holds only the keys it touches: others go on', async () => {
    const server = new RouterUnderTest({ shards, routers: 2 });
    server.journalStands = true;
    server.send(batch({ set: [k0, k1].map((key) => ({ key, value: '1' })) }));
    await server.settle();
    const touched = server.send(get(k0), 1);
    const list = server.send(kvList('k'), 1);
    await server.settle();
    assert.ok(touched.waits && list.waits, 'a change of the batch is not readable before it is durable');
    const other = keyOn(0, shards, 5, 'other');
    server.send(set(other, 1), 1);
    await server.settle();
    assert.equal(server.states[0]!.entries.get(0x6b, batch({}).account, other)?.value, '1');
    server.journalStands = false;
    await server.settle();
    assert.equal(touched.body.KV[0]!.Value, 1);
  });
});

describe('a batch over several shards with a lock', () => {
  test('takes the lock in the same commit', async () => {
    const server = new RouterUnderTest({ shards });
    const body = await server.ok(lock(l2, {}, { set: [{ key: k0, value: '1' }] }));
    assert.equal(body.Lock, body.Rev);
    assert.equal(server.records.length, 1);
    await server.ok(inspect(l2, body.Lock));
    assert.equal((await server.ask(lock(l2))).code, 'not_locked');
    const busy = await server.ask(lock(l2, {}, { set: [{ key: k0, value: '2' }] }));
    assert.equal(busy.code, 'not_locked');
    assert.deepEqual(server.leftovers(), {});
  });

  test('waits for it without holding anything, is granted it in turn, and then goes on', async () => {
    const server = new RouterUnderTest({ shards });
    const holder = await server.ok(lock(l2));
    const waiting = await server.ask(lock(l2, { waitMs: 5000 }, { set: [{ key: k0, value: '1' }] }));
    const later = await server.ask(lock(l2, { waitMs: 5000 }));
    assert.ok(waiting.waits && later.waits);
    await server.ok(set(k0, 'meanwhile'));
    await server.ok(unlock(l2, { fence: holder.Lock }));
    assert.equal(waiting.code, 'ok');
    assert.ok(later.waits);
    await server.ok(unlock(l2, { fence: waiting.body.Lock }));
    assert.equal(later.code, 'ok');
    assert.equal((await server.ok(get(k0))).KV[0]!.Value, 1);
    assert.deepEqual(server.leftovers(), {});
  });

  test('that may wait keeps the order per key while its lock is free, and holds nothing up once it waits', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const server = new RouterUnderTest({ shards, seed });
      const free = server.send(lock(l2, { waitMs: 5000 }, { set: [{ key: k0, value: '"locked"' }] }));
      const read = server.send(get(k0));
      const waiting = server.send(lock(l2, { waitMs: 5000 }, { set: [{ key: k0, value: '"later"' }] }));
      const meanwhile = server.send(set(k0, 'meanwhile'));
      await server.settle();
      assert.equal(read.body.KV[0]!.Value, 'locked', `seed ${seed}`);
      assert.ok(waiting.waits && meanwhile.code === 'ok');
      // Held by the first, waited for by the second: the unlock behind both must get through.
      const unlocked = server.send(unlock(l2, { fence: free.body.Lock }));
      await server.settle();
      assert.equal(unlocked.code, 'ok');
      assert.equal((await server.ok(get(k0))).KV[0]!.Value, 'later');
      await server.ok(unlock(l2, { fence: waiting.body.Lock }));
      assert.deepEqual(server.leftovers(), {});
    }
  });

  test('that gives a lock away while a wait for it runs out: the waiter is granted it', async () => {
    const server = new RouterUnderTest({ shards });
    const holder = await server.ok(lock(l2, { durMs: 60_000 }));
    const waiting = await server.ask(lock(l2, { waitMs: 1000 }));
    server.journalStands = true;
    const exchange = server.send(batch({ unlock: { id: l2, fence: holder.Lock }, set: [{ key: k0, value: '1' }] }));
    await server.advance(2000);
    assert.ok(exchange.waits && waiting.waits, 'nobody may say yet whether the lock is free');
    server.journalStands = false;
    await server.settle();
    assert.deepEqual([exchange.code, waiting.code], ['ok', 'ok']);
    assert.deepEqual(server.leftovers(), {});
  });

  test('whose wait times out is refused, and leaves nothing', async () => {
    const server = new RouterUnderTest({ shards });
    await server.ok(lock(l2, { durMs: 60_000 }));
    const waiting = await server.ask(lock(l2, { waitMs: 1000 }, { ...once('id'), set: [{ key: k0, value: '1' }] }));
    await server.advance(999);
    assert.ok(waiting.waits);
    await server.advance(1);
    assert.equal(waiting.code, 'not_locked');
    assert.deepEqual(server.leftovers(), {});
  });

  test('whose conditions fail passes the lock on', async () => {
    const server = new RouterUnderTest({ shards });
    const holder = await server.ok(lock(l2));
    const failing = await server.ask(lock(l2, { waitMs: 5000 }, { check: [{ key: k0, version: 9 }] }));
    const next = await server.ask(lock(l2, { waitMs: 5000 }));
    await server.ok(unlock(l2, { fence: holder.Lock }));
    assert.equal(failing.code, 'version_mismatch');
    assert.equal(next.code, 'ok');
    assert.deepEqual(server.leftovers(), {});
  });

  test('no other owner gets it between reservation and commit, in every order of steps', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const server = new RouterUnderTest({ shards, routers: 2, seed });
      const holder = await server.ok(lock(l2));
      const first = await server.ask(lock(l2, { waitMs: 5000 }, { set: [{ key: k0, value: '1' }] }));
      const second = await server.ask(lock(l2, { waitMs: 5000 }, { set: [{ key: k1, value: '1' }] }), 1);
      server.send(unlock(l2, { fence: holder.Lock }));
      const tries = Array.from({ length: 10 }, (_, i) => server.send(lock(l2), i % 2));
      await server.settle();
      assert.equal(first.code, 'ok', `seed ${seed}`);
      assert.ok(second.waits, `seed ${seed}`);
      assert.ok(
        tries.every(({ code }) => code === 'not_locked'),
        `seed ${seed}`,
      );
    }
  });

  test('an owner whose lease ends on the way does not overtake the waiters', async () => {
    const server = new RouterUnderTest({ shards, routers: 2 });
    await server.ok(lock(l2, { owner: 'o', durMs: 1000 }));
    const waiting = await server.ask(lock(l2, { waitMs: 60_000 }, { set: [{ key: k1, value: '1' }] }), 1);
    const renewing = server.send(lock(l2, { owner: 'o' }, { set: [{ key: k0, value: '1' }] }));
    // The reservation is answered "it is yours"; then time passes.
    while (server.states[0]!.holds.size === 0) assert.ok(await server.step());
    server.now += 1000;
    await server.settle();
    assert.equal(renewing.code, 'not_locked');
    assert.equal(waiting.code, 'ok');
    assert.deepEqual(server.leftovers(), { leasesExpired: 1 });
  });

  test('extends by fence, and swaps one lock for another on another shard, in one commit', async () => {
    const server = new RouterUnderTest({ shards });
    const held = await server.ok(lock(l2));
    const more = await server.ok(batch({ lock: extend(l2, held.Lock).lock!, set: [{ key: k0, value: '1' }] }));
    assert.equal(more.Lock, held.Lock);
    const changed = await server.ok(lock(l0, {}, { unlock: { id: l2, fence: held.Lock } }));
    assert.equal(changed.Lock, changed.Rev);
    assert.equal((await server.ok(inspect(l2)))['Locked'], false);
    const list = await server.ok(lockList('lock'));
    assert.deepEqual(
      (list['Locks'] as { LockID: string }[]).map(({ LockID }) => LockID),
      [l0],
    );
  });
});

describe('a client that disconnects while its batch over several shards', () => {
  test('waits for a lock leaves the wait queue at once, and the next is granted', async () => {
    const server = new RouterUnderTest({ shards });
    const holder = await server.ok(lock(l2));
    const gone = await server.ask(lock(l2, { waitMs: 60_000 }, { ...once('id'), set: [{ key: k0, value: '1' }] }));
    const next = await server.ask(lock(l2, { waitMs: 60_000 }));
    gone.hangUp();
    await server.settle();
    assert.equal((await server.ok(inspect(l2)))['Waiters'], 1);
    await server.ok(unlock(l2, { fence: holder.Lock }));
    assert.equal(next.code, 'ok');
    assert.deepEqual(server.leftovers(), {});
    const drained = server.router.drain();
    await server.settle();
    await drained;
  });

  test('is at any step leaves neither a lock nor a place in a wait queue', async () => {
    let cancelled = 0;
    for (let moment = 0; moment < 60; moment++) {
      const server = new RouterUnderTest({ shards, seed: moment });
      const holder = await server.ok(lock(l2));
      const idempotent = moment % 4 === 0 ? once('id', { mode: 'replay' }) : {};
      const ask = lock(l2, { waitMs: 60_000 }, { ...idempotent, set: [{ key: k0, value: '1' }] });
      const gone = server.send(ask);
      for (let i = 0; i < moment % 8; i++) await server.step();
      const freed = server.send(unlock(l2, { fence: holder.Lock }));
      for (let i = 0; i < moment / 2; i++) await server.step();
      if (!gone.waits) continue;
      cancelled += 1;
      gone.hangUp();
      await server.settle();
      assert.equal(freed.code, 'ok');
      // Under an idempotency id a granted lock is kept for the retry.
      if (moment % 4 === 0) await server.ok(unlock(l2, { fence: (await server.ok(ask)).Lock }));
      assert.equal((await server.ok(lock(l2, { waitMs: 1000 }))).Recover, undefined, `moment ${moment}`);
      assert.deepEqual(server.leftovers(), {}, `moment ${moment}`);
      const drained = server.router.drain();
      await server.settle();
      await drained;
    }
    assert.ok(cancelled > 20, `${cancelled} clients disconnected before they were answered`);
  });

  test('a lock request that is blocked by a batch never joins the wait queue', async () => {
    const server = new RouterUnderTest({ shards, routers: 2 });
    await server.ok(lock(l2, { durMs: 60_000 }));
    server.journalStands = true;
    const transaction = server.send(batch({ get: [l2], set: [{ key: k0, value: '1' }] }));
    await server.settle();
    const single = server.send(lock(l2, { waitMs: 60_000 }), 1);
    const several = server.send(lock(l2, { waitMs: 60_000 }, { set: [{ key: k1, value: '1' }] }), 1);
    await server.settle();
    single.hangUp();
    several.hangUp();
    await server.settle();
    server.journalStands = false;
    await server.settle();
    assert.equal(transaction.code, 'ok');
    assert.equal((await server.ok(inspect(l2)))['Waiters'], 0);
    assert.deepEqual(server.leftovers(), {});
    const drained = server.routers[1]!.drain();
    await server.settle();
    await drained;
  });
});

describe('idempotency over several shards', () => {
  const ids = [keyOn(0, shards, 0, 'id'), keyOn(2, shards, 0, 'id')];

  test('a duplicate is refused or replayed with the stored reply, whichever of its ids is known', async () => {
    const server = new RouterUnderTest({ shards });
    const asked = batch({ ...once(ids), counter: [{ key: k1, op: 'add', n: 1 }] });
    const first = await server.ask(asked);
    const again = await server.ask(asked);
    assert.equal(again.code, 'duplicate_request');
    assert.deepEqual(again.body['IDs'], ids);
    assert.equal(again.body['Same'], true);
    assert.deepEqual(again.body['Response'], first.body);
    const one = await server.ask(batch({ ...once(ids[1]!, { mode: 'replay' }), counter: asked.counter! }));
    assert.equal(one.reply!.body, first.reply!.body);
    assert.equal(one.reply!.replayed, true);
    const other = await server.ask(batch({ ...once(ids, { mode: 'replay', fingerprint: 'g' }), set: [] }));
    assert.equal(other.code, 'idempotency_mismatch');
    assert.equal(other.status, 422);
    assert.equal((await server.ok(batch({ counter: [{ key: k1, op: 'get', n: 0 }] }))).Atomic[0]!.Value, 1);
  });

  test('while the first waits for its lock the others are refused as in progress', async () => {
    const server = new RouterUnderTest({ shards });
    const holder = await server.ok(lock(l2));
    const asked = lock(l2, { waitMs: 5000 }, { ...once(ids), set: [{ key: k1, value: '1' }] });
    const first = await server.ask(asked);
    const second = await server.ask(asked);
    assert.equal(second.code, 'request_in_progress');
    const single = await server.ask(batch({ ...once(ids[0]!), set: [{ key: ids[0]!, value: '1' }] }));
    assert.equal(single.code, 'request_in_progress');
    await server.ok(unlock(l2, { fence: holder.Lock }));
    assert.equal(first.code, 'ok');
    assert.equal((await server.ask(asked)).code, 'duplicate_request');
    assert.deepEqual(server.leftovers(), {});
  });

  test('many at once under one id: exactly one is applied, in every order of steps', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const server = new RouterUnderTest({ shards, routers: 2, seed });
      const asked = Array.from({ length: 8 }, (_, i) =>
        server.send(
          i % 3 === 0
            ? lock(l2, { waitMs: 1000, durMs: 500 }, { ...once(ids), counter: [{ key: k1, op: 'add', n: 1 }] })
            : batch({ ...once(ids), counter: [{ key: k1, op: 'add', n: 1 }] }),
          i % 2,
        ),
      );
      await server.settle();
      const codes = asked.map(({ code }) => code);
      assert.equal(codes.filter((code) => code === 'ok').length, 1, `seed ${seed}: ${codes.join(' ')}`);
      assert.equal((await server.ok(batch({ counter: [{ key: k1, op: 'get', n: 0 }] }))).Atomic[0]!.Value, 1);
      assert.deepEqual(server.leftovers(), {}, `seed ${seed}`);
    }
  });
});

test('lists over several shards come in byte order, page by page, without gap or repetition', async () => {
  const server = new RouterUnderTest({ shards });
  const keys = ['p/', 'p/a', 'p/b', 'p/\u00e9', 'p/\uffff', 'p/\u{1f600}', 'p/z', 'q'];
  for (const key of keys) await server.ok(set(key, key));
  for (const limit of [1, 2, 3, 100]) {
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await server.ok(kvList('p/', { limit, ...(after === undefined ? {} : { after }) }));
      assert.ok(page.KV.length <= limit);
      found.push(...page.KV.map(({ Key }) => Key));
      after = page['More'] === true ? (page['After'] as string) : undefined;
    } while (after !== undefined);
    assert.deepEqual(
      found,
      keys.filter((key) => key.startsWith('p/')).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    );
  }
});
