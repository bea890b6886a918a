import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import { encodeLockRecord } from '../../../src/shard-worker/core/state/lock-record.ts';
import type { LockRecord } from '../../../src/shard-worker/core/state/lease.ts';
import { ParsedLocks } from '../../../src/shard-worker/core/state/parsed-locks.ts';
import { acme, lock, unlock } from '../../support/commands.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';

const other = accountId('other');

function heldSince(since: number, meta?: string): LockRecord {
  const lease = { fence: 5, since, durMs: 1, ...(meta === undefined ? {} : { meta }) };
  return { mode: 'exclusive', limit: 1, holders: [lease], ended: [] };
}

function write(parsed: ParsedLocks, rev: number, key: string, record: LockRecord) {
  const value = encodeLockRecord(record);
  parsed.made(value, record);
  parsed.keep(revision(rev), acme, { key, value });
  return { rev: revision(rev), till: 1, value };
}

test('parsed locks: the record that a commit wrote is not parsed again', () => {
  const parsed = new ParsedLocks();
  const record = heldSince(1);
  assert.equal(parsed.of(acme, 'l', write(parsed, 1, 'l', record)), record);
});

test('parsed locks: the record of an older revision, another lock or another account is not taken for it', () => {
  const parsed = new ParsedLocks();
  write(parsed, 1, 'l', heldSince(1));
  const value = encodeLockRecord(heldSince(2));
  // Revisions whose low bits are alike.
  for (const rev of [1 + 2 ** 12, 1 + 2 ** 20, 2]) {
    assert.deepEqual(parsed.of(acme, 'l', { rev: revision(rev), till: 1, value }), heldSince(2));
  }
  assert.deepEqual(parsed.of(acme, 'm', { rev: revision(1), till: 1, value }), heldSince(2));
  assert.deepEqual(parsed.of(other, 'l', { rev: revision(1), till: 1, value }), heldSince(2));
});

test('parsed locks: a text that nothing was made of, or a long one, is parsed', () => {
  const parsed = new ParsedLocks();
  const made = heldSince(1);
  parsed.made(encodeLockRecord(made), made);
  const value = encodeLockRecord(heldSince(2));
  parsed.keep(revision(1), acme, { key: 'l', value });
  assert.deepEqual(parsed.of(acme, 'l', { rev: revision(1), till: 1, value }), heldSince(2));
  const long = heldSince(3, JSON.stringify('m'.repeat(2000)));
  const entry = write(parsed, 1, 'l', long);
  assert.notEqual(parsed.of(acme, 'l', entry), long);
  assert.deepEqual(parsed.of(acme, 'l', entry), long);
});

test('parsed locks: one that is given back and one that is taken in the same commit keep what is theirs', () => {
  const core = new CoreUnderTest();
  const first = core.ok(lock('a', { owner: 'o' }));
  const moved = core.ok({ ...lock('b', { owner: 'p' }), ...unlockOf('a', first.Lock) });
  assert.equal(core.ask(lock('b')).code, 'not_locked');
  assert.equal(core.ask(unlock('b', { fence: first.Lock })).code, 'lock_lost');
  core.ok(unlock('a', { fence: first.Lock }));
  core.ok(unlock('b', { fence: moved.Lock }));
  assert.equal(core.ask(unlock('a', { fence: moved.Lock })).code, 'lock_lost');
});

function unlockOf(id: string, fence: number) {
  return { unlock: { id, fence } };
}
