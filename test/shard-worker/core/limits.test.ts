import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { acme, batch, once, set } from '../../support/commands.ts';
import type { Asked } from '../../support/core-under-test.ts';
import { windowExceeded, type Taking } from '../../support/checkers/limit-windows.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { LimitOperation } from '../../../src/protocol/operations/limit.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { seeded } from '../../support/generators/model-histories.ts';

const tenASecond = { rateThousandths: 10_000, perMs: 1000, burst: 20 };

function take(key: string, more: Partial<LimitOperation> = {}): Batch {
  return batch({ limit: [{ key, ...tenASecond, cost: 1, waitMs: 0, ...more }] });
}

function item(asked: Asked): unknown {
  return (asked.body['Limit'] as unknown[])[0];
}

describe('Limit', () => {
  test('takes its burst at once, then refuses without a write, and has one more after its time', () => {
    const core = new CoreUnderTest();
    assert.deepEqual(item(core.ask(take('a'))), { Key: 'a', Left: 19, ResetMs: 100 });
    for (let left = 18; left >= 0; left -= 1)
      assert.deepEqual(item(core.ask(take('a'))), { Key: 'a', Left: left, ResetMs: (20 - left) * 100 });
    const digest = core.digest();
    const refused = core.ask(take('a'));
    assert.equal(refused.code, 'limited');
    assert.deepEqual(
      [refused.body['Key'], refused.body['Left'], refused.body['ResetMs'], refused.body['RetryAfterMs']],
      ['a', 0, 2000, 100],
    );
    assert.equal(core.digest(), digest);
    core.advance(99);
    assert.equal(core.ask(take('a')).body['RetryAfterMs'], 1);
    core.advance(1);
    assert.deepEqual(item(core.ask(take('a'))), { Key: 'a', Left: 0, ResetMs: 2000 });
  });

  test('a cost as large as the burst passes when nothing is taken, whatever the rate', () => {
    for (const rateThousandths of [1, 3, 700, 1000, 3000, 7_000_000, 999_999_999_999]) {
      const core = new CoreUnderTest();
      const all = { rateThousandths, perMs: 1000, burst: 1, cost: 1 };
      assert.equal(core.ask(take('a', all)).status, 200, `${rateThousandths}`);
      const again = core.ask(take('a', all));
      assert.equal(again.code, 'limited', `${rateThousandths}`);
      const { RetryAfterMs } = again.body as unknown as { RetryAfterMs: number };
      core.advance(RetryAfterMs - 1);
      if (RetryAfterMs > 1) assert.equal(core.ask(take('a', all)).code, 'limited', `${rateThousandths}`);
      core.advance(1);
      assert.equal(core.ask(take('a', all)).status, 200, `${rateThousandths}`);
    }
  });

  test('a cost of zero looks: it writes nothing, and shows all of a limit that nobody uses', () => {
    const core = new CoreUnderTest();
    const looked = core.ask(take('a', { cost: 0 }));
    assert.deepEqual(item(looked), { Key: 'a', Left: 20, ResetMs: 0 });
    core.ok(take('a', { cost: 15 }));
    assert.deepEqual(item(core.ask(take('a', { cost: 0 }))), { Key: 'a', Left: 5, ResetMs: 1500 });
    assert.equal(core.records.length, 1);
  });

  test('all of a batch or nothing: each operation sees those before it, and writes wait for all', () => {
    const core = new CoreUnderTest();
    const two = { key: 'a', ...tenASecond, burst: 3, cost: 2, waitMs: 0 };
    const digest = core.digest();
    const refused = core.ask(batch({ limit: [two, two], set: [{ key: 'k', value: '1' }] }));
    assert.equal(refused.code, 'limited');
    assert.equal(refused.body.Failed[0]!.Field, 'Limit[1]');
    assert.equal(core.digest(), digest);
    const done = core.ok(batch({ limit: [two, { ...two, cost: 1 }], set: [{ key: 'k', value: '1' }] }));
    assert.equal(done.KVSet[0]!.Version, done.Rev);
    assert.deepEqual(
      (done['Limit'] as { Left: number }[]).map(({ Left }) => Left),
      [1, 0],
    );
    assert.equal(core.records[0]!.effects.length, 2);
  });

  test('with a wait the slot is taken at once, and the reply is held until it begins', () => {
    const core = new CoreUnderTest();
    const one = { burst: 1, waitMs: 250 };
    assert.equal(core.ask(take('a', one)).reply!.heldMs, undefined);
    const first = core.ask(take('a', one)).reply!;
    const second = core.ask(take('a', one)).reply!;
    assert.deepEqual([first.heldMs, second.heldMs], [100, 200]);
    assert.equal((JSON.parse(second.body) as { Limit: { WaitMs: number }[] }).Limit[0]!.WaitMs, 200);
    const third = core.ask(take('a', one));
    assert.deepEqual([third.code, third.body['RetryAfterMs']], ['limited', 300]);
    core.advance(50);
    assert.equal(core.ask(take('a', one)).reply!.heldMs, 250);
  });

  test('a replay is held until the slot of the first reply begins', () => {
    const core = new CoreUnderTest();
    const asked = batch({
      ...once('i', { mode: 'replay' }),
      limit: [{ key: 'a', ...tenASecond, burst: 1, cost: 1, waitMs: 1000 }],
    });
    core.ok(take('a', { burst: 1 }));
    assert.equal(core.ask(asked).reply!.heldMs, 100);
    core.advance(40);
    const again = core.ask(asked).reply!;
    assert.deepEqual([again.replayed, again.heldMs], [true, 60]);
    core.advance(60);
    assert.equal(core.ask(asked).reply!.heldMs, undefined);
  });

  test('other parameters hold from then on, and keep what is taken', () => {
    const core = new CoreUnderTest();
    core.ok(take('a', { cost: 20 }));
    const small = core.ask(take('a', { burst: 5 }));
    assert.deepEqual([small.code, small.body['RetryAfterMs']], ['limited', 1600]);
    assert.deepEqual(item(core.ask(take('a', { burst: 40 }))), { Key: 'a', Left: 19, ResetMs: 2100 });
  });

  test('an entry ends by itself, and a limit in use keeps its entry and its place in the index of deadlines', () => {
    const core = new CoreUnderTest();
    const tills = new Set<number>();
    for (let i = 0; i < 50; i += 1) {
      core.ok(take('a'));
      tills.add(core.records.at(-1)!.effects[0]!.till);
      core.advance(150);
    }
    assert.equal(tills.size, 1);
    assert.ok(core.records.every(({ effects }) => effects[0]!.expired === undefined));
    core.advance(20_000);
    assert.equal(core.records.at(-1)!.effects[0]!.expired, true);
    assert.equal(core.entries.get(kinds.limit, acme, 'a'), undefined);
  });

  test('a clock that was set back holds nobody up for longer than was taken', () => {
    const core = new CoreUnderTest();
    core.ok(take('a', { cost: 20 }));
    const { entries } = core;
    const now = core.now - 3_600_000;
    const boot = { epoch: 2, rev: core.revisions.current(), at: now - 1500 };
    const next = new CoreUnderTest({ entries, boot, now });
    assert.deepEqual(item(next.ask(take('a', { cost: 0 }))), { Key: 'a', Left: 15, ResetMs: 500 });
  });

  test('a key and a limit of the same name have nothing to do with each other', () => {
    const core = new CoreUnderTest();
    core.ok(set('a', 1));
    core.ok(take('a'));
    assert.equal(core.ok(batch({ get: ['a'] })).KV[0]!['Value'], 1);
  });
});

const parameters = fc.record({
  rateThousandths: fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 1e12 })),
  perMs: fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 31 * 24 * 3_600_000 })),
  burst: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 1e9 })),
});
const steps = fc.array(
  fc.record({
    /** In thousandths of the burst. */
    share: fc.integer({ min: 0, max: 1000 }),
    /** Before it; in thousandths of what the last refusal asked to wait for, or milliseconds. */
    pause: fc.oneof(fc.constant(1000), fc.constant(0), fc.integer({ min: 0, max: 1100 })),
    waitMs: fc.constantFrom(0, 0, 0, 100, 5000),
  }),
  { minLength: 1, maxLength: 60 },
);

test('I32: in no window is more taken than the burst and what comes back in it, and nobody waits for longer than said', () => {
  let refusals = 0;
  let held = 0;
  fc.assert(
    fc.property(parameters, steps, (given, asked) => {
      const core = new CoreUnderTest();
      const takings: Taking[] = [];
      let retryAfterMs = 10;
      for (const { share, pause, waitMs } of asked) {
        core.advance(Math.min(Math.ceil((retryAfterMs * pause) / 1000), 1e9));
        const cost = Math.max(1, Math.floor((given.burst * share) / 1000));
        const operation = { key: 'a', ...given, cost, waitMs };
        const { reply, code, body } = core.ask(batch({ limit: [operation] }));
        if (code === 'limited') {
          refusals += 1;
          const { RetryAfterMs } = body as unknown as { RetryAfterMs: number };
          assert.ok(RetryAfterMs > waitMs);
          retryAfterMs = RetryAfterMs;
          continue;
        }
        assert.equal(reply!.outcome, 'ok', reply!.body);
        const { heldMs = 0 } = reply!;
        assert.ok(heldMs <= waitMs);
        if (heldMs > 0) held += 1;
        takings.push({ operation, from: core.now + heldMs, to: core.now + heldMs });
      }
      assert.equal(windowExceeded(takings), undefined);
    }),
    seeded(500),
  );
  assert.ok(refusals > 100 && held > 30, `${refusals} refusals, ${held} held`);
});

test('what a refusal says to wait for is enough, and no less is', () => {
  fc.assert(
    fc.property(parameters, fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 20 }), (given, shares) => {
      fc.pre((given.burst * given.perMs) / given.rateThousandths < 1e7);
      const core = new CoreUnderTest();
      for (const share of [...shares, 1000, 1000]) {
        const cost = Math.max(1, Math.floor((given.burst * share) / 1000));
        const asked = batch({ limit: [{ key: 'a', ...given, cost, waitMs: 0 }] });
        const { code, body } = core.ask(asked);
        if (code !== 'limited') continue;
        const { RetryAfterMs } = body as unknown as { RetryAfterMs: number };
        core.advance(RetryAfterMs - 1);
        assert.equal(core.ask(asked).code, 'limited');
        core.advance(1);
        core.ok(asked);
      }
    }),
    seeded(200),
  );
});
