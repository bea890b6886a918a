/** The deletion of an account: all of it goes, a little in each turn, and the account is closed until it has gone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId } from '../../../src/protocol/ids.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import { kinds, type Kind } from '../../../src/protocol/record.ts';
import { deletionsMax, wipedPerTurn } from '../../../src/shared/limits.ts';
import { passTime } from '../../../src/shard-worker/core/apply.ts';
import {
  acme,
  batch,
  get,
  kvList,
  lock,
  mlock,
  munlock,
  next,
  once,
  set,
  unlock,
  watch,
} from '../../support/commands.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { MapEntries } from '../../support/map-entries.ts';
import { change, message, policy, send, take, taken } from '../../support/queue-commands.ts';

const other = accountId('other');
const wipe = batch({ format: 'account.delete', wipe: {} });
const usage: Command = { kind: 'account.usage', account: acme };

/** One entry at least of every kind that an account can have. */
function fill(core: CoreUnderTest): void {
  core.ok(set('a', 1));
  core.ok(set('b', 2, { ttlMs: 5000 }));
  core.ok(batch({ counter: [{ key: 'c', op: 'add', n: 5 }] }));
  core.ok(next('s', 7));
  core.ok(lock('l', { durMs: 60_000 }));
  core.ok(lock('p', { durMs: 60_000, limit: 3, owner: 'o' }));
  core.ok(batch({ limit: [{ key: 'g', rateThousandths: 1000, perMs: 1000, burst: 5, cost: 3, waitMs: 0 }] }));
  core.ok({ ...set('a', 2), ...once('id') });
  core.ok(policy({ MaxAttempts: 1 }));
  core.ok(send(message(1), message(2, { group: 'g' }), message(3, { delayMs: 5000 }), message(4, { dedup: 'd' })));
  core.ok(take({ max: 2, durMs: 1000 }));
}

/** What is left of the account: nothing, but for its audit log. */
function left(core: CoreUnderTest): string[] {
  return [...(core.entries as MapEntries).all()]
    .filter(({ account, kind }) => account === acme && kind !== kinds.audit)
    .map(({ kind, key }) => `${String.fromCharCode(kind)} ${key}`);
}

function many(core: CoreUnderTest, count: number, kind: Kind = kinds.kv): void {
  for (let i = 0; i < count; i += 1)
    core.entries.put(kind, acme, `k${String(i).padStart(6, '0')}`, {
      rev: core.revisions.next(),
      till: 0,
      value: '1',
    });
}

describe('the deletion of an account', () => {
  test('deletes every kind of entry of that account at once if they are few, and nothing of another', () => {
    const core = new CoreUnderTest();
    fill(core);
    core.ok({ ...set('a', 1), account: other });
    const before = left(core).length;
    const { Entries } = core.ok(wipe);
    assert.equal(Entries, before);
    assert.deepEqual(left(core), []);
    assert.equal(core.state.deletions.size, 0);
    assert.equal(core.ok({ ...get('a'), account: other }).KV[0]!.Value, 1);
    assert.equal(core.ask(batch({ format: 'kv.get', get: ['a'] })).code, 'not_found');
  });

  test('leaves the account as one that was never used, but for revisions and fencing tokens, which grow on', () => {
    const core = new CoreUnderTest();
    fill(core);
    const { Lock: mutex } = core.ok(mlock('m'));
    const { Rev } = core.ok(wipe);
    assert.ok(core.ok(set('a', 1)).KVSet[0]!.Version > Rev);
    assert.ok(core.ok(lock('l')).Lock > Rev);
    const again = core.ok(mlock('m'));
    assert.ok(again.Lock > mutex);
    assert.equal(core.ask(munlock('m', { fence: mutex })).code, 'lock_lost');
    assert.equal(core.ok(next('s'))['Value'], 1);
    assert.equal(core.ok({ ...set('a', 3), ...once('id') }).KVSet[0]!.Key, 'a', 'the id is not known any more');
    core.ok(send(message(9, { dedup: 'd' })));
    assert.deepEqual(
      taken(core.ok(take({ max: 10 }))).map(({ Data }) => Data),
      [9],
    );
    core.advance(3_600_000);
    core.ok(change('purge'));
  });

  test('goes on turn by turn, and refuses whatever the account asks for until all is gone', () => {
    const core = new CoreUnderTest();
    many(core, 3 * wipedPerTurn + 10);
    many(core, 2 * wipedPerTurn, kinds.sequence);
    fill(core);
    core.ok(wipe);
    const commands = [
      get('k003000'),
      set('new', 1),
      kvList(''),
      lock('l'),
      mlock('m'),
      next('s'),
      watch('a', 0),
      take(),
    ];
    let turns = 0;
    let before = left(core).length;
    assert.ok(before > 2 * wipedPerTurn);
    while (core.state.deletions.size > 0) {
      const { code } = core.ask(commands[turns % commands.length]!);
      // The turn of the question may have deleted the last of it.
      if (core.state.deletions.size > 0) assert.equal(code, 'account_deleting');
      const now = left(core).length;
      assert.ok(before - now <= 3 * wipedPerTurn + 1 && now < before, 'a little in each turn');
      before = now;
      turns += 1;
      core.turn();
    }
    assert.ok(turns >= 1);
    assert.deepEqual(left(core), []);
    for (const command of commands) assert.notEqual(core.ask(command).reply?.outcome, 'account_deleting');
  });

  test('refuses every kind of command while it goes on, but its usage and a second deletion', () => {
    const core = new CoreUnderTest();
    many(core, 20 * wipedPerTurn);
    core.ok(wipe);
    const commands = [get('a'), set('a', 1), kvList(''), lock('l'), unlock('l'), mlock('m'), next('s'), watch('a', 0)];
    for (const command of [...commands, take(), send(1)]) assert.equal(core.ask(command).code, 'account_deleting');
    const { Entries, Deleting } = core.ok(usage) as { Entries?: { kv: number }; Deleting?: boolean };
    assert.equal(Deleting, true);
    assert.ok((core.ok(wipe)['Entries'] as number) <= Entries!.kv);
    assert.equal(core.ok({ ...set('a', 1), account: other }).KVSet.length, 1);
    while (core.state.deletions.size > 0) core.turn();
    assert.equal(core.ok(usage)['Deleting'], undefined);
  });

  test('ends the waits of the account with account_deleting, at once, and those of others not', () => {
    const core = new CoreUnderTest();
    core.ok(lock('l', { durMs: 60_000 }));
    core.ok({ ...lock('l', { durMs: 60_000 }), account: other });
    core.ok(mlock('m', { durMs: 60_000 }));
    const waits = [
      core.ask(lock('l', { waitMs: 60_000 })),
      core.ask({ ...lock('l', { waitMs: 60_000 }), ...once('waiting') }),
      core.ask(mlock('m', { waitMs: 60_000 })),
      core.ask(take({ waitMs: 60_000 })),
    ];
    const foreign = core.ask({ ...lock('l', { waitMs: 60_000 }), account: other });
    core.ok(wipe);
    assert.deepEqual(
      waits.map(({ code }) => code),
      waits.map(() => 'account_deleting'),
    );
    assert.ok(foreign.waits);
    assert.deepEqual([core.state.waitQueues.size, core.state.inProgress.size], [1, 0]);
    assert.equal(core.state.mutexes.ofAccount.has(acme), false);
    core.advance(120_000);
    assert.equal(foreign.code, 'ok', 'the lease of the other account has ended by itself');
  });

  test('a wait of an account that is being deleted never gets what is being deleted', () => {
    const core = new CoreUnderTest();
    many(core, 5 * wipedPerTurn);
    core.ok(lock('l', { durMs: 1500 }));
    const waits = Array.from({ length: 2 * wipedPerTurn }, () => core.ask(lock('l', { waitMs: 2000 })));
    const consumer = core.ask(take({ waitMs: 500 }));
    core.ok(wipe);
    core.advance(60_000);
    while (core.state.deletions.size > 0) core.turn();
    // Some may have run out of time before their turn came.
    const codes = new Set([...waits, consumer].map(({ code }) => code));
    assert.deepEqual([...codes].toSorted(), ['account_deleting', 'not_locked']);
  });

  test('tells watchers of its keys and locks', () => {
    const core = new CoreUnderTest();
    const { Version } = core.ok(set('a', 1)).KVSet[0]!;
    core.ok(lock('l'));
    assert.equal(core.ask(watch('a', Version)).reply?.outcome, 'registered');
    assert.equal(core.ask({ kind: 'watch.lock', account: acme, id: 'l', version: 1 }).reply?.outcome, 'registered');
    core.ok(wipe);
    const told = core.events.map(({ event }) => JSON.parse(event.body) as Record<string, unknown>);
    assert.partialDeepStrictEqual(told, [
      { Key: 'a', Deleted: true },
      { LockID: 'l', Locked: false },
    ]);
  });

  test('goes on after a restart, and nothing is served before it knows', () => {
    const core = new CoreUnderTest();
    many(core, 5 * wipedPerTurn);
    core.entries.put(kinds.kv, acme, 'zz', { rev: core.revisions.next(), till: core.now + 10, value: '1' });
    core.ok(wipe);
    core.jump(1000);
    const restarted = core.restart();
    assert.equal(restarted.ask(get('k004999')).code, 'account_deleting');
    while (restarted.state.deletions.size > 0) restarted.turn();
    assert.deepEqual(left(restarted), []);
  });

  test('learns of it also without space to write, and goes on when there is some', () => {
    const core = new CoreUnderTest();
    many(core, 5 * wipedPerTurn);
    core.ok(wipe);
    const restarted = core.restart();
    const failure = { code: 'disk_full', message: '' } as const;
    restarted.state.outOfSpace = { space: 'full', failure };
    assert.equal(restarted.ask(get('k004999')).code, 'account_deleting');
    const before = left(restarted).length;
    restarted.turn();
    assert.equal(left(restarted).length, before);
    restarted.state.outOfSpace = { space: 'reserve', failure };
    while (restarted.state.deletions.size > 0) restarted.turn();
    assert.deepEqual(left(restarted), []);
  });

  test('writes nothing when the space went between its commit on another shard and its mark here', () => {
    const core = new CoreUnderTest();
    many(core, 3);
    core.send({ kind: 'transaction.prepare', id: 900, transaction: 'w', command: wipe });
    core.state.outOfSpace = { space: 'full', failure: { code: 'disk_full', message: '' } };
    const records = core.records.length;
    core.send({ kind: 'transaction.apply', transaction: 'w', account: acme, rev: core.revisions.next(), stored: '' });
    assert.equal(core.records.length, records);
    assert.equal(core.ask(get('k000001')).code, 'account_deleting');
    core.state.outOfSpace = undefined;
    while (core.state.deletions.size > 0) core.turn();
    assert.deepEqual(left(core), []);
  });

  test('waits for the checkpoint when writes come too fast', () => {
    const core = new CoreUnderTest();
    many(core, 5 * wipedPerTurn);
    core.ok(wipe);
    core.state.outOfSpace = { space: 'reserve', failure: { code: 'overloaded', message: '' } };
    const before = left(core).length;
    const more = passTime({ state: core.state, now: core.now, out: core });
    assert.deepEqual([more, left(core).length], [false, before]);
  });

  test('goes on for several accounts in turns, for so many at most', () => {
    const core = new CoreUnderTest();
    const names = ['one', 'two', 'three'].map((name) => accountId(name));
    for (const account of names) {
      for (let i = 0; i < 4 * wipedPerTurn; i += 1)
        core.entries.put(kinds.kv, account, `k${i}`, { rev: core.revisions.next(), till: 0, value: '1' });
    }
    for (const account of names) core.ok({ ...wipe, account });
    const count = (): number[] => names.map((account) => core.entries.countOf(account, kinds.kv).entries);
    const before = count();
    for (const _ of names) core.turn();
    assert.deepEqual(
      count(),
      before.map((entries) => entries - wipedPerTurn),
    );
    for (let i = names.length; i < deletionsMax + 5; i += 1)
      core.state.deletions.add({
        account: accountId(`t${i}`),
        kind: 0,
        after: undefined,
        waiters: [],
        mutexes: [],
        begun: true,
      });
    assert.equal(core.ask(wipe).code, 'overloaded');
  });
});
