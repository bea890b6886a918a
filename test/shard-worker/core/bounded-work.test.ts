/** Whatever one account has waiting, one command and one turn do a bounded part of it, and the rest follows in order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { dequeueGroupsMax } from '../../../src/shard-worker/core/operations/queue-take.ts';
import { expiryBatchMax } from '../../../src/shared/limits.ts';
import { GroupFirsts } from '../../../src/shard-worker/core/state/group-firsts.ts';
import { ShardStore } from '../../../src/storage/shard-store.ts';
import { apply, passTime } from '../../../src/shard-worker/core/apply.ts';
import { acme, batch, get, kvList, lock, mlock, set, unlock } from '../../support/commands.ts';
import { Asked, CoreUnderTest } from '../../support/core-under-test.ts';
import { CountedEntries } from '../../support/counted-entries.ts';
import { MemoryCheckpointStore } from '../../support/memory-checkpoint-store.ts';
import { change, message, peek, policy, send, take, taken } from '../../support/queue-commands.ts';

test('a freed lock whose waiters all fail runs a bounded number of them in one command, and then the others', () => {
  const core = new CoreUnderTest();
  const { Lock } = core.ok(lock('l'));
  core.ok(set('taken', 1));
  const failing = { check: [{ key: 'taken', version: 0 }], get: Array.from({ length: 20 }, (_, i) => `k${i}`) };
  const waiting = Array.from({ length: 200 }, () => core.ask(lock('l', { waitMs: 60_000 }, failing)));
  const last = core.ask(lock('l', { waitMs: 60_000 }));
  const command = unlock('l', { fence: Lock });
  apply({ state: core.state, now: core.now, out: core }, 0, { kind: 'request', id: askedId(core), command });
  const answered = waiting.filter(({ waits }) => !waits).length;
  assert.ok(answered > 0 && answered <= 14, `${answered} have run`);
  assert.equal(core.state.ownMessages.length, 1);
  // The lock is free, but whoever comes now stands behind those that wait.
  const late = core.ask(lock('l', { waitMs: 60_000 }));
  assert.deepEqual(
    waiting.map(({ code }) => code),
    waiting.map(() => 'version_mismatch'),
  );
  assert.deepEqual([last.code, late.waits], ['ok', true]);
});

/** A request of its own, whose answer nobody looks at. */
function askedId(core: CoreUnderTest): number {
  const asked: Asked = core.ask(get('nothing'));
  asked.reply = undefined;
  return asked.id;
}

test('more waits than one turn ends are all ended, over several turns', () => {
  const core = new CoreUnderTest();
  core.ok(mlock('m', { durMs: 60_000 }));
  const count = 2 * expiryBatchMax + 20;
  const waiting = Array.from({ length: count }, () => core.ask(mlock('m', { waitMs: 1000 })));
  core.jump(1000);
  const turn = (): boolean => passTime({ state: core.state, now: core.now, out: core });
  const left: number[] = [];
  for (let more = true; more; left.push(waiting.filter(({ waits }) => waits).length)) more = turn();
  assert.deepEqual(left, [expiryBatchMax + 20, 20, 0]);
});

test('leases of groups that all end at once end a few in each turn, and nobody gets one twice', () => {
  const core = new CoreUnderTest();
  const count = 300;
  core.ok(send(...Array.from({ length: count }, (_, i) => message(i, { group: `g${i}` }))));
  for (let i = 0; i < 2; i += 1) core.ok(take({ max: count, durMs: 1000 }));
  core.jump(1000);
  const out = (): number => {
    const rows = core.entries.range(kinds.queue, acme, 'q\0G');
    return [...rows].filter(({ entry }) => entry.value.startsWith('f')).length;
  };
  const turn = (): boolean => passTime({ state: core.state, now: core.now, out: core });
  for (let more = true, before = count; more; before = out()) {
    more = turn();
    assert.ok(before - out() <= expiryBatchMax / 4, `${before - out()} have ended in one turn`);
  }
  assert.equal(out(), 0);
  const again = [1, 2].flatMap(() => taken(core.ok(take({ max: count }))));
  assert.equal(new Set(again.map(({ ID }) => ID)).size, count);
});

/** A core on a real store, whose looks at entries are counted. */
function countedCore(): {
  readonly core: CoreUnderTest;
  readonly looksOf: (run: () => unknown) => number;
  /** Of each turn, until nothing more is due. */
  readonly looksOfTurns: () => number[];
} {
  const entries = new CountedEntries(new ShardStore(new MemoryCheckpointStore()));
  const core = new CoreUnderTest({ entries });
  const looksOf = (run: () => unknown): number => {
    const before = entries.looked;
    run();
    return entries.looked - before;
  };
  const looksOfTurns = (): number[] => {
    const looks: number[] = [];
    for (;;) {
      const before = entries.looked;
      const more = passTime({ state: core.state, now: core.now, out: core });
      looks.push(entries.looked - before);
      if (!more) return looks;
    }
  };
  return { core, looksOf, looksOfTurns };
}

const inGroup = (count: number, ttlMs: number): ReturnType<typeof send> =>
  send(...Array.from({ length: count }, (_, i) => message(i, { group: 'g', ttlMs })));

test('a group with thousands of messages that are too old costs one turn, and one Dequeue, a bounded part of them', () => {
  const { core, looksOf, looksOfTurns } = countedCore();
  for (let i = 0; i < 4; i += 1) core.ok(inGroup(1000, 1000));
  core.ok(inGroup(1, 0));
  core.jump(1000);
  const looks = [looksOf(() => core.ask(take({ max: 1000, groupMax: 1000 }))), ...looksOfTurns()];
  assert.ok(looks.length > 50 && Math.max(...looks) < 4000, `${looks.length} turns, ${Math.max(...looks)} looks`);
  assert.equal(taken(core.ok(take({ max: 10, groupMax: 10 }))).length, 1);
});

test('the lease of a thousand messages that are too old ends a bounded number of them in each turn, and all', () => {
  const { core, looksOfTurns } = countedCore();
  core.ok(policy({ MaxAttempts: 0 }));
  core.ok(inGroup(1, 0));
  core.ok(inGroup(900, 1000));
  core.ok(inGroup(1, 0));
  assert.equal(taken(core.ok(take({ max: 1000, groupMax: 1000, durMs: 2000 }))).length, 902);
  core.jump(2000);
  const looks = looksOfTurns();
  assert.ok(looks.length > 5 && Math.max(...looks) < 4000, `${looks.length} turns, ${Math.max(...looks)} looks`);
  assert.equal(taken(core.ok(take({ max: 1000, groupMax: 1000 }))).length, 2);
});

test('who gives back a thousand messages of a group, the last one first, passes each a few times', () => {
  const { core, looksOf } = countedCore();
  core.ok(policy({ MaxAttempts: 0 }));
  core.ok(inGroup(1000, 0));
  const out = taken(core.ok(take({ max: 1000, groupMax: 1000 })));
  const nacks = out.toReversed().map(({ ID, Lock }) => ({ key: 'q', id: ID, lock: Lock, delayMs: 0 }));
  const looks = looksOf(() => core.ok(batch({ nack: nacks })));
  assert.ok(looks < 20_000, `${looks}`);
  assert.deepEqual(
    taken(core.ok(take({ max: 1000, groupMax: 1000 }))).map(({ Attempts, Data }) => [Attempts, Data]),
    out.map(({ Data }) => [2, Data]),
  );
});

test('a message given back in front of a thousand that are too old ends a bounded part of them at once, and all soon', () => {
  const { core, looksOf, looksOfTurns } = countedCore();
  core.ok(policy({ MaxAttempts: 0 }));
  core.ok(inGroup(900, 1000));
  core.ok(inGroup(1, 0));
  const out = taken(core.ok(take({ max: 1000, groupMax: 1000, durMs: 60_000 })));
  core.jump(1000);
  looksOfTurns();
  const { ID, Lock } = out[0]!;
  const looks = looksOf(() => core.ok(batch({ nack: [{ key: 'q', id: ID, lock: Lock }] })));
  assert.ok(looks < 4000, `${looks}`);
  assert.ok(Math.max(...looksOfTurns()) < 4000);
  assert.deepEqual(
    taken(core.ok(take({ max: 1000, groupMax: 1000 }))).map((each) => each.ID),
    [out.at(-1)!.ID],
  );
});

test('consumers that wait for groups with messages that are too old are served a bounded number at a time, and all', () => {
  const { core, looksOf } = countedCore();
  const groups = Array.from({ length: 20 }, (_, g) => `g${g}`);
  core.ok(change('pause'));
  for (const group of groups) {
    core.ok(send(...Array.from({ length: 90 }, () => message('old', { group, ttlMs: 1000 })), message(1, { group })));
  }
  const waiting = groups.map(() => core.ask(take({ waitMs: 60_000 })));
  core.jump(1000);
  const turn = { state: core.state, now: core.now, out: core };
  const command = change('resume');
  const id = askedId(core);
  const looks = looksOf(() => apply(turn, 0, { kind: 'request', id, command }));
  assert.ok(looks < 6000, `${looks}`);
  assert.ok(waiting.some(({ waits }) => waits));
  for (let i = 0; i < 100; i += 1) core.ok(set('t', i));
  assert.ok(waiting.every(({ waits }) => !waits));
});

test('one Dequeue takes messages of a bounded number of groups, and one page of a peek looks at as few', () => {
  const { core, looksOf } = countedCore();
  core.ok(send(...Array.from({ length: 1000 }, (_, i) => message(i, { group: `g${i}` }))));
  let page = {};
  const looks = looksOf(() => (page = core.ok(peek('ready', { limit: 1000 }))));
  assert.ok(looks < 1500, `${looks}`);
  assert.equal((page as { More?: boolean }).More, true);
  const first = taken(core.ok(take({ max: 1000 })));
  assert.equal(first.length, dequeueGroupsMax);
  const rest = [1, 2, 3].flatMap(() => taken(core.ok(take({ max: 1000 }))));
  assert.equal(new Set([...first, ...rest].map(({ ID }) => ID)).size, 1000);
});

test('a lock is granted when its lease ends, though a million keys of another account are due before it', () => {
  const core = new CoreUnderTest();
  const other = accountId('other');
  core.ok(lock('l', { durMs: 1000 }));
  const waiting = core.ask(lock('l', { waitMs: 60_000 }));
  for (let i = 0; i < 5000; i += 1)
    core.entries.put(kinds.kv, other, `k${i}`, { rev: core.revisions.next(), till: core.now + 900, value: '1' });
  core.jump(1000);
  core.turn();
  assert.equal(waiting.code, 'ok');
  assert.ok(core.entries.nextDeadline() < core.now, 'most of the keys are yet to be ended');
});

test('a wait ends with the lease that it waits for, however often that was extended meanwhile', () => {
  const core = new CoreUnderTest();
  const { Lock } = core.ok(lock('l', { durMs: 1000 }));
  const waiting = core.ask(lock('l', { waitMs: 60_000 }));
  for (let i = 0; i < 3; i += 1) {
    core.advance(900);
    core.ok(lock('l', { durMs: 1000, extend: Lock }));
  }
  core.ok(lock('l', { durMs: 500, extend: Lock }));
  core.advance(499);
  assert.ok(waiting.waits);
  core.advance(1);
  assert.equal(waiting.code, 'ok');
  assert.equal(core.state.timers.size, 0);
});

test('messages that a hold had blocked run a bounded number at a time, in order', () => {
  const core = new CoreUnderTest();
  core.send({ kind: 'transaction.prepare', id: 900, transaction: 't', command: set('held', 0) });
  const asked = Array.from({ length: 100 }, (_, i) => core.ask(set('held', i)));
  const cancelled = core.ask(lock('held', { waitMs: 1000 }));
  core.cancel(cancelled);
  assert.equal(cancelled.code, 'not_locked');
  const turn = { state: core.state, now: core.now, out: core };
  apply(turn, 0, { kind: 'transaction.release', transaction: 't', account: acme });
  const ran = asked.filter(({ waits }) => !waits).length;
  assert.ok(ran > 0 && ran < 50, `${ran} have run`);
  const late = core.ask(set('held', 'late'));
  assert.deepEqual(
    [...asked, late].map(({ order }) => order),
    [...asked, late].map((_, i) => asked[0]!.order + i),
  );
});

test('one page looks at a bounded number of entries, and says where to go on', () => {
  const core = new CoreUnderTest();
  for (let i = 0; i < 2500; i += 1)
    core.entries.put(kinds.kv, acme, `k${`${i}`.padStart(5, '0')}`, {
      rev: core.revisions.next(),
      till: core.now,
      value: '1',
    });
  core.ok(set('l', 1));
  const page = core.ok(kvList('k'));
  // Two turns have ended a batch each before; the page looks at the next thousand.
  const last = `k0${2 * expiryBatchMax + 1000 - 1}`;
  assert.deepEqual([page.KV.length, page['More'], page['After']], [0, true, last]);
});

test('batches of one account do not wait behind a retry of another', () => {
  const core = new CoreUnderTest();
  const other = accountId('other');
  core.send({ kind: 'transaction.prepare', id: 900, transaction: 't', command: set('held', 0) });
  core.send({ kind: 'transaction.prepare', id: 901, transaction: 'u', command: { ...set('held', 0), account: other } });
  const mine = core.ask(set('held', 1));
  const theirs = core.ask({ ...batch({ get: ['held'] }), account: other });
  core.send({ kind: 'transaction.release', transaction: 'u', account: other });
  assert.deepEqual([mine.waits, theirs.waits], [true, false]);
});

test('each end of a message of a group looks from the first that is there on, not from where the group began', () => {
  const starts: boolean[] = [];
  class Ranges extends CountedEntries {
    override *range(...asked: Parameters<CountedEntries['range']>): ReturnType<CountedEntries['range']> {
      const [, , prefix, after] = asked;
      if (prefix.includes('long')) starts.push(after === undefined);
      yield* super.range(...asked);
    }
  }
  const core = new CoreUnderTest({ entries: new Ranges() });
  const count = 40;
  core.ok(send(...Array.from({ length: count }, (_, i) => message(i, { group: 'long', ttlMs: 1000 + i }))));
  for (let i = 0; i < count; i += 1) core.advance(i === 0 ? 1000 : 1);
  assert.equal(core.entries.countOf(acme, kinds.queue).entries, 0);
  const fromTheFront = starts.filter(Boolean).length;
  assert.ok(starts.length >= count && fromTheFront <= 3, `${fromTheFront} of ${starts.length} looks`);
});

test('a message that comes back in front of a group is its first one again', () => {
  const firsts = new GroupFirsts();
  firsts.set('a', '5');
  firsts.placed('a\x007');
  assert.equal(firsts.of('a'), '5');
  firsts.placed('b\x001');
  firsts.placed('a\x003');
  assert.deepEqual([firsts.of('a'), firsts.of('b')], ['3', undefined]);
});
