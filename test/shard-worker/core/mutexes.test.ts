import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId } from '../../../src/protocol/ids.ts';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';
import { lock, mlock, munlock } from '../../support/commands.ts';

describe('mutex', () => {
  test('writes nothing: no record, no revision', () => {
    const core = new CoreUnderTest();
    const digest = core.digest();
    const { Lock } = core.ok(mlock('m'));
    core.ok(munlock('m', { fence: Lock }));
    assert.equal(core.digest(), digest);
    assert.equal(core.records.length, 0);
  });

  test('says Till and Now like a lock, and is not the lock of the same name', () => {
    const core = new CoreUnderTest();
    const body = core.ok(mlock('m', { durMs: 1500 }));
    assert.deepEqual(
      [body.TillMs, body.Till, body.TTLMs, body.Now],
      [startOfTime + 1500, (startOfTime + 2000) / 1000, 1500, startOfTime],
    );
    assert.equal(core.ask(lock('m')).code, 'ok');
    assert.equal(core.ask(mlock('m')).code, 'not_locked');
  });

  test('the wait queue is first come, first served, and the head is granted in the turn that frees it', () => {
    const core = new CoreUnderTest();
    let { Lock } = core.ok(mlock('m'));
    const waiting = Array.from({ length: 4 }, () => core.ask(mlock('m', { waitMs: 60_000 })));
    for (const [i, asked] of waiting.entries()) {
      core.ok(munlock('m', { fence: Lock }));
      assert.equal(asked.code, 'ok');
      assert.equal(core.ask(mlock('m')).code, 'not_locked');
      assert.ok(waiting.slice(i + 1).every((other) => other.waits));
      ({ Lock } = asked.body);
    }
  });

  test('expires to the millisecond, and hands over to the next with Recover', () => {
    const core = new CoreUnderTest();
    const first = core.ok(mlock('m', { durMs: 1000, meta: '"job"' }));
    const waiting = core.ask(mlock('m', { waitMs: 5000 }));
    core.advance(999);
    assert.ok(waiting.waits);
    core.advance(1);
    assert.deepEqual(waiting.body.Recover, { Lock: first.Lock, Meta: 'job', Why: 'expired' });
  });

  test('unlock tells the truth: right, again, wrong, expired, forced', () => {
    const core = new CoreUnderTest();
    const first = core.ok(mlock('m'));
    assert.equal(core.ask(munlock('m', { fence: first.Lock + 1 })).code, 'lock_lost');
    core.ok(munlock('m', { fence: first.Lock }));
    core.ok(munlock('m', { fence: first.Lock }));
    const second = core.ok(mlock('m', { durMs: 1000 }));
    assert.equal(second.Recover, undefined);
    core.advance(1000);
    assert.equal(core.ask(munlock('m', { fence: second.Lock })).body.Why, 'expired');
    const third = core.ok(mlock('m'));
    core.ok(munlock('m'));
    assert.equal(core.ask(munlock('m', { fence: third.Lock })).body.Why, 'forced');
    assert.equal(core.ask(munlock('never', { fence: 3 })).code, 'lock_lost');
  });

  test('the same owner asking again gets the same fence and a later Till', () => {
    const core = new CoreUnderTest();
    const first = core.ok(mlock('m', { owner: 'o', durMs: 1000 }));
    core.advance(900);
    const again = core.ok(mlock('m', { owner: 'o', durMs: 1000 }));
    assert.equal(again.Lock, first.Lock);
    core.advance(999);
    assert.equal(core.ask(mlock('m')).code, 'not_locked');
    core.ok(munlock('m', { owner: 'o' }));
  });

  test('a returned grant goes to the next waiter, unless its owner has confirmed it since', () => {
    const core = new CoreUnderTest();
    const gone = core.ask(mlock('m', { owner: 'o' }));
    const waiting = core.ask(mlock('m', { waitMs: 5000 }));
    // In the same millisecond, for the same duration.
    const retry = core.ok(mlock('m', { owner: 'o' }));
    core.send({ kind: 'grant.return', grant: gone.reply!.grant! });
    assert.ok(waiting.waits);
    core.ok(munlock('m', { fence: retry.Lock }));
    assert.equal(waiting.code, 'ok');
    core.send({ kind: 'grant.return', grant: waiting.reply!.grant! });
    assert.equal(core.ask(mlock('m')).code, 'ok');
  });

  test('a waiter that disconnects or runs out of time leaves', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(mlock('m', { durMs: 60_000 }));
    const gone = core.ask(mlock('m', { waitMs: 60_000 }));
    const late = core.ask(mlock('m', { waitMs: 1000 }));
    const next = core.ask(mlock('m', { waitMs: 60_000 }));
    core.cancel(gone);
    core.advance(1000);
    assert.deepEqual([late.code, late.body.Waiters], ['not_locked', 1]);
    core.ok(munlock('m', { fence: Lock }));
    assert.equal(next.code, 'ok');
  });

  test('fences grow over restarts, which end all mutexes', () => {
    const first = new CoreUnderTest();
    let fence = 0;
    for (let i = 0; i < 5; i++) ({ Lock: fence } = first.ok(mlock(`m${i}`)));
    const second = first.restart();
    const again = second.ok(mlock('m0'));
    assert.ok(again.Lock > fence);
    assert.equal(second.ask(munlock('m1', { fence })).code, 'lock_lost');
  });

  test('when the fences of an epoch are used up, mutexes are refused until there is another; renewals need none', () => {
    const core = new CoreUnderTest();
    const held = core.ok(mlock('held', { owner: 'o', durMs: 60_000 }));
    let last = held.Lock;
    for (let fence = core.state.mutexes.fences.next(); fence !== undefined; fence = core.state.mutexes.fences.next()) {
      last = fence;
    }
    const waiting = core.ask(mlock('held', { waitMs: 60_000 }));
    assert.deepEqual([core.ask(mlock('m')).status, core.ask(mlock('m')).code], [503, 'overloaded']);
    assert.equal(core.ok(mlock('held', { owner: 'o', durMs: 60_000 })).Lock, held.Lock);
    core.state.mutexes.fences.add(9);
    core.ok(munlock('held', { owner: 'o' }));
    assert.ok(waiting.body.Lock > last);
    assert.ok(core.ok(mlock('m')).Lock > waiting.body.Lock);
  });

  test('memory of free mutexes ends; too many at once are refused', () => {
    const core = new CoreUnderTest({ limits: { mutexes_per_shard_max: 2 } });
    const a = core.ok(mlock('a', { durMs: 60_000 }));
    core.ok(mlock('b', { durMs: 1000 }));
    assert.equal(core.ask(mlock('c')).code, 'overloaded');
    assert.equal(core.ask(mlock('a')).code, 'not_locked');
    core.ok(munlock('a', { fence: a.Lock }));
    core.advance(11_000);
    assert.equal(core.state.mutexes.byName.size, 0);
    assert.equal(core.state.timers.size, 0);
    core.ok(mlock('c'));
  });

  test('an account has a limit of its own, and its place is free when a mutex is forgotten', () => {
    const core = new CoreUnderTest({ limits: { mutexes_per_shard_max: 3, account_mutexes_per_shard_max: 2 } });
    const other = { ...mlock('a', { durMs: 60_000 }), account: accountId('other') };
    const a = core.ok(mlock('a', { durMs: 60_000 }));
    core.ok(mlock('b', { durMs: 1000 }));
    const third = core.ask(mlock('c'));
    assert.deepEqual([third.code, third.body['Quota'], third.body['Limit']], ['rate_limited', 'mutexes', 2]);
    core.ok(other);
    assert.equal(core.ask(mlock('c')).code, 'overloaded', 'now the shard is full, too');
    core.ok(munlock('a', { fence: a.Lock }));
    core.advance(11_000);
    assert.deepEqual([...core.state.mutexes.ofAccount], [[accountId('other'), 1]]);
    core.ok(mlock('c', { durMs: 60_000 }));
    core.ok(mlock('d', { durMs: 60_000 }));
  });
});
