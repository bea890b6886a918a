/** What a server of the first format has left in the store, as it stands there. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { lock, once, set, unlock } from '../../support/commands.ts';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';
import { MapEntries } from '../../support/map-entries.ts';

const acme = accountId('acme');

function core(kind: 'lock' | 'idempotency', key: string, value: string): CoreUnderTest {
  const entries = new MapEntries();
  entries.put(kinds[kind], acme, key, { rev: revision(7), till: startOfTime + 60_000, value });
  return new CoreUnderTest({ entries });
}

describe('entries of version 1', () => {
  test('a lock that is held stays held, is extended by its owner, and is written anew', () => {
    const lease = '{"handle":7,"owner":"o","meta":"\\"m\\"","since":1,"durMs":60000}';
    const old = core('lock', 'l', `{"lease":${lease},"ended":[{"handle":3,"why":"released","at":9}]}`);
    assert.equal(old.ask(lock('l')).code, 'not_locked');
    assert.equal(old.ok(lock('l', { owner: 'o' })).Lock, 7);
    assert.match(old.entries.get(kinds.lock, acme, 'l')!.value, /^\[3,"x",1,1,7,1,/);
    old.ok(unlock('l', { fence: 3 }));
    old.ok(unlock('l', { fence: 7 }));
    assert.equal(old.ask(unlock('l', { fence: 5 })).code, 'lock_lost');
  });

  test('a free lock remembers who had it', () => {
    const old = core('lock', 'l', '{"ended":[{"handle":5,"why":"expired","owner":"o","meta":"\\"left\\"","at":9}]}');
    assert.deepEqual(old.ok(lock('l')).Recover, { Lock: 5, Meta: 'left', Why: 'expired' });
  });

  test('an idempotency id is answered with the reply that it keeps, and nothing happens twice', () => {
    const body = '{"Key":"k","Version":7,"Rev":7}';
    const old = core('idempotency', 'i', JSON.stringify({ fingerprint: 'of then', status: 200, body, rev: 7 }));
    const again = old.ask({ ...set('k', 1), ...once('i', { mode: 'replay' }) });
    assert.deepEqual([again.body, again.reply?.replayed], [JSON.parse(body), true]);
    const refused = old.ask({ ...set('k', 1), ...once('i') });
    assert.equal(refused.code, 'duplicate_request');
    assert.deepEqual(refused.body['Response'], JSON.parse(body));
    assert.equal(old.records.length, 0);
  });
});
