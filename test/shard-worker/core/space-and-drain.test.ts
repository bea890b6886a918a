import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failure } from '../../../src/protocol/errors.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import {
  batch,
  extend,
  get,
  inspect,
  kvList,
  lock,
  mlock,
  munlock,
  next,
  once,
  remove,
  set,
  unlock,
} from '../../support/commands.ts';

const counter = (op: 'add' | 'get' | 'reset') => batch({ counter: [{ key: 'c', op, n: 1 }] });

function prepared(): { core: CoreUnderTest; fence: number; more: number } {
  const core = new CoreUnderTest();
  core.ok(set('k', 1));
  core.ok(next('s'));
  core.ok(counter('add'));
  const { Lock } = core.ok(lock('held', { durMs: 60_000 }));
  const { Lock: more } = core.ok(lock('held2', { durMs: 60_000 }));
  return { core, fence: Lock, more };
}

describe('with only the reserve left', () => {
  test('what adds is refused with the reason; reads, unlocks, deletes, resets and mutexes are served', () => {
    const { core, fence, more } = prepared();
    core.state.outOfSpace = { space: 'reserve', failure: failure('quota_exceeded', 'full') };
    const refused = [
      set('k', 2),
      lock('new'),
      extend('held', fence),
      counter('add'),
      next('s'),
      batch({ ...once('id'), get: ['k'] }),
      batch({ set: [{ key: 'k' }, { key: 'j', value: '1' }] }),
      lock('new', {}, { unlock: { id: 'held', fence } }),
    ];
    const digest = core.digest();
    for (const command of refused) {
      const answer = core.ask(command);
      assert.deepEqual([answer.code, answer.status], ['quota_exceeded', 507]);
    }
    assert.equal(core.digest(), digest);
    const served = [
      get('k'),
      kvList(''),
      inspect('held'),
      counter('get'),
      mlock('m'),
      munlock('m'),
      batch({ guard: [{ id: 'held', fence }], check: [{ key: 'none', version: 0 }], get: ['k'] }),
      remove('k'),
      counter('reset'),
      batch({ sequence: { key: 's', op: 'reset', n: 1 } }),
      unlock('held', { fence }),
      unlock('held2'),
    ];
    for (const command of served) assert.equal(core.ask(command).code, 'ok');
    assert.notEqual(core.digest(), digest);
    assert.ok(more > fence);
  });

  test('leases and keys go on expiring, and a waiter that was let in before is granted', () => {
    const { core } = prepared();
    core.ok(set('ttl', 1, { ttlMs: 1000 }));
    const waiting = core.ask(lock('held', { waitMs: 120_000 }));
    core.state.outOfSpace = { space: 'reserve', failure: failure('disk_full', 'full') };
    core.advance(60_000);
    assert.equal(core.ok(get('ttl')).KV[0]!.Version, 0);
    assert.equal(waiting.code, 'ok');
  });
});

describe('with nothing left', () => {
  test('only reads and mutexes are served, no revision is taken, and expiry waits', () => {
    const { core, fence } = prepared();
    core.ok(set('ttl', 1, { ttlMs: 1000 }));
    const waiting = core.ask(lock('held', { waitMs: 120_000 }));
    core.state.outOfSpace = { space: 'full', failure: failure('disk_full', 'full') };
    const digest = core.digest();
    for (const command of [remove('k'), unlock('held', { fence }), counter('reset'), set('k', 2), lock('new')]) {
      assert.equal(core.ask(command).code, 'disk_full');
    }
    for (const command of [get('k'), kvList(''), inspect('held'), counter('get'), mlock('m')]) {
      assert.equal(core.ask(command).code, 'ok');
    }
    core.jump(60_000);
    core.turn();
    assert.equal(core.digest(), digest);
    assert.deepEqual(core.ok(get('ttl')).KV, [{ Key: 'ttl', Version: 0 }]);
    core.state.outOfSpace = undefined;
    core.turn();
    assert.equal(waiting.code, 'ok', 'it is granted as soon as there is room');
  });

  test('an idempotent request that was answered before is answered again', () => {
    const { core } = prepared();
    const asked = batch({ ...once('id', { mode: 'replay' }), set: [{ key: 'k', value: '5' }] });
    const first = core.ask(asked);
    core.state.outOfSpace = { space: 'full', failure: failure('disk_full', 'full') };
    assert.equal(core.ask(asked).reply!.body, first.reply!.body);
  });
});

describe('drain', () => {
  test('answers everyone who waits, refuses further waiting, and still serves the rest', () => {
    const { core, fence } = prepared();
    core.ok(mlock('m', { durMs: 60_000 }));
    const waiting = [
      core.ask(lock('held', { waitMs: 60_000 }, once('id'))),
      core.ask(lock('held', { waitMs: 60_000 })),
      core.ask(mlock('m', { waitMs: 60_000 })),
    ];
    core.send({ kind: 'drain' });
    for (const asked of waiting) assert.deepEqual([asked.code, asked.status], ['draining', 503]);
    assert.equal(core.ask(lock('held', { waitMs: 1000 })).code, 'draining');
    assert.equal(core.ask(mlock('m', { waitMs: 1000 })).code, 'draining');
    assert.equal(core.ask(lock('held')).code, 'not_locked');
    core.ok(unlock('held', { fence }));
    core.ok(lock('held', { waitMs: 1000 }));
    assert.equal(core.state.inProgress.size + core.state.waitQueues.size, 0);
  });
});
