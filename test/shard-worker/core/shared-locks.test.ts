import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CoreUnderTest, startOfTime, type Asked } from '../../support/core-under-test.ts';
import { acme, batch, extend, inspect, lock, unlock } from '../../support/commands.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { lockHistoryMs, shareHistoryMs } from '../../../src/shared/limits.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';

const wait = { waitMs: 60_000 };

function reader(owner: string, more: Partial<LockOperation> = {}) {
  return lock('a', { read: true, owner, ...more });
}

function permit(owner: string, more: Partial<LockOperation> = {}) {
  return lock('a', { limit: 3, owner, ...more });
}

function writer(owner: string, more: Partial<LockOperation> = {}) {
  return lock('a', { owner, ...more });
}

function codes(asked: readonly Asked[]): string[] {
  return asked.map((each) => (each.waits ? 'waits' : each.code));
}

describe('readers', () => {
  test('hold a lock together, each under its own fencing token, and no writer beside them', () => {
    const core = new CoreUnderTest();
    const [r1, r2] = [core.ok(reader('r1')), core.ok(reader('r2'))];
    assert.equal(r1.Lock, r1.Rev);
    assert.equal(r2.Lock, r2.Rev);
    assert.equal(core.ask(writer('w')).code, 'not_locked');
    core.ok(unlock('a', { fence: r1.Lock }));
    assert.equal(core.ask(writer('w')).code, 'not_locked');
    core.ok(unlock('a', { fence: r2.Lock }));
    core.ok(writer('w'));
    const refused = core.ask(reader('r3'));
    assert.equal(refused.code, 'not_locked');
  });

  test('a writer that waits holds back later readers', () => {
    const core = new CoreUnderTest();
    const r1 = core.ok(reader('r1'));
    const w = core.ask(writer('w', wait));
    const later = [core.ask(reader('r2', wait)), core.ask(reader('r3', wait))];
    assert.deepEqual(codes([w, ...later]), ['waits', 'waits', 'waits']);
    assert.equal(core.ask(reader('r4')).code, 'not_locked', 'nor does a try get in');
    core.ok(unlock('a', { fence: r1.Lock }));
    assert.deepEqual(codes([w, ...later]), ['ok', 'waits', 'waits']);
    core.ok(unlock('a', { fence: w.body.Lock }));
    assert.deepEqual(codes(later), ['ok', 'ok']);
  });

  test('a writer whose wait ends frees the readers behind it', () => {
    const core = new CoreUnderTest();
    core.ok(reader('r1', { durMs: 600_000 }));
    const w = core.ask(writer('w', { waitMs: 1000 }));
    const later = [core.ask(reader('r2', wait)), core.ask(reader('r3', wait))];
    core.advance(1000);
    assert.deepEqual(codes([w, ...later]), ['not_locked', 'ok', 'ok']);
  });

  test('a writer that hangs up frees the readers behind it', () => {
    const core = new CoreUnderTest();
    core.ok(reader('r1'));
    const w = core.ask(writer('w', wait));
    const r2 = core.ask(reader('r2', wait));
    core.cancel(w);
    assert.deepEqual(codes([r2]), ['ok']);
  });

  test('readers at the head go together, each in a commit of its own, up to the next writer', () => {
    const core = new CoreUnderTest();
    const w1 = core.ok(writer('w1'));
    const asked = [reader('r1', wait), reader('r2', wait), writer('w2', wait), reader('r3', wait)].map((command) =>
      core.ask(command),
    );
    const freed = core.ok(unlock('a', { fence: w1.Lock }));
    assert.deepEqual(codes(asked), ['ok', 'ok', 'waits', 'waits']);
    assert.deepEqual(
      asked.slice(0, 2).map(({ body }) => body.Lock),
      [freed.Rev + 1, freed.Rev + 2],
      'in the turn that frees the lock',
    );
  });

  test('an owner that asks again gets its lease again, extended; another mode is refused and takes nothing', () => {
    const core = new CoreUnderTest();
    const first = core.ok(reader('r1', { durMs: 5000 }));
    core.jump(1000);
    const again = core.ok(reader('r1', { durMs: 9000 }));
    assert.equal(again.Lock, first.Lock);
    assert.equal(again['Extended'], true);
    assert.equal(again.TillMs, startOfTime + 10_000);
    const upgrade = core.ask(writer('r1', wait));
    assert.equal(upgrade.code, 'not_locked');
    assert.equal(upgrade.body.Why, 'no_upgrade');
    assert.equal(core.ok(inspect('a'))['Holders'], 1);
    core.ok(unlock('a', { fence: first.Lock }));
    core.ok(writer('r1'));
    const downgrade = core.ask(reader('r1', wait));
    assert.equal(downgrade.body.Why, 'no_upgrade');
  });

  test('leases end on their own, and the last one lets the writer in', () => {
    const core = new CoreUnderTest();
    const r1 = core.ok(reader('r1', { durMs: 1000 }));
    core.ok(reader('r2', { durMs: 2000 }));
    const w = core.ask(writer('w', wait));
    core.advance(1000);
    assert.equal(core.ok(inspect('a'))['Holders'], 1);
    assert.ok(w.waits);
    core.advance(1000);
    assert.equal(w.code, 'ok');
    const lost = core.ask(unlock('a', { fence: r1.Lock }));
    assert.equal(lost.code, 'lock_lost');
    assert.equal(lost.body.Why, 'expired');
    assert.equal(lost.body['EndedMs'], startOfTime + 1000);
  });

  test('many leases that end in one moment are one commit', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < 50; i += 1) core.ok(reader(`r${i}`, { durMs: 1000 }));
    const before = core.records.length;
    core.advance(1000);
    assert.equal(core.records.length, before + 1);
    assert.equal(core.ok(inspect('a'))['Locked'], false);
  });
});

describe('permits', () => {
  test('so many hold the lock as it has permits, and the next is first come, first served', () => {
    const core = new CoreUnderTest();
    const held = ['p1', 'p2', 'p3'].map((owner) => core.ok(permit(owner)));
    assert.deepEqual(
      held.map((body) => body['Free']),
      [2, 1, 0],
    );
    const waiting = ['p4', 'p5'].map((owner) => core.ask(permit(owner, wait)));
    assert.equal(core.ask(permit('p6')).code, 'not_locked');
    core.ok(unlock('a', { fence: held[1]!.Lock }));
    assert.deepEqual(codes(waiting), ['ok', 'waits']);
    assert.equal(core.ask(permit('p6')).code, 'not_locked', 'nobody overtakes');
  });

  test('a repeated or wrong release gives no second permit', () => {
    const core = new CoreUnderTest();
    const held = ['p1', 'p2', 'p3'].map((owner) => core.ok(permit(owner)));
    core.ok(unlock('a', { fence: held[0]!.Lock }));
    core.ok(unlock('a', { fence: held[0]!.Lock }));
    core.ok(unlock('a', { owner: 'p1' }));
    assert.equal(core.ask(unlock('a', { fence: 7 })).code, 'lock_lost');
    assert.equal(core.ask(unlock('a', { owner: 'nobody' })).body.Why, 'unknown');
    assert.equal(core.ok(inspect('a'))['Holders'], 2);
    assert.equal(core.ok(permit('p4'))['Free'], 0);
    assert.equal(core.ask(permit('p5')).code, 'not_locked');
  });

  test('the number is fixed while anybody holds one, and free again behind the last', () => {
    const core = new CoreUnderTest();
    const p1 = core.ok(permit('p1'));
    for (const other of [permit('p2', { limit: 5, ...wait }), writer('w', wait), reader('r', wait)]) {
      const refused = core.ask(other);
      assert.equal(refused.code, 'limit_mismatch');
      assert.deepEqual(refused.body.Holder, { LockLimit: 3, Holders: 1, Free: 2 });
    }
    core.ok(unlock('a', { fence: p1.Lock }));
    assert.equal(core.ok(permit('p2', { limit: 5 }))['Free'], 4);
    const w = new CoreUnderTest();
    w.ok(writer('w'));
    assert.equal(w.ask(permit('p1', wait)).code, 'limit_mismatch');
  });

  test('one who waits and does not fit what is granted before is refused at its turn, and the next goes on', () => {
    const core = new CoreUnderTest();
    const w = core.ok(writer('w'));
    const waiting = [core.ask(writer('w2', wait)), core.ask(reader('r', wait))];
    core.ok(unlock('a', { fence: w.Lock }));
    assert.deepEqual(codes(waiting), ['ok', 'waits']);
  });

  test('a crash gives a permit back by its lease, and the next one is told whom it recovers', () => {
    const core = new CoreUnderTest();
    const p1 = core.ok(permit('p1', { durMs: 1000, meta: '{"job":7}' }));
    core.ok(permit('p2'));
    core.ok(permit('p3'));
    const p4 = core.ask(permit('p4', wait));
    core.advance(1000);
    assert.equal(p4.code, 'ok');
    assert.deepEqual(p4.body.Recover, { Lock: p1.Lock, Meta: { job: 7 }, Why: 'expired' });
  });
});

describe('shared leases', () => {
  test('guard, extend, inspect and release by fence', () => {
    const core = new CoreUnderTest();
    const r1 = core.ok(reader('r1', { meta: '"m"', durMs: 5000 }));
    core.ok(reader('r2'));
    core.ok(batch({ guard: [{ id: 'a', fence: r1.Lock }], set: [{ key: 'k', value: '1' }] }));
    const extended = core.ok(extend('a', r1.Lock, 50_000));
    assert.equal(extended.Lock, r1.Lock);
    assert.equal(extended.TillMs, startOfTime + 50_000);
    const seen = core.ok(inspect('a', r1.Lock));
    assert.equal(seen['Meta'], 'm');
    assert.equal(seen['TillMs'], startOfTime + 50_000);
    assert.equal(seen['Holders'], 2);
    core.ok(unlock('a', { fence: r1.Lock }));
    const guarded = core.ask(batch({ guard: [{ id: 'a', fence: r1.Lock }], set: [{ key: 'k', value: '2' }] }));
    assert.equal(guarded.code, 'lock_lost');
    assert.equal(guarded.body.Why, 'released');
    assert.equal(core.ask(extend('a', r1.Lock)).code, 'lock_lost');
  });

  test('force ends all of them at once, and a later lease lives', () => {
    const core = new CoreUnderTest();
    const held = ['p1', 'p2', 'p3'].map((owner) => core.ok(permit(owner, { durMs: 5000 })));
    const w = core.ask(permit('p4', wait));
    core.ok(unlock('a'));
    assert.equal(w.code, 'ok');
    assert.equal(core.ok(inspect('a'))['Holders'], 1);
    for (const { Lock } of held) assert.equal(core.ask(unlock('a', { fence: Lock })).body.Why, 'forced');
    core.advance(5000);
    assert.equal(core.ok(inspect('a'))['Holders'], 1, 'what was forced does not end once more');
    assert.equal(core.ask(unlock('a', { fence: held[0]!.Lock })).body.Why, 'forced');
  });

  test('a forced lease does not come back to life when others take the lock again', () => {
    const core = new CoreUnderTest();
    const r1 = core.ok(reader('r1', { durMs: 60_000 }));
    core.ok(unlock('a'));
    core.ok(unlock('a', { fence: core.ok(writer('w')).Lock }));
    const r2 = core.ok(reader('r2', { durMs: 60_000 }));
    assert.equal(core.ask(unlock('a', { fence: r1.Lock })).code, 'lock_lost');
    assert.equal(core.ok(reader('r1')).Lock > r2.Lock, true, 'its owner gets a new lease');
    assert.equal(core.ok(inspect('a'))['Holders'], 2);
  });

  test('a grant that reaches nobody goes back, unless its owner has asked again', () => {
    const core = new CoreUnderTest();
    const granted = core.ask(reader('r1'));
    core.send({ kind: 'grant.return', grant: granted.reply!.grant! });
    assert.equal(core.ok(inspect('a'))['Locked'], false);
    const second = core.ask(reader('r2'));
    core.ok(reader('r2'));
    core.send({ kind: 'grant.return', grant: second.reply!.grant! });
    assert.equal(core.ok(inspect('a'))['Holders'], 1);
  });

  test('what is over is forgotten: no entry stays', () => {
    const core = new CoreUnderTest();
    core.ok(unlock('a', { fence: core.ok(reader('r1')).Lock }));
    core.ok(permit('p1', { durMs: 1000 }));
    core.ok(unlock('a'));
    core.advance(1000 + shareHistoryMs);
    assert.equal([...core.entries.range(kinds.share, acme, '')].length, 0);
    core.advance(lockHistoryMs);
    assert.equal([...core.entries.range(kinds.lock, acme, '')].length, 0);
  });

  test('over a start they last for ten seconds at least, and a lease that was over stays over', () => {
    const core = new CoreUnderTest();
    const r1 = core.ok(reader('r1', { durMs: 30_000 }));
    core.ok(reader('r2', { durMs: 2000 }));
    core.jump(29_000);
    const next = core.restart();
    assert.equal(next.ok(inspect('a'))['Holders'], 2);
    next.advance(2000);
    assert.equal(next.ok(inspect('a'))['Holders'], 1);
    next.advance(7999);
    next.ok(inspect('a', r1.Lock));
    next.advance(1);
    assert.equal(next.ok(inspect('a'))['Locked'], false);
  });

  test('however many hold it, taking and giving back write the same few entries', () => {
    const core = new CoreUnderTest();
    const many = { limit: 10_000, durMs: 600_000 };
    for (let i = 0; i < 199; i += 1) core.ok(permit(`p${i}`, many));
    const last = core.ok(permit('last', many));
    assert.equal(core.records.at(-1)!.effects.length, 3);
    core.ok(unlock('a', { fence: last.Lock }));
    assert.equal(core.records.at(-1)!.effects.length, 2);
    const bytes = core.records.at(-1)!.effects.reduce((sum, { key, value }) => sum + key.length + value!.length, 0);
    assert.ok(bytes < 250, `${bytes} bytes`);
    core.ok(unlock('a'));
    assert.equal(core.records.at(-1)!.effects.length, 1, 'force, too');
  });
});
