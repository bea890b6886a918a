import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvariantError } from '../../../src/shared/assert.ts';
import { decodeLockRecord, encodeLockRecord, fillFence } from '../../../src/shard-worker/core/state/lock-record.ts';
import type { LockRecord } from '../../../src/shard-worker/core/state/lease.ts';

const held: LockRecord = {
  mode: 'exclusive',
  limit: 1,
  holders: [{ fence: 7, owner: 'o"1', meta: '{"a":[1]}', since: 1000, durMs: 30_000 }],
  ended: [
    { fence: 5, why: 'expired', owner: 'o', meta: '"m"', at: 900 },
    { fence: 3, why: 'released', at: 800 },
  ],
};

describe('lock records', () => {
  test('are read as they were written', () => {
    for (const record of [held, { ...held, holders: [] }, { ...held, ended: [] }]) {
      assert.deepEqual(decodeLockRecord(encodeLockRecord(record)), record);
    }
  });

  test('say their version, their mode and their limit first', () => {
    assert.equal(
      encodeLockRecord(held),
      '[3,"x",1,1,7,1000,30000,"o\\"1","{\\"a\\":[1]}",5,1,900,"o","\\"m\\"",2,0,100,0,0]',
    );
  });

  test('of a grant get the fence that its commit fills in', () => {
    const [lease] = held.holders;
    const open = encodeLockRecord({ ...held, holders: [{ ...lease!, fence: 0 }] });
    assert.deepEqual(decodeLockRecord(fillFence(open, 42)), { ...held, holders: [{ ...lease!, fence: 42 }] });
    assert.throws(() => fillFence(encodeLockRecord(held), 42), InvariantError);
  });

  test('of version 2 are still read, held and free', () => {
    const ended = '[[5,"expired",900,"o","\\"m\\""],[3,"released",800,null,null]]';
    assert.deepEqual(decodeLockRecord(`[2,"x",1,[[7,1000,30000,"o\\"1","{\\"a\\":[1]}"]],${ended}]`), held);
    assert.deepEqual(decodeLockRecord(`[2,"x",1,[],${ended}]`), { ...held, holders: [] });
    assert.deepEqual(decodeLockRecord('[2,"x",1,[],[]]'), { ...held, holders: [], ended: [] });
  });

  test('with endings in any order of times are read as they were written', () => {
    const ended = (['released', 'expired', 'forced', 'released'] as const).map((why, i) => ({
      fence: 2 ** 53 - 1 - i * 1000,
      why,
      at: [5, 9, 1, 1][i]! * 1e11,
      ...(i % 2 === 0 ? { owner: 'é'.repeat(i + 1) } : {}),
    }));
    assert.deepEqual(decodeLockRecord(encodeLockRecord({ ...held, ended })), { ...held, ended });
  });

  test('of locks that several hold come back as they were, among them the end of a shared lease', () => {
    const { ended } = held;
    const shared = [{ fence: 9, why: 'expired', owner: 'o', meta: '1', at: 950, shared: true } as const, ...ended];
    const permits = { mode: 'permits', limit: 5, count: 3, base: 8, ended: shared } as const;
    assert.deepEqual(decodeLockRecord(encodeLockRecord(permits)), permits);
    const readers = { mode: 'read', limit: 0, count: 1, base: 0, ended: [] } as const;
    assert.deepEqual(decodeLockRecord(encodeLockRecord(readers)), readers);
    assert.equal(encodeLockRecord(readers), '[3,"r",0,1,0]');
    assert.deepEqual(decodeLockRecord(encodeLockRecord({ ...held, ended: shared })), { ...held, ended: shared });
  });

  test('of version 1 are still read, held and free', () => {
    const ended =
      '[{"handle":5,"why":"expired","owner":"o","meta":"\\"m\\"","at":900},{"handle":3,"why":"released","at":800}]';
    const lease = '{"handle":7,"owner":"o\\"1","meta":"{\\"a\\":[1]}","since":1000,"durMs":30000}';
    assert.deepEqual(decodeLockRecord(`{"lease":${lease},"ended":${ended}}`), held);
    assert.deepEqual(decodeLockRecord(`{"ended":${ended}}`), { ...held, holders: [] });
  });

  test('of a later version, or of a mode that is not known, are refused', () => {
    assert.throws(() => decodeLockRecord('[4,"x",1,0]'), InvariantError);
    assert.throws(() => decodeLockRecord('[3,"y",4,0]'), InvariantError);
    assert.throws(() => decodeLockRecord('[3,"x",1,0,7,8,900,0,0]'), InvariantError);
    assert.throws(() => decodeLockRecord('[2,"r",4,[],[]]'), InvariantError);
  });
});
