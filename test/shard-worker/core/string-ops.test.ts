import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { acme, batch, lock, once, remove, set, watch } from '../../support/commands.ts';
import { Comparison } from '../../support/contract/comparison.ts';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';
import { seeded } from '../../support/generators/model-histories.ts';
import { replyStatus } from '../../support/reply-status.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import {
  errorIn,
  integerIn,
  opsBody,
  resultsIn,
  type ExpireCondition,
  type ExpireTill,
  type SetCondition,
  type SetTill,
  type StringOp,
  type ValueCondition,
} from '../../../src/protocol/operations/string-op.ts';
import { bytesOfJson, jsonOfBytes, lengthOfJson } from '../../../src/protocol/string-value.ts';
import { kinds } from '../../../src/protocol/record.ts';

/** Asks for some operations in one batch. @returns their results */
function ask(core: CoreUnderTest, ...ops: StringOp[]): readonly string[] {
  const { reply } = core.ask(opsOf(...ops));
  assert.equal(reply?.outcome, 'ok');
  return resultsIn(reply.body, ops.length);
}

function opsOf(...ops: StringOp[]): Batch {
  return batch({ format: 'ops', ops });
}

const key = 'k';
const get = { kind: 'get', key } as const;
const put = (value: string): StringOp => ({ kind: 'set', key, value });

test('operations see what those before them did, in one commit of one version', () => {
  const core = new CoreUnderTest();
  const before = core.records.length;
  const results = ask(
    core,
    put('"5"'),
    { kind: 'add', key, n: 2 },
    { kind: 'append', key, value: '"1"' },
    { kind: 'version', key },
    get,
  );
  assert.deepEqual(results, ['', ':7', ':2', ':0', '"71"']);
  assert.equal(core.records.length, before + 1);
  assert.deepEqual(core.records.at(-1)!.effects, [{ kind: kinds.kv, key, till: 0, value: '"71"' }]);
  assert.deepEqual(ask(core, { kind: 'version', key }), [`:${core.records.at(-1)!.rev}`]);
});

test('an error of one operation undoes none of the others', () => {
  const core = new CoreUnderTest();
  const results = ask(core, put('"x"'), { kind: 'add', key, n: 1 }, { kind: 'append', key, value: '"y"' });
  assert.deepEqual(results, ['', '!not_integer', ':2']);
  assert.deepEqual(ask(core, get), ['"xy"']);
});

test('operations that change nothing write nothing', () => {
  const core = new CoreUnderTest();
  ask(core, put('"a"'));
  const before = core.records.length;
  const results = ask(
    core,
    { kind: 'set', key, value: '"b"', condition: { kind: 'nx' } },
    { kind: 'set', key: 'absent', value: '"b"', condition: { kind: 'xx' } },
    { kind: 'set', key, value: '"b"', condition: { kind: 'eq', value: '"z"' }, old: true },
    { kind: 'delete', key: 'absent' },
    { kind: 'delete', key, condition: { kind: 'ne', value: '"a"' } },
    { kind: 'persist', key },
    { kind: 'expire', key: 'absent', till: { kind: 'in', ms: 5 } },
    { kind: 'expire', key, till: { kind: 'in', ms: 5 }, when: 'gt' },
    { kind: 'append', key, value: '""' },
    { kind: 'setRange', key: 'absent', offset: 7, value: '""' },
    { kind: 'setBit', key, offset: 0, bit: 0 },
    { kind: 'set', key: 'new', value: '1' },
    { kind: 'delete', key: 'new' },
  );
  assert.deepEqual(results, ['_', '_', '"a"', ':0', ':0', ':0', ':0', ':0', ':1', ':0', ':0', '', ':1']);
  assert.equal(core.records.length, before);
});

test('a failed Check fails all operations, and a Guard too', () => {
  const core = new CoreUnderTest();
  const failed = core.ask({ ...opsOf(put('"a"')), check: [{ key, version: 7 }] });
  assert.equal(failed.reply!.outcome, 'version_mismatch');
  const { Lock: fence } = core.ok(lock('l'));
  assert.equal(core.ask({ ...opsOf(put('"a"')), guard: [{ id: 'l', fence: fence + 1 }] }).reply!.outcome, 'lock_lost');
  assert.deepEqual(ask(core, get), ['_']);
  assert.equal(core.ask({ ...opsOf(put('"a"')), guard: [{ id: 'l', fence }] }).reply!.body, '');
});

test('a changed time to live is a new version, with an event; its end is told as an expiry', () => {
  const core = new CoreUnderTest();
  ask(core, put('"a"'));
  const version = ask(core, { kind: 'version', key })[0]!;
  core.ask(watch(key, integerIn(version)));
  assert.deepEqual(ask(core, { kind: 'expire', key, till: { kind: 'in', ms: 5000 } }), [':1']);
  assert.equal(core.events.length, 1);
  assert.notDeepEqual(ask(core, { kind: 'version', key }), [version]);
  assert.deepEqual(ask(core, { kind: 'ttl', key }, { kind: 'ttl', key, at: true }), [':5000', `:${core.now + 5000}`]);
  core.advance(5000);
  assert.deepEqual(ask(core, { kind: 'ttl', key }, get), [':-2', '_']);
  assert.equal(core.records.at(-1)!.effects[0]!.expired, true);
});

test('keys are those of HTTP: what one door writes, the other reads, and JSON is its text', () => {
  const core = new CoreUnderTest();
  core.ok(set(key, { a: [1, 'é'] }));
  assert.deepEqual(ask(core, get, { kind: 'length', key }, { kind: 'range', key, start: 1, end: 3 }), [
    '{"a":[1,"é"]}',
    ':14',
    String.raw`"\"a\""`,
  ]);
  core.ok(set(key, 5));
  assert.deepEqual(ask(core, { kind: 'add', key, n: 1 }, get, { kind: 'addFloat', key, n: 0.5 }), [':6', '6', '6.5']);
  ask(core, put('"5"'), { kind: 'add', key, n: 1 });
  assert.equal(core.ok(batch({ get: [key] })).KV[0]!.Value, '6');
  core.ok(remove(key));
  assert.deepEqual(ask(core, { kind: 'exists', key }), [':0']);
});

test('5 and "5" are equal, and so are bytes and the text that they spell', () => {
  const core = new CoreUnderTest();
  for (const [stored, compared] of [
    ['5', '"5"'],
    ['{"$bytes":"YQ=="}', '"a"'],
    ['[1,2]', '"[1,2]"'],
    [String.raw`"\u0041"`, '"A"'],
  ] as const) {
    ask(core, put(stored));
    assert.deepEqual(ask(core, { kind: 'delete', key, condition: { kind: 'eq', value: compared } }), [':1'], stored);
  }
});

test('values are bytes: any survive the way through JSON, and lengths are theirs', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const json = jsonOfBytes(bytes);
      assert.deepEqual(bytesOfJson(json), Buffer.from(bytes));
      assert.equal(lengthOfJson(json), bytes.length);
      assert.equal(JSON.stringify(JSON.parse(json)), json);
    }),
    seeded(500),
  );
  for (const json of [
    '{"$bytes":"not base64"}',
    '{"$bytes":"QQ"}',
    '{"$bytes":"QQ==","more":1}',
    'true',
    '{"$bytes":1}',
  ])
    assert.equal(bytesOfJson(json).toString(), json);
});

test('a value too large is refused, whatever made it so, and stays as it is', () => {
  const core = new CoreUnderTest({ limits: { value_bytes_max: 100 } });
  const large = JSON.stringify('x'.repeat(98));
  assert.deepEqual(ask(core, put(JSON.stringify('x'.repeat(99))), put(large)), ['!too_large', '']);
  const results = ask(
    core,
    { kind: 'append', key, value: '"x"' },
    { kind: 'setRange', key, offset: 98, value: '"x"' },
    { kind: 'setRange', key, offset: 2 ** 40, value: '"x"' },
    { kind: 'setBit', key, offset: 800, bit: 1 },
    { kind: 'setBit', key, offset: 2 ** 32, bit: 1 },
    // Zeros take six characters of JSON each.
    { kind: 'setRange', key: 'zeros', offset: 50, value: '"x"' },
    get,
  );
  assert.deepEqual(results, [...Array.from({ length: 6 }, () => '!too_large'), large]);
});

test('a batch that takes apart and puts together too much fails as a whole, and soon', () => {
  const core = new CoreUnderTest();
  ask(core, put(JSON.stringify('x'.repeat(1_000_000))));
  for (const op of [
    { kind: 'append', key, value: '"x"' },
    { kind: 'length', key },
    { kind: 'range', key, start: 0, end: 0 },
    { kind: 'setRange', key, offset: 0, value: '"x"' },
    { kind: 'getBit', key, offset: 0 },
    { kind: 'setBit', key, offset: 0, bit: 1 },
    { kind: 'delete', key, condition: { kind: 'eq', value: '"x"' } },
    { kind: 'set', key, value: '"x"', condition: { kind: 'eq', value: '"x"' } },
  ] as const satisfies StringOp[]) {
    const before = core.records.length;
    const { reply } = core.ask(opsOf(...Array.from({ length: 1000 }, () => op)));
    assert.equal(reply!.outcome, 'too_large', op.kind);
    assert.equal(core.records.length, before, op.kind);
  }
});

test('a reply of more than a reply may have fails the batch before it writes', () => {
  const core = new CoreUnderTest();
  ask(core, put(JSON.stringify('x'.repeat(1_000_000))));
  const before = core.records.length;
  const gets = Array.from({ length: 17 }, () => get);
  assert.equal(core.ask(opsOf(...gets, { kind: 'add', key: 'n', n: 1 })).reply!.outcome, 'too_large');
  assert.equal(core.records.length, before);
});

test('numbers: exact within 2^53, an error beyond, doubles without an exponent', () => {
  const core = new CoreUnderTest();
  const add = (value: string, n: number): string => ask(core, put(value), { kind: 'add', key, n })[1]!;
  assert.equal(add('"9007199254740990"', 1), ':9007199254740991');
  assert.equal(add('"9007199254740991"', 1), '!overflow');
  assert.equal(add('"-9007199254740991"', -1), '!overflow');
  assert.equal(add('"9223372036854775807"', 0), '!overflow');
  assert.equal(add('"9223372036854775808"', 0), '!not_integer');
  for (const text of ['', ' 1', '1 ', '01', '+1', '-0', '1.0', '1e3', '0x10', 'true', '１'])
    assert.equal(add(JSON.stringify(text), 1), '!not_integer', text);
  const double = (value: string, n: number): string => ask(core, put(value), { kind: 'addFloat', key, n })[1]!;
  assert.equal(double('"3.0e3"', 200), '"3200"');
  assert.equal(double('"1"', 1e-9), '"1.000000001"');
  assert.equal(double('"0"', 1e-9), '"0.000000001"');
  assert.equal(double('"0"', -1e-30), '"0"');
  assert.equal(double('"0"', 1e22), '"10000000000000000000000"');
  assert.equal(double('5', 2 ** 60), '"1152921504606846976"');
  assert.equal(double('"1e308"', 1e308), '!not_finite');
  assert.equal(double('"1"', 1e308), '"' + BigInt(1e308).toString() + '"');
  for (const text of ['', 'nan', 'inf', '-inf', ' 1', '1 ', '1,5', '.', 'e5', '1e999'])
    assert.equal(double(JSON.stringify(text), 1), '!not_float', text);
});

test('a time to live that is over deletes the key at once; one that cannot be stored is an error', () => {
  const core = new CoreUnderTest();
  for (const till of [
    { kind: 'in', ms: 0 },
    { kind: 'in', ms: -1 },
    { kind: 'at', ms: 0 },
    { kind: 'at', ms: core.now },
  ] as const) {
    assert.deepEqual(ask(core, put('1'), { kind: 'set', key, value: '2', till }, get), ['', '', '_']);
    assert.deepEqual(ask(core, put('1'), { kind: 'expire', key, till }, get), ['', ':1', '_']);
  }
  const till = { kind: 'at', ms: 2 ** 48 } as const;
  assert.deepEqual(ask(core, put('1'), { kind: 'set', key, value: '2', till }, { kind: 'expire', key, till }, get), [
    '',
    '!bad_till',
    '!bad_till',
    '1',
  ]);
  assert.deepEqual(ask(core, { kind: 'expire', key, till: { kind: 'at', ms: 2 ** 48 - 1 } }), [':1']);
  assert.equal(core.entries.get(kinds.kv, acme, key)!.till, 2 ** 48 - 1);
});

test('a stored reply is answered in the form of the door that asks, and not taken for another', () => {
  const core = new CoreUnderTest();
  const replay = once('i', { mode: 'replay' });
  const first = { ...opsOf({ kind: 'add', key, n: 1 }, get), ...replay };
  assert.equal(core.ask(first).reply!.body, opsBody([':1', '"1"']));
  const again = core.ask(first).reply!;
  assert.deepEqual([again.body, again.replayed], [opsBody([':1', '"1"']), true]);
  assert.deepEqual(ask(core, get), ['"1"']);
  // Over HTTP the payload is another; a duplicate is told what was answered, as JSON.
  const other = core.ask(batch({ set: [{ key, value: '1' }], ...once('i', { fingerprint: 'g', mode: 'replay' }) }));
  assert.equal(other.code, 'idempotency_mismatch');
  const refused = core.ask(batch({ set: [{ key, value: '1' }], ...once('i') })).body;
  assert.deepEqual((refused['Response'] as { Ops: string[] }).Ops, [':1', '"1"']);
  assert.deepEqual(core.ask({ ...first, format: 'batch' }).body['Ops'], [':1', '"1"']);
});

test('a reply that a door of HTTP stored in version 1 is never one of operations', () => {
  const core = new CoreUnderTest();
  const value = JSON.stringify({ fingerprint: 'f', status: 200, body: '{"Rev":1}', rev: 1 });
  core.entries.put(kinds.idempotency, acme, 'i', { rev: core.revisions.next(), till: core.now + 1000, value });
  const { reply } = core.ask({ ...opsOf(get), ...once('i', { mode: 'replay' }) });
  assert.equal(reply!.outcome, 'idempotency_mismatch');
});

test('results in the format ops come apart as they were put together', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('', '_', ':5', '3:4', '!too_large')), { minLength: 1 }),
      (all) => {
        assert.deepEqual(resultsIn(opsBody(all), all.length), all);
      },
    ),
    seeded(300),
  );
  assert.equal(errorIn('!bad_till'), 'bad_till');
  assert.equal(errorIn('"!"'), undefined);
});

test('any operations on any values answer as Redis would, and leave what it would', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(fc.record({ ops: fc.array(anyOp, { minLength: 1, maxLength: 6 }), wait: waits })), (turns) => {
      const core = new CoreUnderTest();
      const comparison = new Comparison(startOfTime);
      turns.forEach(({ ops, wait }, ref) => {
        const command = batch({ ops });
        const { reply } = core.ask(command);
        comparison.step([{ ref, reply: reply! }], () => comparison.model.submit(ref, command));
        if (replyStatus(reply!) === 200) noteResults(seen, ops, reply!.body);
        const till = core.now + wait;
        for (let at = comparison.model.nextEnd(); at <= till; at = comparison.model.nextEnd()) {
          core.advance(at - core.now);
          comparison.model.passTo(at);
        }
        core.advance(till - core.now);
        comparison.model.passTo(till);
      });
    }),
    seeded(1500),
  );
  const kindsOfResult =
    'get:value get:nil set:done set:nil set:value delete:integer delete:value delete:nil add:integer add:error addFloat:value addFloat:error range:value ttl:integer expire:integer expire:error setBit:integer';
  assert.deepEqual(
    kindsOfResult.split(' ').filter((what) => !seen.has(what)),
    [],
  );
});

function noteResults(seen: Set<string>, ops: readonly StringOp[], body: string): void {
  const { Ops } = JSON.parse(body) as { Ops: string[] };
  const names: Record<string, string> = { '': 'done', _: 'nil', ':': 'integer', '!': 'error' };
  ops.forEach((op, i) => seen.add(`${op.kind}:${names[Ops[i]!.slice(0, 1)] ?? 'value'}`));
}

const waits = fc.constantFrom(0, 0, 1, 500, 1500);
const keys = fc.constantFrom('a', 'b', 'ключ');
const values = fc.oneof(
  fc.constantFrom('"5"', '5', '"x"', '""', '"-3.5e2"', '1.5', 'true', '[1,"ж"]', '"😀"', '{"$bytes":"/w=="}'),
  fc.constantFrom(
    '{"$bytes":"4A=="}',
    '{"$bytes":"no"}',
    '"9007199254740991"',
    '"9223372036854775807"',
    '9007199254740991',
  ),
  fc.uint8Array({ maxLength: 8 }).map(jsonOfBytes),
);
const ms = fc.oneof(fc.constantFrom(1, 500, 1000, 1001, 100_000), fc.constantFrom(0, -1, 2 ** 48, 2 ** 52));
const till = fc.oneof(
  fc.record({ kind: fc.constant('in' as const), ms }),
  fc.record({ kind: fc.constant('at' as const), ms: ms.map((value) => (value > 0 ? startOfTime + value : value)) }),
);
const expireTill: fc.Arbitrary<ExpireTill> = fc.oneof(till, fc.record({ kind: fc.constant('later' as const), ms }));
const setTill: fc.Arbitrary<SetTill> = fc.oneof(
  till,
  fc.record({ kind: fc.constantFrom('clear' as const, 'keep' as const) }),
);
const valueCondition: fc.Arbitrary<ValueCondition> = fc.record({
  kind: fc.constantFrom('eq' as const, 'ne' as const),
  value: values,
});
const setCondition: fc.Arbitrary<SetCondition> = fc.oneof(
  fc.record({ kind: fc.constantFrom('nx' as const, 'xx' as const) }),
  valueCondition,
);
const when = fc.constantFrom<ExpireCondition>('nx', 'xx', 'gt', 'lt', 'xxlt');
const old = fc.constant(true as const);
const place = fc.integer({ min: -6, max: 6 });
const offset = fc.integer({ min: 0, max: 70 });

const anyOp: fc.Arbitrary<StringOp> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('get' as const, 'persist' as const, 'length' as const, 'exists' as const, 'version' as const),
    key: keys,
  }),
  fc.record(
    { kind: fc.constant('set' as const), key: keys, value: values, condition: setCondition, till: setTill, old },
    { requiredKeys: ['kind', 'key', 'value'] },
  ),
  fc.record({ kind: fc.constant('set' as const), key: keys, value: values }),
  fc.record(
    { kind: fc.constant('delete' as const), key: keys, condition: valueCondition, old },
    { requiredKeys: ['kind', 'key'] },
  ),
  fc.record(
    { kind: fc.constant('expire' as const), key: keys, till: expireTill, when, condition: valueCondition },
    { requiredKeys: ['kind', 'key', 'till'] },
  ),
  fc.record({
    kind: fc.constant('add' as const),
    key: keys,
    n: fc.oneof(place, fc.constantFrom(Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER)),
  }),
  fc.record({
    kind: fc.constant('addFloat' as const),
    key: keys,
    n: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0.5, -1.25, 1e17, 1e-18)),
  }),
  fc.record({ kind: fc.constant('append' as const), key: keys, value: values }),
  fc.record({ kind: fc.constant('setRange' as const), key: keys, offset: fc.nat(12), value: values }),
  fc.record({ kind: fc.constant('range' as const), key: keys, start: place, end: place }),
  fc.record({ kind: fc.constant('ttl' as const), key: keys, at: old }, { requiredKeys: ['kind', 'key'] }),
  fc.record({ kind: fc.constant('getBit' as const), key: keys, offset }),
  fc.record({ kind: fc.constant('setBit' as const), key: keys, offset, bit: fc.constantFrom(0 as const, 1 as const) }),
);
