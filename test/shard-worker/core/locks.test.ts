import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';
import { acme, batch, extend, get, inspect, lock, mlock, once, set, unlock } from '../../support/commands.ts';

describe('lock: granting', () => {
  test('the fence is the revision of the commit, and grows with every grant', () => {
    const core = new CoreUnderTest();
    const first = core.ok(lock('a'));
    assert.equal(first.Lock, first.Rev);
    core.ok(unlock('a', { fence: first.Lock }));
    const second = core.ok(lock('a'));
    assert.ok(second.Lock > first.Lock);
  });

  test('Till is whole seconds, rounded up; TillMs is exact; both count from the grant', () => {
    const core = new CoreUnderTest();
    const held = core.ok(lock('a', { durMs: 1500 }));
    const waiting = core.ask(lock('a', { durMs: 2600, waitMs: 5000 }));
    core.advance(1500);
    assert.equal(held.TillMs, startOfTime + 1500);
    assert.equal(held.Till, (startOfTime + 2000) / 1000);
    assert.equal(held.TTLMs, 1500);
    assert.equal(waiting.body.TillMs, startOfTime + 1500 + 2600);
  });

  test('a busy lock refuses a try with the holder and the number of waiters, and neither fence nor owner', () => {
    const core = new CoreUnderTest();
    const held = core.ok(lock('a', { owner: 'secret-owner', meta: '{"who":"me"}', durMs: 10_500 }));
    core.ask(lock('a', { waitMs: 5000, owner: 'other-secret' }));
    const tried = core.ask(lock('a'));
    assert.equal(tried.code, 'not_locked');
    assert.equal(tried.status, 409);
    assert.equal(tried.body.Waiters, 1);
    assert.deepEqual(tried.body.Holder, {
      Meta: { who: 'me' },
      Till: Math.ceil((startOfTime + 10_500) / 1000),
      TillMs: startOfTime + 10_500,
      Since: startOfTime,
    });
    const text = tried.reply!.body;
    assert.ok(!text.includes(String(held.Lock)) && !text.includes('secret'), text);
  });

  test('a lease that ends by its time is counted, of a lock and of a mutex; one that is given back is not', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    core.ok(unlock('a', { fence: Lock }));
    core.ok(lock('b', { durMs: 1000 }));
    core.ok(mlock('m', { durMs: 1000 }));
    assert.equal(core.state.locks.expired, 0);
    core.advance(1001);
    core.ok(inspect('b'));
    assert.equal(core.state.locks.expired, 2);
    core.advance(3_700_000);
    assert.equal(core.state.locks.expired, 2, 'nor are locks that are forgotten');
  });

  test('grants and ends are counted by how and why, and the times in line and as the holder', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a', { owner: 'o' }));
    core.ok(lock('a', { owner: 'o' }));
    core.ask(lock('a', { waitMs: 9000, owner: 'p' }));
    core.advance(3000);
    core.ok(unlock('a', { fence: Lock }));
    core.ok(unlock('a', {}));
    core.ok(lock('r', { read: true, owner: 'o' }));
    core.ok(unlock('r', { owner: 'o' }));
    core.ask(lock('a', { extend: 1 }));
    const { grants, ends, waitSeconds, holdSeconds } = core.state.locks.snapshot();
    assert.deepEqual(grants, { free: 2, line: 1, reentered: 1 });
    assert.deepEqual(ends, { released: 2, expired: 0, forced: 1 });
    assert.deepEqual([waitSeconds.count, waitSeconds.sum], [1, 3]);
    assert.deepEqual([holdSeconds.count, holdSeconds.sum], [3, 3]);
  });

  test('the wait queue is strictly first come, first served', () => {
    const core = new CoreUnderTest();
    let { Lock } = core.ok(lock('a'));
    const waiting = Array.from({ length: 5 }, () => core.ask(lock('a', { waitMs: 60_000 })));
    for (const [i, asked] of waiting.entries()) {
      core.ok(unlock('a', { fence: Lock }));
      assert.equal(asked.code, 'ok');
      assert.ok(waiting.slice(i + 1).every((other) => other.waits));
      ({ Lock } = asked.body);
    }
  });

  test('the head of the wait queue is granted in the turn that frees the lock, so that nobody can barge in', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    const waiting = core.ask(lock('a', { waitMs: 1000 }));
    const freed = core.ask(unlock('a', { fence: Lock }));
    assert.equal(waiting.code, 'ok');
    assert.equal(waiting.body.Lock, freed.body.Rev + 1, 'the very next commit');
    assert.equal(core.ask(lock('a')).code, 'not_locked');
  });

  test('the head is granted in the turn in which the lease expires, before a try of that turn', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { durMs: 1000 }));
    const waiting = core.ask(lock('a', { waitMs: 60_000 }));
    core.jump(1000);
    const barging = core.ask(lock('a'));
    assert.equal(waiting.code, 'ok');
    assert.equal(barging.code, 'not_locked');
  });

  test('a request that arrives while others wait is queued after them, even if the lock is free', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { durMs: 1000 }));
    const head = core.ask(lock('a', { waitMs: 60_000, durMs: 1000 }));
    const second = core.ask(lock('a', { waitMs: 60_000 }));
    core.advance(1000);
    assert.deepEqual([head.waits, second.waits], [false, true]);
    core.advance(1000);
    assert.equal(second.code, 'ok');
  });

  test('locks of one name in two accounts are two locks', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a'));
    const other = core.ask({ ...lock('a'), account: 'other' as typeof acme });
    assert.equal(other.code, 'ok');
  });
});

describe('lock: waiting', () => {
  test('LockWait that runs out is answered to the millisecond, with holder and the other waiters', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { durMs: 60_000 }));
    const waiting = core.ask(lock('a', { waitMs: 2000 }));
    core.ask(lock('a', { waitMs: 30_000 }));
    core.advance(1999);
    assert.ok(waiting.waits);
    core.advance(1);
    assert.equal(waiting.code, 'not_locked');
    assert.equal(waiting.body.Waiters, 1);
    assert.equal(waiting.body.Holder?.Since, startOfTime);
  });

  test('a lease that ends in the very millisecond in which LockWait runs out is granted', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { durMs: 2000 }));
    const waiting = core.ask(lock('a', { waitMs: 2000 }));
    core.advance(2000);
    assert.equal(waiting.code, 'ok');
  });

  test('a waiter that disconnects leaves at once: it is not counted, not granted, and the next one is', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    const gone = core.ask(lock('a', { waitMs: 60_000 }));
    const next = core.ask(lock('a', { waitMs: 60_000 }));
    core.cancel(gone);
    assert.equal(core.ok(inspect('a'))['Waiters'], 1);
    core.ok(unlock('a', { fence: Lock }));
    assert.equal(next.code, 'ok');
    assert.equal(core.state.waitQueues.size, 0);
  });

  test('a request that was cancelled gets exactly one answer, so that nobody waits for it for ever', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a'));
    const gone = core.ask(lock('a', { waitMs: 60_000 }));
    core.cancel(gone);
    assert.ok(!gone.waits);
    core.cancel(gone);
    core.advance(60_000);
    assert.equal(core.state.timers.size, 0);
  });

  test('too many waiters of one lock, or of the shard, are refused', () => {
    const core = new CoreUnderTest({ limits: { waiters_per_lock_max: 2, waiters_per_shard_max: 3 } });
    core.ok(lock('a'));
    core.ok(lock('b'));
    const wait = { waitMs: 1000 };
    assert.ok(core.ask(lock('a', wait)).waits);
    assert.ok(core.ask(lock('a', wait)).waits);
    const third = core.ask(lock('a', wait));
    assert.equal(third.code, 'too_many_waiters');
    assert.equal(third.status, 429);
    assert.match(third.body.Message, /waiters_per_lock_max/);
    assert.ok(core.ask(lock('b', wait)).waits);
    const other = core.ask(lock('b', wait));
    assert.equal(other.code, 'too_many_waiters');
    assert.match(other.body.Message, /waiters_per_shard_max/);
  });

  test('an owner that takes over its own place in a full wait queue is not one too many', () => {
    const core = new CoreUnderTest({ limits: { waiters_per_lock_max: 1, waiters_per_shard_max: 1 } });
    core.ok(lock('a'));
    const first = core.ask(lock('a', { waitMs: 1000, owner: 'o' }));
    const retry = core.ask(lock('a', { waitMs: 1000, owner: 'o' }));
    assert.equal(first.code, 'not_locked');
    assert.ok(retry.waits);
  });

  test('conditions are checked when the lock is granted; if they fail, the next waiter has it in the same turn', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    const failing = core.ask(lock('a', { waitMs: 1000 }, { set: [{ key: 'k', value: '1', version: 0 }] }));
    const next = core.ask(lock('a', { waitMs: 1000 }));
    core.ok(set('k', 'meanwhile'));
    core.ok(unlock('a', { fence: Lock }));
    assert.equal(failing.code, 'version_mismatch');
    assert.equal(next.code, 'ok');
    assert.equal(core.ok(get('k')).KV[0]!.Value, 'meanwhile');
  });

  test('a thousand heads whose conditions fail do not keep the lock from the next', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    const failing = Array.from({ length: 1000 }, () =>
      core.ask(lock('a', { waitMs: 1000 }, { check: [{ key: 'k', version: 1 }] })),
    );
    const next = core.ask(lock('a', { waitMs: 1000 }));
    core.ok(unlock('a', { fence: Lock }));
    assert.ok(failing.every(({ code }) => code === 'version_mismatch'));
    assert.equal(next.code, 'ok');
  });
});

describe('lock: owners', () => {
  test('the same owner asking again gets the same fence, and a later Till', () => {
    const core = new CoreUnderTest();
    const first = core.ok(lock('a', { owner: 'o', durMs: 5000 }));
    core.advance(3000);
    const again = core.ok(lock('a', { owner: 'o', durMs: 5000 }));
    assert.equal(again.Lock, first.Lock);
    assert.equal(again.TillMs, first.TillMs + 3000);
    core.advance(4999);
    assert.equal(core.ask(lock('a')).code, 'not_locked');
    core.advance(1);
    assert.equal(core.ask(lock('a')).code, 'ok');
  });

  test('the same owner asking again does not wait, even if others do', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { owner: 'o' }));
    const other = core.ask(lock('a', { waitMs: 60_000 }));
    assert.equal(core.ask(lock('a', { owner: 'o', waitMs: 1000 })).code, 'ok');
    assert.ok(other.waits);
  });

  test('a retry of an owner takes over its place in the wait queue, and the earlier try is answered', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    const first = core.ask(lock('a', { owner: 'o', waitMs: 1000 }));
    const later = core.ask(lock('a', { owner: 'p', waitMs: 60_000 }));
    const retry = core.ask(lock('a', { owner: 'o', waitMs: 60_000 }));
    assert.equal(first.code, 'not_locked');
    assert.equal(core.ok(inspect('a'))['Waiters'], 2);
    core.advance(1000);
    core.ok(unlock('a', { fence: Lock }));
    assert.equal(retry.code, 'ok');
    assert.ok(later.waits);
  });

  test('another owner is not the owner, and an owner that has lost the lock gets a new fence', () => {
    const core = new CoreUnderTest();
    const first = core.ok(lock('a', { owner: 'o', durMs: 1000 }));
    assert.equal(core.ask(lock('a', { owner: 'p' })).code, 'not_locked');
    core.advance(1000);
    const again = core.ok(lock('a', { owner: 'o' }));
    assert.notEqual(again.Lock, first.Lock);
    assert.deepEqual(again.Recover, { Lock: first.Lock, Why: 'expired' });
  });

  test('LockMeta can be changed by asking again, and stays when nothing is said of it', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { owner: 'o', meta: '1' }));
    core.ok(lock('a', { owner: 'o' }));
    assert.equal(core.ok(inspect('a'))['Meta'], 1);
    core.ok(lock('a', { owner: 'o', meta: '2' }));
    assert.equal(core.ok(inspect('a'))['Meta'], 2);
  });
});

describe('lock: extending', () => {
  test('by fence: same fence, Till from now, one commit', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a', { durMs: 2000 }));
    core.advance(1500);
    const more = core.ok(extend('a', Lock, 3000));
    assert.equal(more.Lock, Lock);
    assert.equal(more.TillMs, startOfTime + 4500);
    assert.equal(core.records.length, 2);
    core.advance(2999);
    assert.equal(core.ok(inspect('a'))['Locked'], true);
  });

  test('an expired lease is never revived, before as after its expiry is committed', () => {
    for (const pass of ['advance', 'jump'] as const) {
      const core = new CoreUnderTest();
      const { Lock } = core.ok(lock('a', { durMs: 1000, owner: 'o' }));
      core[pass](1000);
      const late = core.ask(extend('a', Lock));
      assert.equal(late.code, 'lock_lost');
      assert.equal(late.body.Why, 'expired');
      assert.equal(core.ok(inspect('a'))['Locked'], false);
    }
  });

  test('a lease whose expiry could not be committed yet is over all the same', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a', { durMs: 1000, owner: 'o' }));
    core.jump(1000);
    core.state.outOfSpace = { space: 'full', failure: { code: 'disk_full', message: 'full' } };
    assert.equal(core.ask(batch({ guard: [{ id: 'a', fence: Lock }] })).code, 'lock_lost');
    assert.equal(core.ok(inspect('a'))['Locked'], false);
    core.state.outOfSpace = undefined;
    assert.equal(core.ask(extend('a', Lock)).code, 'lock_lost');
  });

  test('with a wrong, released or forced fence: lock_lost, which says how the lease ended', () => {
    const core = new CoreUnderTest();
    const first = core.ok(lock('a'));
    assert.equal(core.ask(extend('a', first.Lock + 7)).body.Why, 'unknown');
    core.ok(unlock('a', { fence: first.Lock }));
    assert.equal(core.ask(extend('a', first.Lock)).body.Why, 'released');
    const second = core.ok(lock('a'));
    core.ok(unlock('a'));
    assert.equal(core.ask(extend('a', second.Lock)).body.Why, 'forced');
    const third = core.ok(lock('a'));
    assert.equal(core.ask(extend('a', first.Lock)).code, 'lock_lost');
    assert.equal(core.ask(extend('a', third.Lock)).code, 'ok');
  });
});

describe('unlock tells the truth', () => {
  test('right fence: 200, and the same again: 200 without another commit', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    core.ok(unlock('a', { fence: Lock }));
    const digest = core.digest();
    core.ok(unlock('a', { fence: Lock }));
    core.ok(lock('a'));
    assert.equal(core.ask(unlock('a', { fence: Lock })).code, 'ok', 'still, while the next one holds it');
    assert.equal(core.ok(inspect('a'))['Locked'], true);
    assert.notEqual(core.digest(), digest);
  });

  test('after expiry: lock_lost, expired', () => {
    for (const pass of ['advance', 'jump'] as const) {
      const core = new CoreUnderTest();
      const { Lock } = core.ok(lock('a', { durMs: 1000 }));
      core[pass](1000);
      const late = core.ask(unlock('a', { fence: Lock }));
      assert.equal(late.status, 409);
      assert.deepEqual([late.code, late.body.Why], ['lock_lost', 'expired']);
      assert.equal(late.body['EndedMs'], startOfTime + 1000);
    }
  });

  test('after force: lock_lost, forced; and the next holder is left alone', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    const waiting = core.ask(lock('a', { waitMs: 1000 }));
    core.ok(unlock('a'));
    const late = core.ask(unlock('a', { fence: Lock }));
    assert.deepEqual([late.code, late.body.Why], ['lock_lost', 'forced']);
    assert.equal(core.ok(inspect('a', waiting.body.Lock))['Locked'], true);
  });

  test('wrong fence, the fence of another lock, a lock that never was: lock_lost', () => {
    const core = new CoreUnderTest();
    const a = core.ok(lock('a'));
    const b = core.ok(lock('b'));
    for (const [id, fence] of [
      ['a', a.Lock + 1000],
      ['a', b.Lock],
      ['b', a.Lock],
      ['never', a.Lock],
    ] as const) {
      assert.equal(core.ask(unlock(id, { fence })).code, 'lock_lost');
    }
    assert.equal(core.ok(inspect('a'))['Locked'], true);
    assert.equal(core.ok(inspect('b'))['Locked'], true);
  });

  test('by owner: 200, again 200, and lock_lost when it is another’s or has expired', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { owner: 'o', durMs: 1000 }));
    assert.equal(core.ask(unlock('a', { owner: 'p' })).code, 'lock_lost');
    core.ok(unlock('a', { owner: 'o' }));
    core.ok(unlock('a', { owner: 'o' }));
    core.ok(lock('a', { owner: 'o', durMs: 1000 }));
    core.advance(1000);
    assert.equal(core.ask(unlock('a', { owner: 'o' })).body.Why, 'expired');
  });

  test('forcing a free lock is no commit', () => {
    const core = new CoreUnderTest();
    const digest = core.digest();
    core.ok(unlock('a'));
    assert.equal(core.digest(), digest);
  });

  test('the memory of a free lock ends after an hour, in a commit of its own', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    core.ok(unlock('a', { fence: Lock }));
    core.advance(60 * 60 * 1000);
    assert.deepEqual(core.records.at(-1)!.effects, [{ kind: 0x6c, key: 'a', till: 0, expired: true }]);
    assert.equal(core.ask(unlock('a', { fence: Lock })).code, 'lock_lost');
  });
});

describe('lock: UnlockID beside LockID', () => {
  test('one commit gives the first back and takes the second', () => {
    const core = new CoreUnderTest();
    const a = core.ok(lock('a'));
    const waiting = core.ask(lock('a', { waitMs: 1000 }));
    const both = core.ok(lock('b', {}, { unlock: { id: 'a', fence: a.Lock } }));
    assert.equal(both.Lock, both.Rev);
    assert.equal(waiting.code, 'ok');
  });

  test('the first is kept while the second is waited for, and when it is not granted', () => {
    const core = new CoreUnderTest();
    const a = core.ok(lock('a', { durMs: 60_000 }));
    core.ok(lock('b', { durMs: 60_000 }));
    const change = { unlock: { id: 'a', fence: a.Lock } };
    assert.equal(core.ask(lock('b', {}, change)).code, 'not_locked');
    const waiting = core.ask(lock('b', { waitMs: 1000 }, change));
    assert.equal(core.ok(inspect('a'))['Locked'], true);
    core.advance(1000);
    assert.equal(waiting.code, 'not_locked');
    core.ok(inspect('a', a.Lock));
  });

  test('the first is kept when another condition fails, and the second is not taken when the first is lost', () => {
    const core = new CoreUnderTest();
    const a = core.ok(lock('a'));
    const failing = core.ask(lock('b', {}, { unlock: { id: 'a', fence: a.Lock }, check: [{ key: 'k', version: 4 }] }));
    assert.equal(failing.code, 'version_mismatch');
    core.ok(inspect('a', a.Lock));
    assert.equal(core.ask(lock('b', {}, { unlock: { id: 'a', fence: a.Lock + 1 } })).code, 'lock_lost');
    assert.equal(core.ok(inspect('b'))['Locked'], false);
  });
});

describe('lock: Recover', () => {
  test('after expiry and force, with fence and meta of the one before; not after a clean release', () => {
    const core = new CoreUnderTest();
    const first = core.ok(lock('a', { durMs: 1000, meta: '{"job":1}' }));
    assert.equal(first.Recover, undefined);
    core.advance(1000);
    const second = core.ok(lock('a', { meta: '"two"' }));
    assert.deepEqual(second.Recover, { Lock: first.Lock, Meta: { job: 1 }, Why: 'expired' });
    core.ok(unlock('a'));
    const third = core.ok(lock('a'));
    assert.deepEqual(third.Recover, { Lock: second.Lock, Meta: 'two', Why: 'forced' });
    core.ok(unlock('a', { fence: third.Lock }));
    assert.equal(core.ok(lock('a')).Recover, undefined);
  });

  test('reaches the waiter that is granted in the turn of the expiry', () => {
    const core = new CoreUnderTest();
    const first = core.ok(lock('a', { durMs: 1000 }));
    const waiting = core.ask(lock('a', { waitMs: 5000 }));
    core.advance(1000);
    assert.deepEqual(waiting.body.Recover, { Lock: first.Lock, Why: 'expired' });
  });
});

describe('lock: grants that are returned', () => {
  test('say whether their request stood in line, of locks and of mutexes', () => {
    const core = new CoreUnderTest();
    for (const take of [lock, mlock]) {
      const first = core.ask(take('a', { waitMs: 5000, durMs: 1000 }));
      const second = core.ask(take('a', { waitMs: 5000, durMs: 1000 }));
      core.advance(1000);
      assert.deepEqual(
        [first, second].map(({ reply }) => reply!.grant!.waited),
        [false, true],
      );
    }
  });

  test('go to the next waiter in the same turn, and leave nothing to recover', () => {
    const core = new CoreUnderTest();
    const gone = core.ask(lock('a'));
    const next = core.ask(lock('a', { waitMs: 60_000 }));
    core.send({ kind: 'grant.return', grant: gone.reply!.grant! });
    assert.equal(next.code, 'ok');
    assert.equal(next.body.Recover, undefined);
  });

  test('are kept when another request of the same owner has confirmed the lock since', () => {
    const core = new CoreUnderTest();
    const gone = core.ask(lock('a', { owner: 'o' }));
    const retry = core.ok(lock('a', { owner: 'o' }));
    core.send({ kind: 'grant.return', grant: gone.reply!.grant! });
    core.ok(inspect('a', retry.Lock));
  });

  test('are new leases only: an extension that cannot be delivered leaves the holder its lock', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a', { owner: 'o' }));
    assert.equal(core.ask(extend('a', Lock)).reply!.grant, undefined);
    assert.equal(core.ask(lock('a', { owner: 'o' })).reply!.grant, undefined);
    core.ok(mlock('m', { owner: 'o' }));
    assert.equal(core.ask(mlock('m', { owner: 'o' })).reply!.grant, undefined);
  });

  test('are kept under an idempotency id: a client that asks again is answered with the lock, and has it', () => {
    const core = new CoreUnderTest();
    const ask = lock('a', {}, once('i', { mode: 'replay' }));
    assert.equal(core.ask(ask).reply!.grant, undefined);
    core.ok(inspect('a', core.ok(ask).Lock));
  });

  test('change nothing when the lock has ended or gone on meanwhile', () => {
    const core = new CoreUnderTest();
    const gone = core.ask(lock('a', { durMs: 1000 }));
    core.advance(1000);
    const holder = core.ok(lock('a'));
    core.send({ kind: 'grant.return', grant: gone.reply!.grant! });
    core.ok(inspect('a', holder.Lock));
  });
});

describe('lock: fencing and reading', () => {
  test('Guard holds with the fence of now only', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a', { durMs: 1000 }));
    const guarded = { guard: [{ id: 'a', fence: Lock }], set: [{ key: 'k', value: '1' }] };
    assert.equal(core.ask(batch(guarded)).code, 'ok');
    assert.equal(core.ask(batch({ guard: [{ id: 'a', fence: Lock + 1 }] })).code, 'lock_lost');
    assert.equal(core.ask(batch({ guard: [{ id: 'never', fence: Lock }] })).code, 'lock_lost');
    core.advance(1000);
    const late = core.ask(batch(guarded));
    assert.deepEqual([late.code, late.body.Failed[0]!.Field], ['lock_lost', 'Guard[0]']);
  });

  test('inspect shows holder and waiters, and answers a fence with 200 or 409', () => {
    const core = new CoreUnderTest();
    assert.deepEqual(core.ok(inspect('a')), { Locked: false, Waiters: 0, Rev: 100 });
    const { Lock } = core.ok(lock('a', { owner: 'secret', meta: '7' }));
    const shown = core.ask(inspect('a'));
    assert.deepEqual(Object.keys(shown.body), ['Locked', 'Meta', 'Till', 'TillMs', 'Since', 'Waiters', 'Rev']);
    assert.equal(core.ask(inspect('a', Lock)).status, 200);
    assert.equal(core.ask(inspect('a', Lock - 1)).code, 'lock_lost');
  });

  test('an expiry is a commit within the turn of its time, even if nobody looks', () => {
    const core = new CoreUnderTest();
    core.ok(lock('a', { durMs: 1000 }));
    core.advance(999);
    assert.equal(core.records.length, 1);
    core.advance(1);
    assert.equal(core.records.length, 2);
  });
});

describe('lock: over a restart', () => {
  test('a lock is still held, for at least min(LockDur, 10 s) more', () => {
    for (const [durMs, graceMs] of [
      [60_000, 10_000],
      [3000, 3000],
    ] as const) {
      const before = new CoreUnderTest();
      const { Lock } = before.ok(lock('a', { durMs, owner: 'o' }));
      before.jump(durMs - 1);
      const core = before.restart();
      core.ok(inspect('a', Lock));
      core.advance(graceMs - 1);
      core.ok(inspect('a', Lock));
      core.advance(1);
      assert.equal(core.ask(inspect('a', Lock)).code, 'lock_lost');
    }
  });

  test('a lease that ended while the server was down has its grace too, and can be extended in it', () => {
    const before = new CoreUnderTest();
    const { Lock } = before.ok(lock('a', { durMs: 30_000 }));
    before.jump(3_600_000);
    const core = before.restart();
    core.advance(9999);
    const more = core.ok(extend('a', Lock, 20_000));
    assert.equal(more.Lock, Lock);
    core.advance(19_999);
    core.ok(inspect('a', Lock));
  });

  test('a lease with much time left keeps exactly that', () => {
    const before = new CoreUnderTest();
    const { Lock } = before.ok(lock('a', { durMs: 60_000 }));
    before.jump(1000);
    const core = before.restart();
    core.advance(58_999);
    core.ok(inspect('a', Lock));
    core.advance(1);
    assert.equal(core.ask(inspect('a', Lock)).code, 'lock_lost');
  });

  test('a lease granted after the start has no grace', () => {
    const core = new CoreUnderTest().restart();
    const { Lock } = core.ok(lock('a', { durMs: 1000 }));
    core.advance(1000);
    assert.equal(core.ask(unlock('a', { fence: Lock })).body.Why, 'expired');
  });

  test('a wall clock that was set back while the server was down makes no lease longer than LockDur', () => {
    const before = new CoreUnderTest();
    before.ok(lock('a', { durMs: 30_000 }));
    const core = before.restart({ at: startOfTime - 86_400_000 }, { now: startOfTime - 86_400_000 });
    const waiting = core.ask(lock('a', { waitMs: 60_000 }));
    core.advance(29_999);
    assert.ok(waiting.waits);
    core.advance(1);
    assert.ok(!waiting.waits, 'the waiter is served when the lease ends');
    assert.equal(waiting.code, 'ok');
  });

  test('ended leases are reported after it as before', () => {
    const before = new CoreUnderTest();
    const { Lock } = before.ok(lock('a'));
    before.ok(unlock('a', { fence: Lock }));
    assert.equal(before.restart().ask(unlock('a', { fence: Lock })).code, 'ok');
  });
});
