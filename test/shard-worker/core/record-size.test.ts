/** The record of a commit is bounded in bytes before it takes a revision, whatever a batch consists of. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import { RecordWriter, type CommitRecord } from '../../../src/protocol/record.ts';
import { pointedIdOf } from '../../../src/protocol/stored-reply-pointer.ts';
import { recordBytesMax, segmentBytesMin } from '../../../src/shared/limits.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { batch, get, inspect, lock, once, set, unlock } from '../../support/commands.ts';
import { keyOn, RouterUnderTest } from '../../support/router-under-test.ts';
import { seededRandom, type SeededRandom } from '../../support/seeded-random.ts';

/** A character that JSON writes as six. */
const hostile = '\u0001';

function bytesOf(record: CommitRecord): number {
  const writer = new RecordWriter();
  writer.append(record);
  return writer.byteLength;
}

describe('the record of a commit', () => {
  test('stays within its limit; a batch that is refused for it takes no revision', () => {
    const core = new CoreUnderTest({ recordBytesMax: 10_000 });
    core.ok(set('k', 'x'.repeat(9_900)));
    const digest = core.digest();
    const refused = core.ask(set('k', 'x'.repeat(10_000)));
    assert.deepEqual([refused.status, refused.code], [413, 'too_large']);
    assert.match(refused.body.Message, /^batch: The batch would write a record of \d+ bytes.*at most 10000 .*segment/);
    assert.equal(core.digest(), digest);
  });

  test('one byte a character and three bytes a character are told apart', () => {
    const core = new CoreUnderTest({ recordBytesMax: 10_000 });
    core.ok(set('ascii', 'x'.repeat(9_500)));
    assert.equal(core.ask(set('euro', '€'.repeat(4_000))).code, 'too_large');
    core.ok(set('euro', '€'.repeat(3_000)));
  });

  test('many keys, values, counters, stored replies and lock records: fits, or is refused without a trace', () => {
    let committed = 0;
    let refused = 0;
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = seededRandom(seed);
      const most = 2_000 + random.below(120_000);
      const core = new CoreUnderTest({ recordBytesMax: most });
      for (let i = 0; i < 6; i += 1) {
        const before = core.records.length;
        const revision = core.revisions.current();
        const asked = core.ask(randomBatch(random, i));
        for (const record of core.records.slice(before)) assert.ok(bytesOf(record) <= most, `seed ${seed}`);
        if (asked.code === 'too_large') {
          refused += 1;
          assert.equal(core.revisions.current(), revision, `seed ${seed}`);
        } else if (core.records.length > before) committed += 1;
      }
    }
    assert.ok(committed > 150 && refused > 150, `${committed} committed, ${refused} refused`);
  });

  test('a batch that waited for its lock is refused too; the lock stays free for the next', () => {
    const core = new CoreUnderTest({ recordBytesMax: 10_000 });
    const { Lock } = core.ok(lock('l'));
    const large = core.ask(lock('l', { waitMs: 1000 }, { set: [{ key: 'k', value: `"${'x'.repeat(20_000)}"` }] }));
    const next = core.ask(lock('l', { waitMs: 1000 }));
    core.ok(unlock('l', { fence: Lock }));
    assert.deepEqual([large.code, next.code], ['too_large', 'ok']);
    core.ok(unlock('l', { fence: next.body.Lock }));
    assert.equal(core.ok(inspect('l'))['Locked'], false);
  });

  test('a batch over several shards is one record: refused as a whole', async () => {
    const shards = 3;
    const keys = [0, 1, 2].map((shard) => keyOn(shard, shards));
    const server = new RouterUnderTest({ shards, recordBytesMax: 10_000 });
    const sets = (bytes: number): Batch =>
      batch({ set: keys.map((key) => ({ key, value: `"${'x'.repeat(bytes)}"` })) });
    assert.equal((await server.ask(sets(4_000))).code, 'too_large');
    assert.equal(server.records.length, 0);
    assert.deepEqual(server.leftovers(), {});
    await server.ok(sets(3_000));
    assert.deepEqual(
      (await server.ok(get(...keys))).KV.map(({ Value }) => (Value as string).length),
      [3_000, 3_000, 3_000],
    );
  });

  test('the reply counts once, however many ids store it', () => {
    const core = new CoreUnderTest({ recordBytesMax: 100_000 });
    core.ok(set('large', 'x'.repeat(50_000)));
    const ids = Array.from({ length: 32 }, (_, i) => `id-${i}`);
    const body = core.ok(batch({ ...once(ids), ...get('large'), counter: [{ key: 'c', op: 'add', n: 1 }] }));
    const [, record] = core.records;
    assert.ok(bytesOf(record!) < 60_000);
    const stored = record!.effects.filter(({ value = '' }) => value.includes('xxx'));
    assert.deepEqual(
      stored.map(({ key }) => key),
      ['id-0'],
    );
    for (const id of ids) {
      const again = core.ask(batch({ ...once(id, { mode: 'replay' }), ...get('large') }));
      assert.deepEqual([again.reply!.replayed, again.body], [true, body]);
    }
  });

  test('what ends in one turn is cut into records that fit half of the smallest segment', () => {
    const most = recordBytesMax(segmentBytesMin);
    const core = new CoreUnderTest({ recordBytesMax: most });
    const meta = `"${'\\"'.repeat(511)}"`;
    for (let n = 0; n < 9; n += 1) {
      for (let i = 0; i < 60; i += 1)
        core.ok(lock(`${i}`.padEnd(512, hostile), { owner: `${n}`.padEnd(512, hostile), meta, durMs: 1000 }));
      core.advance(1000);
    }
    for (let i = 0; i < 2_000; i += 1) core.ok(set(`${i}`.padEnd(512, hostile), 1, { ttlMs: 1000 }));
    core.advance(1000);
    const expired = core.records.filter(({ effects }) => effects.some((effect) => effect.expired));
    assert.ok(expired.length > 1);
    assert.ok(Math.max(...core.records.map(bytesOf)) > most / 8, 'the test reaches large records');
    for (const record of core.records) assert.ok(bytesOf(record) <= most);
  });
});

describe('one reply for several ids', () => {
  const add = { counter: [{ key: 'c', op: 'add', n: 1 }] } as const;

  test('an id whose reply is of another commit has outlived it, and is unused', () => {
    const core = new CoreUnderTest();
    core.ok(batch({ ...once(['a', 'b'], { ttlMs: 1000 }), ...add }));
    const [, pointer] = core.records[0]!.effects.filter(({ kind }) => kind === 0x69);
    assert.equal(pointedIdOf(pointer!.value!), 'a');
    core.advance(1000);
    core.ok(batch({ ...once('a'), ...add }));
    // As after a start with a wall clock that was set back: the pointer is there again.
    core.entries.put(0x69, core.records[0]!.account, 'b', {
      rev: core.records[0]!.rev,
      till: core.now + 1000,
      value: pointer!.value!,
    });
    core.ok(batch({ ...once('b'), ...add }));
    assert.equal(core.ok(batch({ counter: [{ key: 'c', op: 'get', n: 0 }] })).Atomic[0]!.Value, 3);
  });

  test('an array gets no stored reply that is larger than its share', () => {
    const core = new CoreUnderTest();
    core.ok(set('large', 'x'.repeat(50_000)));
    core.ok(batch({ ...once('id'), ...get('large'), ...add }));
    const again = (replyBytesMax: number) => core.ask(batch({ ...once('id'), ...add, replyBytesMax }));
    assert.deepEqual([again(10_000).code, again(100_000).code], ['too_large', 'duplicate_request']);
  });
});

function randomBatch(random: SeededRandom, i: number): Batch {
  const key = (n: number): string => `${n}`.padEnd(1 + random.below(512), random.below(2) === 0 ? hostile : 'k');
  const text = (max: number): string => [hostile, '€', 'x', '"', '𐀀'][random.below(5)]!.repeat(random.below(max));
  const sets = Array.from({ length: random.below(40) }, (_, n) => ({
    key: key(n),
    ...(random.below(4) === 0 ? {} : { value: JSON.stringify(text(600)) }),
  }));
  const counters = Array.from({ length: random.below(20) }, (_, n) => ({ key: key(n), op: 'add', n: 1 }) as const);
  const ids = Array.from({ length: random.below(33) }, (_, n) => `${i}-${n}`.padEnd(1 + random.below(500), hostile));
  const owner = `o${i}`.padEnd(1 + random.below(500), hostile);
  return batch({
    set: sets,
    counter: counters,
    get: sets.map(({ key: name }) => name).slice(0, random.below(10)),
    ...(random.below(2) === 0
      ? { lock: { id: `l${i}`, durMs: 10_000, waitMs: 0, owner, meta: JSON.stringify(text(150)) } }
      : {}),
    ...(ids.length === 0 ? {} : once(ids)),
  });
}
