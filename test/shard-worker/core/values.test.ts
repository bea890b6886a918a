/** Values: equal or not, merged, shown as they were; counters that end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { batch, get, set } from '../../support/commands.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import { mergedJson } from '../../../src/shared/stored-json.ts';

const equals = (key: string, value: unknown): Batch =>
  batch({ check: [{ key, equals: JSON.stringify(value) }], set: [{ key: 'done', value: '1' }] });
const merge = (key: string, patch: unknown, more: { ttlMs?: number; old?: true } = {}): Batch =>
  batch({ set: [{ key, value: JSON.stringify(patch), merge: true, ...more }] });

const counterIs = (counter: number): Batch => batch({ check: [{ key: 'c', counter }], get: ['k'] });
const addInWindow = (): Batch => batch({ counter: [{ key: 'c', op: 'add', n: 1, ttlMs: 1000 }] });

describe('Check with Equals', () => {
  test('compares as JSON: the order of members makes no difference, anything else does', () => {
    const core = new CoreUnderTest();
    const value = { a: [1, { x: 'é', y: null }], b: { c: true, d: -0.5 } };
    core.ok(set('k', value));
    core.ok(equals('k', { b: { d: -0.5, c: true }, a: [1, { y: null, x: 'é' }] }));
    for (const other of [
      { ...value, a: [{ x: 'é', y: null }, 1] },
      { ...value, b: { c: true } },
      { ...value, b: { c: 'true', d: -0.5 } },
      { a: value.a, c: value.b },
      [value],
      null,
    ])
      assert.equal(core.ask(equals('k', other)).code, 'precondition_failed', JSON.stringify(other));
    core.ok(set('list', [1, 2]));
    assert.equal(core.ask(equals('list', { 0: 1, 1: 2 })).code, 'precondition_failed');
    core.ok(set('own', { toString: 1 }));
    assert.equal(core.ask(equals('own', { valueOf: 1 })).code, 'precondition_failed');
  });

  test('a failure tells the version, not the value; nothing equals a key that does not exist', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 'secret'));
    const failed = core.ask(equals('k', 'other'));
    assert.deepEqual([failed.body['Key'], failed.body['Version']], ['k', Rev]);
    assert.ok(!failed.reply!.body.includes('secret'));
    const missing = core.ask(equals('absent', null));
    assert.deepEqual([missing.code, missing.body['Version']], ['precondition_failed', 0]);
  });

  test('a counter equals its number, and 0 if there is none', () => {
    const core = new CoreUnderTest();
    core.ok(counterIs(0));
    core.ok(batch({ counter: [{ key: 'c', op: 'add', n: 5 }] }));
    core.ok(counterIs(5));
    const failed = core.ask(counterIs(4));
    assert.deepEqual([failed.code, failed.body['Key'], failed.body['Value']], ['precondition_failed', 'c', 5]);
  });
});

describe('Merge', () => {
  test('does what the examples of RFC 7396 say', () => {
    for (const [target, patch, result] of [
      ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
      ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
      ['{"a":"b"}', '{"a":null}', '{}'],
      ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
      ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
      ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
      ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
      ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
      ['["a","b"]', '["c","d"]', '["c","d"]'],
      ['{"a":"b"}', '["c"]', '["c"]'],
      ['{"a":"foo"}', 'null', 'null'],
      ['{"a":"foo"}', '"bar"', '"bar"'],
      ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
      ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
      ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
      [undefined, '{"a":{"b":null,"c":1}}', '{"a":{"c":1}}'],
      ['{"a":1}', '{"toString":{"x":1},"constructor":null}', '{"a":1,"toString":{"x":1}}'],
    ] as const)
      assert.equal(mergedJson(target, patch), result, `${target} + ${patch}`);
  });

  test('makes a key that does not exist, sees earlier changes of its batch, and keeps the end of the key', () => {
    const core = new CoreUnderTest();
    core.ok(merge('new', { a: 1, b: null }));
    core.ok(
      batch({
        set: [
          { key: 'new', value: '{"x":1}' },
          { key: 'new', value: '{"y":2}', merge: true },
          { key: 'gone', value: '1' },
          { key: 'gone' },
          { key: 'gone', value: '{"z":3}', merge: true },
        ],
      }),
    );
    const { KV } = core.ok(get('new', 'gone'));
    assert.deepEqual([KV[0]!.Value, KV[1]!.Value], [{ x: 1, y: 2 }, { z: 3 }]);
    core.ok(set('ends', { a: 1 }, { ttlMs: 1000 }));
    core.ok(merge('ends', { b: 1 }));
    core.advance(1000);
    assert.equal(core.ok(get('ends')).KV[0]!.Version, 0);
    core.ok(merge('ends', { c: 1 }));
    assert.deepEqual(core.ok(get('ends')).KV[0]!.Value, { c: 1 });
  });

  test('what would be too large, of one value or of all that a batch merges into, changes nothing', () => {
    const core = new CoreUnderTest({ limits: { value_bytes_max: 1000 } });
    core.ok(set('k', { a: 'x'.repeat(900) }));
    const digest = core.digest();
    const large = core.ask(merge('k', { b: 'y'.repeat(200) }));
    assert.deepEqual([large.code, large.body.Failed[0]!.Field], ['too_large', 'KVSet[0]']);
    const budget = new CoreUnderTest();
    budget.ok(set('k', 'x'.repeat(1_000_000)));
    const patch = { key: 'k', value: '{"a":1}', merge: true } as const;
    const others = Array.from({ length: 6 }, (_, i) => ({ key: `k${i}`, value: 'x'.repeat(1_000_000) }));
    for (const { key, value } of others) budget.ok(set(key, value));
    const many = budget.ask(batch({ set: others.map(({ key }) => ({ ...patch, key })) }));
    assert.deepEqual([many.code, many.body.Failed[0]!.Field], ['too_large', 'KVSet[4]']);
    assert.equal(core.digest(), digest);
  });
});

test('a batch reads a page of keys at the moment of its other reads, in its place', () => {
  const core = new CoreUnderTest();
  for (const key of ['a', 'p/1', 'p/2', 'p/3']) core.ok(set(key, key));
  const range = { prefix: 'p/', limit: 2, place: 1 };
  const asked = batch({ get: ['a', 'none'], range, set: [{ key: 'p/0', value: '0' }] });
  const rows = core.ok(asked).KV as unknown as {
    Key?: string;
    Prefix?: string;
    KV?: { Key: string }[];
    After?: string;
  }[];
  assert.deepEqual([rows[0]!.Key, rows[1]!.Prefix, rows[1]!.After, rows[2]!.Key], ['a', 'p/', 'p/2', 'none']);
  assert.deepEqual(
    rows[1]!.KV!.map(({ Key }) => Key),
    ['p/1', 'p/2'],
  );
  const once = batch({ ...asked, idempotency: { ids: ['i'], ttlMs: 1000, mode: 'replay', fingerprint: 'f' } });
  const first = core.ok(once);
  core.ok(set('p/1', 'other'));
  assert.deepEqual(core.ok(once), first);
  const small = core.ask(batch({ replyBytesMax: 10, range }));
  assert.deepEqual([small.code, small.body.Failed[0]!.Field], ['too_large', 'KVGet']);
});

test('Old shows what was there before the batch, with its version, and counts in the size of the reply', () => {
  const core = new CoreUnderTest();
  const { Rev } = core.ok(set('k', { a: 1 }));
  const { KVSet } = core.ok(
    batch({
      set: [
        { key: 'k', value: '2', old: true },
        { key: 'k', old: true },
        { key: 'none', value: '3', old: true },
        { key: 'absent', old: true },
      ],
    }),
  );
  const old = { Version: Rev, Value: { a: 1 } };
  assert.deepEqual(
    KVSet.map((item) => (item as unknown as { Old: unknown }).Old),
    [old, old, { Version: 0 }, { Version: 0 }],
  );
  core.ok(set('large', 'x'.repeat(1000)));
  const digest = core.digest();
  const refused = core.ask(batch({ replyBytesMax: 1000, set: [{ key: 'large', value: '1', old: true }] }));
  assert.deepEqual([refused.code, refused.body.Failed[0]!.Field], ['too_large', 'KVSet']);
  assert.equal(core.digest(), digest);
});

test('the TTL of a counter counts when the counter is made: a window', () => {
  const core = new CoreUnderTest();
  const first = core.ok(addInWindow()).Atomic[0]! as unknown as { TillMs: number };
  core.advance(600);
  const second = core.ok(addInWindow()).Atomic[0]! as unknown as { TillMs: number; Value: number };
  assert.deepEqual([second.Value, second.TillMs], [2, first.TillMs]);
  core.ok(batch({ counter: [{ key: 'c', op: 'set', n: 7 }] }));
  core.jump(400);
  assert.equal(core.ask(batch({ format: 'counter.get', counter: [{ key: 'c', op: 'get', n: 0 }] })).code, 'not_found');
  assert.equal(core.ok(addInWindow()).Atomic[0]!.Value, 1);
  core.ok(batch({ counter: [{ key: 'plain', op: 'add', n: 1 }] }));
  core.ok(batch({ counter: [{ key: 'plain', op: 'add', n: 1, ttlMs: 10 }] }));
  core.advance(5000);
  assert.deepEqual(core.ok(batch({ check: [{ key: 'plain', counter: 2 }], get: ['x'] })).KV.length, 1);
});
