import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerMax } from '../../../src/shared/limits.ts';
import { CoreUnderTest, type Body } from '../../support/core-under-test.ts';
import { batch, inspect, lock, next, once, set } from '../../support/commands.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

/** Makes a state in which every condition can fail. Returns the fences for that. */
function prepared(): { core: CoreUnderTest; held: Body; lost: Body } {
  const core = new CoreUnderTest();
  const lost = core.ok(lock('lost', { durMs: 1000 }));
  core.advance(1000);
  const held = core.ok(lock('held', { durMs: 60_000 }));
  core.ok(lock('busy', { durMs: 60_000 }));
  core.ok(set('k', 1));
  core.ok(set('gone', 1));
  core.ok(next('full', integerMax));
  core.ok(batch({ counter: [{ key: 'full', op: 'set', n: integerMax }] }));
  core.ok(batch({ ...once('used'), counter: [{ key: 'c', op: 'set', n: 7 }] }));
  return { core, held, lost };
}

/** Effects of every kind. */
function effects(held: number): Partial<Batch> {
  return {
    lock: { id: 'new', durMs: 1000, waitMs: 0, owner: 'o', meta: '1' },
    unlock: { id: 'held', fence: held },
    ...once('unused'),
    counter: [
      { key: 'c', op: 'add', n: 1 },
      { key: 'd', op: 'max', n: 1 },
    ],
    sequence: { key: 's', op: 'next', n: 3 },
    get: ['k'],
    set: [{ key: 'k', value: '2' }, { key: 'new', value: '2', ttlMs: 1000 }, { key: 'gone' }],
  };
}

type Failing = [what: string, code: string, change: (all: Partial<Batch>, held: Body, lost: Body) => Partial<Batch>];

const failing: Failing[] = [
  ['a busy lock', 'not_locked', (all) => ({ ...all, lock: { ...all.lock!, id: 'busy' } })],
  [
    'an extension of a lost lock',
    'lock_lost',
    (all, _, lost) => ({ ...all, lock: { ...all.lock!, id: 'lost', extend: lost.Lock } }),
  ],
  [
    'an extension with a wrong fence',
    'lock_lost',
    (all, held) => ({ ...all, lock: { ...all.lock!, id: 'busy', extend: held.Lock } }),
  ],
  ['an unlock that was lost', 'lock_lost', (all, _, lost) => ({ ...all, unlock: { id: 'lost', fence: lost.Lock } })],
  [
    'an unlock with a wrong fence',
    'lock_lost',
    (all, held) => ({ ...all, unlock: { id: 'held', fence: held.Lock + 1 } }),
  ],
  ['an unlock by a wrong owner', 'lock_lost', (all) => ({ ...all, unlock: { id: 'held', owner: 'nobody' } })],
  ['a guard that was lost', 'lock_lost', (all, _, lost) => ({ ...all, guard: [{ id: 'lost', fence: lost.Lock }] })],
  ['a check', 'version_mismatch', (all) => ({ ...all, check: [{ key: 'k', version: 1 }] })],
  ['a check for absence', 'version_mismatch', (all) => ({ ...all, check: [{ key: 'k', version: 0 }] })],
  ['a check of existence', 'precondition_failed', (all) => ({ ...all, check: [{ key: 'k', exists: false }] })],
  [
    'a version of a set',
    'version_mismatch',
    (all) => ({ ...all, set: [...all.set!, { key: 'k', value: '3', version: 1 }] }),
  ],
  ['a version of a delete', 'version_mismatch', (all) => ({ ...all, set: [...all.set!, { key: 'none', version: 1 }] })],
  [
    'IfEq',
    'precondition_failed',
    (all) => ({ ...all, counter: [...all.counter!, { key: 'd', op: 'set', n: 1, ifEq: 9 }] }),
  ],
  [
    'overflow of a counter',
    'overflow',
    (all) => ({ ...all, counter: [...all.counter!, { key: 'full', op: 'add', n: 1 }] }),
  ],
  [
    'a floor',
    'out_of_bounds',
    (all) => ({ ...all, counter: [...all.counter!, { key: 'c', op: 'add', n: -9, floor: 0 }] }),
  ],
  ['overflow of a sequence', 'overflow', (all) => ({ ...all, sequence: { key: 'full', op: 'next', n: 1 } })],
  ['a used idempotency id', 'duplicate_request', (all) => ({ ...all, ...once(['unused', 'used']) })],
  [
    'another payload',
    'idempotency_mismatch',
    (all) => ({ ...all, ...once('used', { mode: 'replay', fingerprint: 'g' }) }),
  ],
  ['a reply that would be too large', 'too_large', (all) => ({ ...all, replyBytesMax: 0 })],
];

for (const [what, code, change] of failing) {
  test(`everything or nothing: ${what} among effects of every kind changes nothing and takes no revision`, () => {
    const { core, held, lost } = prepared();
    const digest = core.digest();
    const events = core.events.length;
    core.state.watched.add('acme\0k', 0);
    const answer = core.ask(batch(change(effects(held.Lock), held, lost)));
    assert.equal(answer.code, code);
    assert.equal(core.digest(), digest);
    assert.equal(core.events.length, events);
    assert.equal(core.ok(inspect('held', held.Lock))['Locked'], true);
    assert.equal(core.state.inProgress.size, 0);
  });
}

test('everything or nothing: the same effects without a failing condition are one commit with all of them', () => {
  const { core, held } = prepared();
  const before = core.records.length;
  const body = core.ok(batch(effects(held.Lock)));
  assert.equal(core.records.length, before + 1);
  assert.deepEqual(
    core.records
      .at(-1)!
      .effects.map(({ kind, key }) => `${String.fromCharCode(kind)} ${key}`)
      .toSorted(),
    ['c c', 'c d', 'i unused', 'k gone', 'k k', 'k new', 'l held', 'l new', 's s'],
  );
  assert.equal(body.Lock, body.Rev);
});

test('everything or nothing: every condition that fails is listed, under the code of the first', () => {
  const { core, lost } = prepared();
  const answer = core.ask(
    batch({
      guard: [
        { id: 'lost', fence: lost.Lock },
        { id: 'never', fence: 5 },
      ],
      unlock: { id: 'busy', fence: 1 },
      check: [
        { key: 'k', version: 0 },
        { key: 'none', exists: true },
      ],
      set: [{ key: 'none', value: '1', version: 5 }],
      counter: [
        { key: 'c', op: 'set', n: 1, ifEq: 1 },
        { key: 'full', op: 'add', n: 1 },
        { key: 'd', op: 'add', n: -1, floor: 0 },
      ],
      sequence: { key: 'full', op: 'next', n: 1 },
    }),
  );
  assert.equal(answer.code, 'lock_lost');
  assert.deepEqual(
    answer.body.Failed.map(({ Field, Code }) => `${Field} ${Code}`),
    [
      'Guard[0] lock_lost',
      'Guard[1] lock_lost',
      'Unlock lock_lost',
      'Check[0] version_mismatch',
      'Check[1] precondition_failed',
      'KVSet[0] version_mismatch',
      'Atomic[0] precondition_failed',
      'Atomic[1] overflow',
      'Atomic[2] out_of_bounds',
      'n overflow',
    ],
  );
});

test('everything or nothing: a waiting batch whose condition fails at last leaves nothing behind either', () => {
  const { core, held } = prepared();
  const waiting = core.ask(
    batch({
      ...effects(held.Lock),
      lock: { id: 'busy', durMs: 1000, waitMs: 120_000 },
      unlock: { id: 'lost', fence: 3 },
    }),
  );
  core.advance(59_999);
  const before = core.records.length;
  core.advance(1);
  assert.equal(waiting.code, 'lock_lost');
  // One commit, with only the two leases that ended with this millisecond.
  assert.equal(core.records.length, before + 1);
});
