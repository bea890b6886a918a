/** Over a quota nothing that adds is acknowledged, and all that frees is (I35). Here by bytes; core-model.test.ts has the rest. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId } from '../../../src/protocol/ids.ts';
import { Quotas } from '../../../src/protocol/quotas.ts';
import { batch, extend, get, kvList, lock, mlock, next, once, remove, set, unlock } from '../../support/commands.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { MapEntries } from '../../support/map-entries.ts';
import { ack, change, message, nack, send, take, taken, type Taken } from '../../support/queue-commands.ts';

const none = { account_bytes_max: 0, account_entries_max: 0, account_messages_max: 0, account_tasks_max: 0 };

/** With a lock that is held, a message that is out and one that is not, and nothing more that may be added. */
function full() {
  const entries = new MapEntries(new Quotas({ ...none, account_bytes_max: 2000 }));
  const core = new CoreUnderTest({ entries });
  const fence = core.ok(lock('held', { durMs: 60_000, owner: 'o' })).Lock;
  core.ok(send(message('one'), message('two')));
  const [out] = taken(core.ok(take()));
  core.ok(batch({ counter: [{ key: 'c', op: 'set', n: 5 }] }));
  core.ok(set('small', 1));
  core.ok(next('s'));
  const bytes = entries.usageOf(accountId('acme'))!.bytes;
  assert.ok(bytes < 2000);
  // A batch that begins below may end above.
  core.ok(set('large', 'x'.repeat(3000)));
  return { core, entries, fence, out: out as Taken };
}

describe('over a quota of bytes', () => {
  test('whatever adds is refused with the numbers of the quota, and nothing of it happens', () => {
    const { core, entries, fence } = full();
    const { bytes } = entries.usageOf(accountId('acme'))!;
    const before = core.digest();
    const adds = [
      set('new', 1),
      set('small', 12),
      lock('new'),
      lock('held', { waitMs: 1000, owner: 'other' }),
      lock('new', {}, { unlock: { id: 'held', fence } }),
      next('t'),
      batch({ counter: [{ key: 'c', op: 'add', n: 5 }] }),
      send(message('three')),
      batch({ limit: [{ key: 'g', rateThousandths: 1000, perMs: 1000, burst: 5, cost: 1, waitMs: 0 }] }),
      batch({ ...once('id'), get: ['small'] }),
      batch({ ...once('id'), set: [{ key: 'absent' }] }),
      batch({ set: [{ key: 'small' }, { key: 'other', value: `"${'x'.repeat(100)}"` }] }),
    ];
    for (const command of adds) {
      const { body, status } = core.ask(command);
      assert.deepEqual(
        [status, body.Code, body['Quota'], body['Limit'], body['Used']],
        [507, 'quota_exceeded', 'bytes', 2000, bytes],
      );
    }
    assert.equal(core.digest(), before);
  });

  test('whatever frees, or does not grow, is served, although some of it notes a few bytes', () => {
    const { core, entries, fence, out } = full();
    core.ok(get('large'));
    core.ok(kvList(''));
    core.ok(mlock('m'));
    core.ok(set('small', 2));
    core.ok(batch({ counter: [{ key: 'c', op: 'add', n: 1 }] }));
    core.ok(extend('held', fence, 70_000));
    core.ok(lock('held', { durMs: 80_000, owner: 'o' }));
    core.ok(nack(out, { error: 'e'.repeat(100), delayMs: 0 }));
    const [first, second] = taken(core.ok(take({ max: 2 })));
    core.ok(ack(first!));
    core.ok({ ...ack(second!), ...once('settled') });
    core.ok(batch({ ...once('unlocked'), unlock: { id: 'held', fence } }));
    core.ok(change('purge'));
    assert.ok(entries.usageOf(accountId('acme'))!.bytes > 2000, 'it is still full');
    core.ok(batch({ ...once('deleted'), set: [{ key: 'small' }] }));
    core.ok(batch({ counter: [{ key: 'c', op: 'reset', n: 0 }] }));
    core.ok(batch({ set: [{ key: 'large' }, { key: 'left', value: `"${'x'.repeat(2500)}"` }] }));
    core.ok(batch({ set: [{ key: 'left', value: '1' }] }));
    core.ok(lock('new'));
  });

  test('a delete makes room at once, and others notice nothing', () => {
    const { core } = full();
    core.ok({ ...set('k', 'x'.repeat(1000)), account: accountId('other') });
    assert.equal(core.ask(set('new', 1)).code, 'quota_exceeded');
    core.ok(remove('large'));
    core.ok(set('new', 1));
  });

  test('one who stood in line for a lock is refused at its turn, and the next one has it', () => {
    const { core, fence } = full();
    core.ok(remove('large'));
    const first = core.ask(lock('held', { waitMs: 60_000, owner: 'a' }, { set: [{ key: 'a', value: '1' }] }));
    core.ok(set('large', 'x'.repeat(3000)));
    core.ok(unlock('held', { fence }));
    assert.equal(first.code, 'quota_exceeded');
    core.ok(remove('large'));
    core.ok(lock('held'));
  });
});

test('an account of config.yml may have a quota of its own, or none', () => {
  const own = new Map([
    ['big', { bytes: 0, entries: 0 }],
    ['small', { entries: 1 }],
  ]);
  const entries = new MapEntries(new Quotas({ ...none, account_entries_max: 2 }, own));
  const core = new CoreUnderTest({ entries });
  const filled = (account: string): number => {
    for (let i = 0; i < 5; i += 1) {
      const { code } = core.ask({ ...set(`k${i}`, 1), account: accountId(account) });
      if (code !== 'ok') return i;
    }
    return 5;
  };
  assert.deepEqual(['acme', 'small', 'big'].map(filled), [2, 1, 5]);
});
