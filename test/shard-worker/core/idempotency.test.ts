import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { accountId } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { acme, batch, inspect, lock, next, once, set, unlock } from '../../support/commands.ts';

const add = { counter: [{ key: 'c', op: 'add', n: 1 }] } as const;

describe('idempotency', () => {
  test('a duplicate is refused with the ids, the revision and the stored reply, and does nothing', () => {
    const core = new CoreUnderTest();
    const first = core.ok(batch({ ...once('id'), ...add }));
    const digest = core.digest();
    const again = core.ask(batch({ ...once('id'), ...add }));
    assert.deepEqual([again.status, again.code], [409, 'duplicate_request']);
    assert.deepEqual(again.body['IDs'], ['id']);
    assert.equal(again.body.Rev, first.Rev);
    assert.equal(again.body['Same'], true);
    assert.deepEqual(again.body['Response'], first);
    const other = core.ask(batch({ ...once('id', { fingerprint: 'g' }) }));
    assert.equal(other.body['Same'], false);
    assert.equal(core.digest(), digest);
  });

  test('in replay mode the stored reply is given, byte for byte; another payload is 422', () => {
    const core = new CoreUnderTest();
    const mode = 'replay' as const;
    const first = core.ask(batch({ ...once('id', { mode }), ...add }));
    core.ok(batch(add));
    const again = core.ask(batch({ ...once('id', { mode }), ...add }));
    assert.equal(again.reply!.body, first.reply!.body);
    assert.deepEqual([again.status, again.reply!.replayed], [200, true]);
    const other = core.ask(batch({ ...once('id', { mode, fingerprint: 'g' }), ...add }));
    assert.deepEqual([other.status, other.code], [422, 'idempotency_mismatch']);
    assert.equal(core.ok(batch(add)).Atomic[0]!.Value, 3);
  });

  test('the record is in the commit of the effects', () => {
    const core = new CoreUnderTest();
    core.ok(batch({ ...once(['a', 'b']), ...add }));
    assert.equal(core.records.length, 1);
    assert.equal(core.records[0]!.effects.length, 3);
  });

  test('an id is free at its end, though its expiry waits behind thousands of others, and is then used anew', () => {
    const core = new CoreUnderTest();
    const command = batch({ ...once(['a', 'b'], { ttlMs: 1000 }), ...add });
    core.ok(command);
    for (let i = 0; i < 5000; i += 1)
      core.entries.put(kinds.kv, accountId('other'), `k${i}`, {
        rev: core.revisions.next(),
        till: core.now + 900,
        value: '1',
      });
    core.jump(999);
    assert.equal(core.ask(command).code, 'duplicate_request');
    core.jump(1);
    const again = core.ok(batch({ ...once('b', { ttlMs: 1000 }), ...add }));
    assert.equal(again.Atomic[0]!.Value, 2);
    assert.ok(
      core.entries.get(kinds.idempotency, acme, 'a') !== undefined,
      'the expiry of the first ids is yet to come',
    );
    for (let turns = 0; turns < 50; turns += 1) core.turn();
    assert.equal(core.entries.get(kinds.idempotency, acme, 'a'), undefined);
    assert.deepEqual(core.ask(command).body['IDs'], ['b'], 'the expiry of the first use does not end the second');
  });

  test('only successes are stored: a failed try can be repeated', () => {
    const core = new CoreUnderTest();
    assert.equal(
      core.ask(batch({ ...once('id'), ...add, check: [{ key: 'k', version: 9 }] })).code,
      'version_mismatch',
    );
    core.ok(lock('l'));
    assert.equal(core.ask(lock('l', {}, once('id'))).code, 'not_locked');
    const waiting = core.ask(lock('l', { waitMs: 100 }, once('id')));
    core.advance(100);
    assert.equal(waiting.code, 'not_locked');
    assert.equal(core.ask(batch({ ...once('id'), ...add })).code, 'ok');
  });

  test('one known id among several makes a duplicate; the unknown ones stay unused', () => {
    const core = new CoreUnderTest();
    core.ok(batch({ ...once('a'), ...add }));
    const both = core.ask(batch({ ...once(['b', 'a']), ...add }));
    assert.deepEqual([both.code, both.body['IDs']], ['duplicate_request', ['a']]);
    core.ok(batch({ ...once('b'), ...add }));
  });

  test('the record ends after IdempotencyTTL, to the millisecond, also before its expiry is committed', () => {
    const core = new CoreUnderTest();
    core.ok(batch({ ...once('id', { ttlMs: 1000 }), ...add }));
    core.advance(999);
    assert.equal(core.ask(batch({ ...once('id'), ...add })).code, 'duplicate_request');
    core.advance(1);
    assert.equal(core.records.at(-1)!.effects[0]!.expired, true);
    core.ok(batch({ ...once('id'), ...add }));
  });

  test('while the first waits for its lock: request_in_progress, in both modes; afterwards a duplicate', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('l'));
    const first = core.ask(lock('l', { waitMs: 5000 }, { ...once('id'), ...add }));
    for (const mode of ['refuse', 'replay'] as const) {
      const second = core.ask(lock('l', { waitMs: 5000 }, { ...once('id', { mode }), ...add }));
      assert.deepEqual([second.status, second.code], [409, 'request_in_progress']);
    }
    assert.equal(core.ask(batch({ ...once(['other', 'id']), ...add })).code, 'request_in_progress');
    core.ok(unlock('l', { fence: Lock }));
    assert.equal(first.code, 'ok');
    assert.equal(core.ask(lock('l', { waitMs: 5000 }, { ...once('id'), ...add })).code, 'duplicate_request');
  });

  test('a first that timed out, disconnected or was displaced by its owner is no longer in progress', () => {
    const core = new CoreUnderTest();
    core.ok(lock('l', { durMs: 60_000 }));
    const ask = (id: string) => core.ask(lock('l', { waitMs: 1000, owner: 'o' }, { ...once(id), ...add }));
    core.cancel(ask('a'));
    assert.ok(ask('a').waits);
    core.advance(1000);
    assert.ok(ask('a').waits);
    ask('b');
    core.advance(1000);
    assert.equal(core.state.inProgress.size, 0);
    core.ok(batch({ ...once('a'), ...add }));
  });

  test('a replayed grant hands out no lock again', () => {
    const core = new CoreUnderTest();
    const asked = lock('l', {}, once('id', { mode: 'replay' }));
    const first = core.ok(asked);
    core.ok(unlock('l', { fence: first.Lock }));
    const again = core.ask(asked);
    assert.equal(again.body.Lock, first.Lock);
    assert.equal(again.reply!.grant, undefined);
    assert.equal(core.ok(inspect('l'))['Locked'], false);
  });

  test('every kind of write takes part', () => {
    const core = new CoreUnderTest();
    const writes = [
      set('k', 1),
      batch({ format: 'kv.delete', set: [{ key: 'k' }] }),
      batch({ format: 'counter.add', ...add }),
      batch({ format: 'counter.reset', counter: [{ key: 'c', op: 'reset', n: 0 }] }),
      next('s'),
      lock('l'),
      unlock('l'),
    ];
    for (const [i, write] of writes.entries()) {
      const asked = { ...write, ...once(`id${i}`, { mode: 'replay' }) };
      const first = core.ask(asked);
      assert.equal(first.code, 'ok');
      const digest = core.digest();
      assert.equal(core.ask(asked).reply!.body, first.reply!.body);
      assert.equal(core.digest(), digest);
    }
  });

  test('an id is answered the same after a restart', () => {
    const before = new CoreUnderTest();
    const first = before.ask(batch({ ...once('id', { mode: 'replay' }), ...add }));
    const again = before.restart().ask(batch({ ...once('id', { mode: 'replay' }), ...add }));
    assert.equal(again.reply!.body, first.reply!.body);
  });
});
