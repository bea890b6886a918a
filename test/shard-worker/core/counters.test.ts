import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { integerMax } from '../../../src/shared/limits.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { batch, lock, next } from '../../support/commands.ts';
import type { CounterOperation } from '../../../src/protocol/operations/counter.ts';

function atomic(...asks: (Omit<CounterOperation, 'n'> & { n?: number })[]) {
  return batch({ counter: asks.map((ask) => ({ n: 0, ...ask })) });
}

describe('Atomic', () => {
  test('Add, Set, Max, Min answer the new value and the old one', () => {
    const core = new CoreUnderTest();
    const steps: [Omit<CounterOperation, 'key'>, number, number][] = [
      [{ op: 'add', n: 5 }, 5, 0],
      [{ op: 'add', n: -7 }, -2, 5],
      [{ op: 'max', n: 10 }, 10, -2],
      [{ op: 'max', n: 3 }, 10, 10],
      [{ op: 'min', n: 4 }, 4, 10],
      [{ op: 'min', n: 9 }, 4, 4],
      [{ op: 'set', n: 0 }, 0, 4],
    ];
    for (const [ask, Value, Old] of steps) {
      assert.deepEqual(core.ok(atomic({ key: 'c', ...ask })).Atomic, [{ Key: 'c', Value, Old }]);
    }
    assert.equal(core.ok(batch({ format: 'counter.get', counter: [{ key: 'c', op: 'get', n: 0 }] }))['Value'], 0);
  });

  test('the same key several times in one batch: each sees the one before, one effect', () => {
    const core = new CoreUnderTest();
    const body = core.ok(
      atomic(
        { key: 'c', op: 'add', n: 1 },
        { key: 'd', op: 'add', n: 1 },
        { key: 'c', op: 'add', n: 1 },
        { key: 'c', op: 'set', n: 40, ifEq: 2 },
        { key: 'c', op: 'add', n: 2 },
      ),
    );
    assert.deepEqual(
      body.Atomic.map(({ Value, Old }) => [Value, Old]),
      [
        [1, 0],
        [1, 0],
        [2, 1],
        [40, 2],
        [42, 40],
      ],
    );
    assert.equal(core.records[0]!.effects.length, 2);
  });

  test('IfEq that does not hold fails the batch with the current value; a missing counter is 0', () => {
    const core = new CoreUnderTest();
    core.ok(atomic({ key: 'c', op: 'set', n: 5, ifEq: 0 }));
    const digest = core.digest();
    const failing = core.ask(atomic({ key: 'd', op: 'add', n: 1 }, { key: 'c', op: 'set', n: 6, ifEq: 4 }));
    assert.deepEqual(
      [failing.code, failing.body['Value'], failing.body.Failed[0]!.Field],
      ['precondition_failed', 5, 'Atomic[1]'],
    );
    assert.equal(core.digest(), digest);
  });

  test('the range is ±(2^53−1): its ends are reached, beyond is overflow and changes nothing', () => {
    const core = new CoreUnderTest();
    core.ok(atomic({ key: 'c', op: 'set', n: integerMax }, { key: 'd', op: 'set', n: -integerMax }));
    const digest = core.digest();
    for (const ask of [
      { key: 'c', op: 'add', n: 1 },
      { key: 'c', op: 'add', n: integerMax },
      { key: 'd', op: 'add', n: -1 },
      { key: 'd', op: 'add', n: -integerMax },
    ] as const) {
      const failing = core.ask(atomic({ key: 'other', op: 'add', n: 1 }, ask));
      assert.deepEqual([failing.code, failing.status], ['overflow', 409]);
    }
    assert.equal(core.digest(), digest);
    core.ok(atomic({ key: 'c', op: 'add', n: -1 }, { key: 'c', op: 'add', n: 1 }));
  });

  test('an Add that would pass its floor or ceil changes nothing, and is told the current value', () => {
    const core = new CoreUnderTest();
    core.ok(atomic({ key: 'c', op: 'set', n: 1 }));
    const digest = core.digest();
    for (const [ask, value] of [
      [{ key: 'c', op: 'add', n: -2, floor: 0 }, 1],
      [{ key: 'c', op: 'add', n: 1, ceil: 1 }, 1],
      [{ key: 'none', op: 'add', n: -1, floor: 0, ceil: 9 }, 0],
      [{ key: 'none', op: 'add', n: integerMax, floor: 0, ceil: integerMax - 1 }, 0],
    ] as const) {
      const failing = core.ask(atomic({ key: 'other', op: 'add', n: 1 }, ask));
      assert.deepEqual([failing.code, failing.status, failing.body['Value']], ['out_of_bounds', 409, value]);
      assert.deepEqual([failing.body['Key'], failing.body.Failed[0]!.Field], [ask.key, 'Atomic[1]']);
    }
    assert.equal(core.digest(), digest);
    const reached = core.ok(atomic({ key: 'c', op: 'add', n: -1, floor: 0 }, { key: 'd', op: 'add', n: 3, ceil: 3 }));
    assert.deepEqual(
      reached.Atomic.map(({ Value }) => Value),
      [0, 3],
    );
  });

  test('from outside, an Add may come closer to its bound, or stay, but neither leave it nor pass the other', () => {
    const core = new CoreUnderTest();
    core.ok(atomic({ key: 'c', op: 'set', n: -10 }));
    assert.equal(core.ok(atomic({ key: 'c', op: 'add', n: 3, floor: 0 })).Atomic[0]!.Value, -7);
    assert.equal(core.ok(atomic({ key: 'c', op: 'add', n: 0, floor: 0 })).Atomic[0]!.Value, -7);
    assert.equal(core.ask(atomic({ key: 'c', op: 'add', n: -1, floor: 0 })).code, 'out_of_bounds');
    assert.equal(core.ask(atomic({ key: 'c', op: 'add', n: 20, floor: 0, ceil: 9 })).code, 'out_of_bounds');
    core.ok(atomic({ key: 'c', op: 'set', n: 10 }));
    assert.equal(core.ok(atomic({ key: 'c', op: 'add', n: -3, ceil: 0 })).Atomic[0]!.Value, 7);
    assert.equal(core.ask(atomic({ key: 'c', op: 'add', n: 1, ceil: 0 })).code, 'out_of_bounds');
  });

  test('a bound looks at the counter as the batch has moved it so far; each Add that fails is listed', () => {
    const core = new CoreUnderTest();
    core.ok(atomic({ key: 'c', op: 'add', n: 5 }, { key: 'c', op: 'add', n: -5, floor: 0 }));
    const failing = core.ask(
      atomic(
        { key: 'c', op: 'add', n: 2 },
        { key: 'c', op: 'add', n: -3, floor: 0 },
        { key: 'd', op: 'add', n: 2, ceil: 1 },
        { key: 'e', op: 'set', n: 1, ifEq: 1 },
      ),
    );
    assert.deepEqual(
      failing.body.Failed.map((item) => ({ ...item, Message: undefined })),
      [
        { Field: 'Atomic[1]', Code: 'out_of_bounds', Message: undefined, Key: 'c', Value: 2 },
        { Field: 'Atomic[2]', Code: 'out_of_bounds', Message: undefined, Key: 'd', Value: 0 },
        { Field: 'Atomic[3]', Code: 'precondition_failed', Message: undefined, Key: 'e', Value: 0 },
      ],
    );
    core.ok(atomic({ key: 'd', op: 'set', n: integerMax }));
    const both = core.ask(atomic({ key: 'd', op: 'add', n: 1, ceil: 5 }));
    assert.deepEqual(
      both.body.Failed.map(({ Code }) => Code),
      ['overflow', 'out_of_bounds'],
    );
  });

  test('a counter, a key and a lock of one name are three things; a reset forgets the counter', () => {
    const core = new CoreUnderTest();
    core.ok(lock('x', {}, { counter: [{ key: 'x', op: 'add', n: 3 }], set: [{ key: 'x', value: '"v"' }] }));
    const reset = core.ok(batch({ format: 'counter.reset', counter: [{ key: 'x', op: 'reset', n: 0 }] }));
    assert.deepEqual([reset['Value'], reset['Old']], [0, 3]);
    const digest = core.digest();
    core.ok(batch({ format: 'counter.reset', counter: [{ key: 'x', op: 'reset', n: 0 }] }));
    assert.equal(core.digest(), digest);
    const read = core.ok(batch({ get: ['x'], counter: [{ key: 'x', op: 'get', n: 0 }] }));
    assert.equal(read.KV[0]!.Value, 'v');
    assert.deepEqual(read.Atomic, [{ Key: 'x', Value: 0 }]);
  });
});

describe('sequences', () => {
  test('start at 1, are gap-free, and reserve blocks', () => {
    const core = new CoreUnderTest();
    const first = core.ok(next('s'));
    assert.deepEqual([first['Value'], first['From'], first['To']], [1, 1, 1]);
    const block = core.ok(next('s', 10));
    assert.deepEqual([block['From'], block['To']], [2, 11]);
    assert.equal(core.ok(next('s'))['Value'], 12);
    assert.equal(core.ok(batch({ format: 'sequence.get', sequence: { key: 's', op: 'get', n: 1 } }))['Value'], 12);
  });

  test('a failed batch consumes nothing', () => {
    const core = new CoreUnderTest();
    core.ok(next('s'));
    const failing = core.ask({ ...next('s'), check: [{ key: 'k', version: 9 }] });
    assert.equal(failing.code, 'version_mismatch');
    assert.equal(core.ok(next('s'))['Value'], 2);
  });

  test('a reset starts at 1 again', () => {
    const core = new CoreUnderTest();
    core.ok(next('s', 5));
    core.ok(batch({ format: 'sequence.reset', sequence: { key: 's', op: 'reset', n: 1 } }));
    assert.equal(core.ok(next('s'))['Value'], 1);
  });

  test('overflow changes nothing; the last number can be had', () => {
    const core = new CoreUnderTest();
    core.ok(next('s', integerMax - 1));
    assert.equal(core.ask(next('s', 2)).code, 'overflow');
    assert.equal(core.ok(next('s'))['Value'], integerMax);
    assert.equal(core.ask(next('s')).code, 'overflow');
  });
});
