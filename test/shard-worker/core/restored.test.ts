/** After a restore from a backup: what clients hold is neither accepted nor denied, and no lock gets a second holder. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import { graceFor, isLost, longerBytesMax } from '../../../src/protocol/restored.ts';
import { acme, extend, inspect, lock, unlock } from '../../support/commands.ts';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';
import { ack, extendMessage, nack, send, take, taken } from '../../support/queue-commands.ts';

const from = 50;
const to = 1_000_000_100;

function restoredCore(longer: [string, string, number][] = [], before?: CoreUnderTest): CoreUnderTest {
  const restored = { ranges: [[from, to] as const], graceMs: 60_000, longer, since: startOfTime };
  const boot = { rev: revision(before?.revisions.current() ?? 100), at: startOfTime, restored };
  return new CoreUnderTest({ boot, ...(before && { entries: before.entries, revisions: before.revisions }) });
}

test('a lock that is free is granted to nobody while an unknown holder may work; then in order', () => {
  const core = restoredCore();
  const refused = core.ask(lock('L'));
  assert.equal(refused.code, 'not_locked');
  assert.equal(refused.body.Why, 'restored');
  assert.equal(refused.body['RetryAfterMs'], 60_000);
  const first = core.ask(lock('L', { waitMs: 90_000 }));
  const second = core.ask(lock('L', { waitMs: 90_000 }));
  core.advance(59_999);
  assert.ok(first.waits && second.waits);
  core.advance(1);
  assert.equal(first.status, 200);
  assert.ok(second.waits);
  core.ok(unlock('L', { fence: first.body.Lock }));
  assert.equal(second.status, 200);
  assert.equal(core.ask(lock('other')).status, 200, 'from then on as ever');
});

test('a wait that ends before the grace is told why', () => {
  const core = restoredCore();
  const waiting = core.ask(lock('L', { waitMs: 10_000 }));
  core.advance(10_000);
  assert.equal(waiting.body.Why, 'restored');
  assert.equal(waiting.body['RetryAfterMs'], 50_000);
});

test('a lock that was seen with longer leases stays closed for as long as one of them', () => {
  const core = restoredCore([['acme', 'L', 300_000]]);
  core.advance(60_000);
  assert.equal(core.ask(lock('other')).status, 200);
  const refused = core.ask(lock('L'));
  assert.deepEqual([refused.code, refused.body['RetryAfterMs']], ['not_locked', 240_000]);
  core.advance(240_000);
  assert.equal(core.ask(lock('L')).status, 200);
});

test('whoever holds a lock in the restored state keeps it, and what he gives back stays closed', () => {
  const before = new CoreUnderTest();
  const held = before.ok(lock('L', { owner: 'holder-1', durMs: 30_000 }));
  const core = restoredCore([], before);
  assert.equal(core.ask(extend('L', held.Lock)).status, 200);
  assert.equal(core.ok(lock('L', { owner: 'holder-1' })).Lock, held.Lock);
  core.ok(unlock('L', { fence: held.Lock }));
  assert.equal(core.ask(lock('L', { owner: 'other-22' })).body.Why, 'restored');
});

test('a lease that ends during the grace is not passed on before its end', () => {
  const before = new CoreUnderTest();
  before.ok(lock('L', { owner: 'holder-1', durMs: 20_000 }));
  const core = restoredCore([], before);
  const waiting = core.ask(lock('L', { waitMs: 100_000 }));
  core.advance(59_000);
  assert.ok(waiting.waits, 'the lease is over since 39 s');
  core.advance(1000);
  assert.equal(waiting.status, 200);
});

test('a fencing token of the lost time is lost to a restore, others are as they were', () => {
  const core = restoredCore();
  for (const fence of [from + 1, 77_777, to - 1]) {
    const refused = core.ask(unlock('L', { fence }));
    assert.deepEqual([refused.code, refused.body.Why], ['lock_lost', 'restored']);
    assert.equal(core.ask(extend('L', fence)).body.Why, 'restored');
    assert.equal(core.ask(inspect('L', fence)).body.Why, 'restored');
  }
  for (const fence of [from, to]) assert.equal(core.ask(unlock('L', { fence })).body.Why, 'unknown');
  assert.ok(isLost({ ranges: [[1, 5]] }, 2) && !isLost({ ranges: [[1, 5]] }, 5) && !isLost(undefined, 2));
});

test('locks that do not fit into the record make the grace of all longer', () => {
  assert.deepEqual(graceFor(0, [['a', 'b', 900_000]]), { graceMs: 0, longer: [] });
  assert.deepEqual(
    graceFor(60_000, [
      ['a', 'b', 900_000],
      ['a', 'c', 60_000],
    ]),
    {
      graceMs: 60_000,
      longer: [['a', 'b', 900_000]],
    },
  );
  const many = Array.from({ length: 10_000 }, (_, i) => [accountId('acme'), `lock-${i}`, 100_000 + i] as const);
  const { graceMs, longer } = graceFor(60_000, many);
  assert.ok(Buffer.byteLength(JSON.stringify(longer)) <= longerBytesMax);
  assert.ok(longer.every(([, , durMs]) => durMs > graceMs));
  const shortest = Math.min(...longer.map(([, , durMs]) => durMs));
  assert.equal(graceMs, shortest - 1, 'every lock has at least its own');
  assert.equal(acme, 'acme');
});

test('a receipt of the lost time is lost to a restore, be it of a message that is known or not; others are as they were', () => {
  const before = new CoreUnderTest();
  before.ok(send('a'));
  const [known] = taken(before.ok(take()));
  const core = restoredCore([], before);
  for (const lock of [from + 1, to - 1]) {
    const receipts = [
      { ID: known!.ID, Lock: lock },
      { ID: `${from + 1}-0`, Lock: lock },
    ];
    for (const receipt of receipts) {
      for (const command of [ack(receipt), nack(receipt, {}), extendMessage(receipt, 1000)]) {
        const refused = core.ask(command);
        assert.deepEqual([refused.code, refused.body.Why], ['receipt_expired', 'restored']);
      }
    }
  }
  assert.equal(core.ask(ack({ ID: `${to}-0`, Lock: to + 1 })).body.Why, 'gone');
  core.ok(ack(known!));
});
