import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { acme, batch, get, inspect, kvList, lock, mlock, set, unlock, watch } from '../../support/commands.ts';

/** A batch over several shards holds `held` here; its other keys are on other shards. */
function withHold(): { core: CoreUnderTest; letGo: () => void } {
  const core = new CoreUnderTest();
  core.send({ kind: 'transaction.prepare', id: 900, transaction: 'b', command: set('held', 'from the transaction') });
  assert.equal(core.transactions[0]!.answer.kind, 'held');
  return { core, letGo: () => core.send({ kind: 'transaction.release', transaction: 'b', account: acme }) };
}

describe('while a key is held', () => {
  test('everything that needs it is blocked, everything else goes on', () => {
    const { core, letGo } = withHold();
    const blocked = [
      core.ask(get('held')),
      core.ask(set('held', 1)),
      core.ask(batch({ counter: [{ key: 'held', op: 'add', n: 1 }] })),
      core.ask(kvList('he')),
      core.ask(kvList('')),
      core.ask(lock('held')),
      core.ask(inspect('held')),
      core.ask(watch('held', 0)),
    ];
    assert.ok(blocked.every(({ waits }) => waits));
    assert.equal(core.ask(mlock('held')).code, 'ok');
    assert.equal(core.ask({ ...get('held'), account: 'other' as typeof acme }).code, 'ok');
    letGo();
    assert.deepEqual(
      blocked.map(({ waits }) => waits),
      blocked.map(() => false),
    );
    assert.deepEqual(
      blocked.map(({ order }) => order).toSorted((a, b) => a - b),
      blocked.map(({ order }) => order),
      'in the order of their arrival',
    );
  });

  test('a message that shares another key with a blocked one waits after it, so that the order per key is kept', () => {
    const { core, letGo } = withHold();
    const both = core.ask(
      batch({
        set: [
          { key: 'held', value: '1' },
          { key: 'free', value: '"both"' },
        ],
      }),
    );
    const later = core.ask(get('free'));
    const list = core.ask(kvList('f'));
    const last = core.ask(set('free', 'last'));
    const other = core.ask(get('other'));
    assert.deepEqual(
      [both, later, list, last, other].map(({ waits }) => waits),
      [true, true, true, true, false],
    );
    letGo();
    assert.equal(later.body.KV[0]!.Value, 'both');
    assert.equal(list.body.KV[0]!.Value, 'both');
    assert.equal(core.ok(get('free')).KV[0]!.Value, 'last');
  });

  test('a message after one that is still blocked stays blocked when another hold is released', () => {
    const { core, letGo } = withHold();
    core.send({ kind: 'transaction.prepare', id: 901, transaction: 'c', command: set('elsewhere', 1) });
    const first = core.ask(
      batch({
        set: [
          { key: 'elsewhere', value: '2' },
          { key: 'free', value: '"first"' },
        ],
      }),
    );
    const second = core.ask(set('free', 'second'));
    letGo();
    assert.deepEqual([first.waits, second.waits], [true, true]);
    core.send({ kind: 'transaction.release', transaction: 'c', account: acme });
    assert.ok(second.order > first.order);
    assert.equal(core.ok(get('free')).KV[0]!.Value, 'second');
  });

  test('a transaction whose keys are held is blocked too, and holds what it needs when its turn has come', () => {
    const { core, letGo } = withHold();
    core.send({ kind: 'transaction.prepare', id: 901, transaction: 'c', command: batch({ get: ['held', 'second'] }) });
    const later = core.ask(set('second', 1));
    assert.equal(core.transactions.length, 1);
    letGo();
    assert.equal(core.transactions[1]!.answer.kind, 'held');
    assert.ok(later.waits);
    core.send({ kind: 'transaction.release', transaction: 'c', account: acme });
    assert.equal(later.code, 'ok');
    assert.equal(core.state.blocked.size + core.state.holds.size, 0);
    assert.ok(!core.state.blocked.conflicts({ names: [], prefix: '' }));
  });

  test('it does not expire before the hold is released, and then at once', () => {
    const core = new CoreUnderTest();
    core.ok(set('held', 1, { ttlMs: 1000 }));
    const { Lock } = core.ok(lock('l', { durMs: 1000 }));
    core.send({ kind: 'transaction.prepare', id: 900, transaction: 'b', command: batch({ get: ['held', 'l'] }) });
    const records = core.records.length;
    core.jump(1000);
    core.turn();
    assert.equal(core.records.length, records);
    core.send({ kind: 'transaction.release', transaction: 'b', account: acme });
    core.turn();
    assert.equal(core.records.length, records + 1);
    assert.equal(core.ask(inspect('l', Lock)).body.Why, 'expired');
  });

  test('a waiter whose batch needs it is granted when the hold is released, and nobody overtakes it', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('l'));
    // It joins the wait queue before the hold is placed: after that, the request itself would be blocked.
    const waiting = core.ask(lock('l', { waitMs: 5000 }, { set: [{ key: 'held', value: '1' }] }));
    core.send({ kind: 'transaction.prepare', id: 900, transaction: 'b', command: set('held', 2) });
    core.ok(unlock('l', { fence: Lock }));
    assert.ok(waiting.waits);
    assert.equal(core.ask(lock('l')).code, 'not_locked', 'it is kept for the head of the wait queue');
    core.send({ kind: 'transaction.apply', transaction: 'b', account: acme, rev: core.nextRevision(), stored: '' });
    assert.equal(waiting.code, 'ok');
    assert.equal(core.ok(get('held')).KV[0]!.Value, 1);
  });
});
