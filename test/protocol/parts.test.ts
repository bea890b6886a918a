/** A thing and its parts, entries under `name NUL letter rest`, are one to shards, footprints and holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FootprintSet, nameOf } from '../../src/protocol/footprint.ts';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { ownerOf } from '../../src/protocol/partition.ts';
import { kinds } from '../../src/protocol/record.ts';
import { acme, set } from '../support/commands.ts';
import { CoreUnderTest } from '../support/core-under-test.ts';

const account = fc.stringMatching(/^[A-Za-z0-9._-]{0,64}$/).map(accountId);
const name = fc
  .oneof(fc.constantFrom('a', 'ab', 'a/', '\u{1F600}', '\uE000'), fc.string({ unit: 'binary', maxLength: 40 }))
  .map((text) => text.replaceAll('\0', ''));
const rest = fc.oneof(fc.constantFrom('', 'm', 'g\0\0', '\0'), fc.string({ unit: 'binary', maxLength: 40 }));
const shards = fc.integer({ min: 1, max: 256 });

test('parts: they are on the shard of their thing, for every number of shards', () => {
  fc.assert(
    fc.property(account, name, rest, shards, (account, name, rest, shards) => {
      assert.equal(ownerOf(account, `${name}\0${rest}`, shards), ownerOf(account, name, shards));
    }),
  );
});

test('parts: keys without NUL are on the shards where they have always been', () => {
  for (const [account, key, of8, of256] of [
    ['demo', 'ABC', 6, 46],
    ['demo', 'app/config', 0, 200],
    ['shop', 'größe', 7, 175],
    ['', 'boot', 5, 61],
    ['a', 'a', 3, 51],
    ['z'.repeat(64), 'k'.repeat(512), 6, 206],
    ['acme', 'order:4711', 0, 16],
    ['acme', '\u{1F600}', 4, 124],
  ] as const) {
    const owners = [8, 256].map((shards) => ownerOf(accountId(account), key, shards));
    assert.deepEqual(owners, [of8, of256], `${account}/${key}`);
  }
});

test('parts: a footprint conflicts with a part exactly when it conflicts with the thing', () => {
  fc.assert(
    fc.property(account, name, name, rest, fc.boolean(), (account, held, asked, rest, isPrefix) => {
      const part = nameOf(account, `${held}\0${rest}`);
      const holds = new FootprintSet();
      holds.add({ names: [part] });
      const other = nameOf(account, asked);
      const footprint = isPrefix ? { names: [], prefix: other } : { names: [other] };
      assert.equal(holds.conflicts(footprint), isPrefix ? held.startsWith(asked) : held === asked);

      const others = new FootprintSet();
      others.add(footprint);
      assert.equal(others.conflicts({ names: [part] }), holds.conflicts(footprint));
    }),
  );
});

test('parts: a list of prefix "a" conflicts with a hold on a part of "ab", one of "ab/" does not', () => {
  const holds = new FootprintSet();
  holds.add({ names: [nameOf(acme, 'ab\0x')] });
  const conflicts = (prefix: string): boolean => holds.conflicts({ names: [], prefix: nameOf(acme, prefix) });
  assert.deepEqual(['', 'a', 'ab', 'ab/', 'b'].map(conflicts), [true, true, true, false, false]);
  assert.equal(holds.conflicts({ names: [nameOf(accountId('other'), 'ab')] }), false);
});

test('parts: while a transaction holds their thing they do not expire, and afterwards they do', () => {
  const core = new CoreUnderTest();
  const part = 'held\0x1';
  core.entries.put(kinds.kv, acme, part, { rev: revision(1), till: core.now + 10, value: '1' });
  core.entries.put(kinds.kv, acme, 'heldless\0x1', { rev: revision(1), till: core.now + 10, value: '1' });
  core.send({ kind: 'transaction.prepare', id: 900, transaction: 't', command: set('held', 1) });
  core.jump(11);
  core.turn();
  assert.ok(core.entries.get(kinds.kv, acme, part) !== undefined);
  assert.equal(core.entries.get(kinds.kv, acme, 'heldless\0x1'), undefined);
  core.send({ kind: 'transaction.release', transaction: 't', account: acme });
  core.turn();
  assert.equal(core.entries.get(kinds.kv, acme, part), undefined);
});
