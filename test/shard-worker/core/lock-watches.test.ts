import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';
import { acme, extend, lock, set, unlock } from '../../support/commands.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

function watch(version: number): Command {
  return { kind: 'watch.lock', account: acme, id: 'a', version };
}

interface Told {
  readonly Version: number;
  readonly Locked: boolean;
  readonly [member: string]: unknown;
}

/** Watches from this version, lets something happen, and returns what was told of it; undefined: nothing. */
function told(core: CoreUnderTest, version: number, happens: () => void): Told | undefined {
  assert.equal(core.ask(watch(version)).reply?.outcome, 'registered');
  const before = core.events.length;
  happens();
  assert.ok(core.events.length <= before + 1, 'at most once');
  const event = core.events[before]?.event;
  if (event === undefined) {
    core.send({ kind: 'unwatch', account: acme, keys: ['a'], lock: true });
    return undefined;
  }
  const state = JSON.parse(event.body) as Told;
  assert.equal(state.Version, event.version);
  assert.deepEqual(core.ok(watch(version)), state, 'who asks is told the same');
  return state;
}

describe('watching a lock', () => {
  test('tells of each grant and each end, with Meta and Since, and not of an extension', () => {
    const core = new CoreUnderTest();
    let fence = 0;
    const taken = told(core, 0, () => ({ Lock: fence } = core.ok(lock('a', { meta: '"m"', durMs: 1000 }))));
    assert.deepEqual(taken, { LockID: 'a', Version: 1, Locked: true, Meta: 'm', Since: startOfTime });
    assert.equal(
      told(core, 1, () => core.ok(extend('a', fence, 2000))),
      undefined,
    );
    const freed = told(core, 1, () => core.advance(2000));
    assert.deepEqual(freed, { LockID: 'a', Version: 2 * fence, Locked: false });
    const again = told(core, freed?.Version ?? 0, () => core.ok(lock('a')));
    assert.deepEqual([again!.Version, again!.Locked], [2 * fence + 1, true]);
    const forced = told(core, again!.Version, () => core.ok(unlock('a')));
    assert.ok(forced!.Version > again!.Version && !forced!.Locked);
  });

  test('never shows the fencing token of the holder, nor its owner', () => {
    const core = new CoreUnderTest();
    for (let round = 0; round < 3; round += 1) {
      core.ask(watch(core.ok(watch(99))['Version'] as number));
      const { Lock } = core.ok(lock('a', { owner: 'secret-owner' }));
      const texts = [core.events.at(-1)!.event.body, core.ask(watch(99)).reply!.body];
      for (const text of texts) {
        assert.ok(!text.includes('secret'), text);
        assert.ok(!Object.values(JSON.parse(text) as object).includes(Lock), text);
      }
      core.ok(unlock('a', { fence: Lock }));
    }
  });

  test('a waiter that is granted in the turn of the unlock: both changes are told, each under its version', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    core.ask(lock('a', { waitMs: 1000 }));
    const freed = told(core, 1, () => core.ask(watch(1)));
    assert.equal(freed, undefined);
    core.ask(watch(1));
    core.ok(unlock('a', { fence: Lock }));
    assert.equal((JSON.parse(core.events.at(-1)!.event.body) as Told).Version, 2 * Lock, 'the watcher asks again');
    assert.equal(core.ok(watch(2 * Lock))['Locked'], true);
  });

  test('of a lock that several hold: the first grant, and each end with how many are left', () => {
    const core = new CoreUnderTest();
    const shared = { read: true, durMs: 5000 } as const;
    let first = 0;
    const taken = told(core, 0, () => ({ Lock: first } = core.ok(lock('a', { ...shared, owner: 'r1' }))));
    assert.deepEqual(taken, { LockID: 'a', Version: 1, Locked: true, RLock: true, Holders: 1 });
    assert.equal(
      told(core, 1, () => core.ok(lock('a', { ...shared, owner: 'r2' }))),
      undefined,
    );
    const left = told(core, 1, () => core.ok(unlock('a', { fence: first })));
    assert.deepEqual([left!.Locked, left!['Holders']], [true, 1]);
    const freed = told(core, left!.Version, () => core.advance(5000));
    assert.equal(freed!.Locked, false);
  });

  test('a key of the same name is another thing', () => {
    const core = new CoreUnderTest();
    assert.equal(
      told(core, 0, () => core.ok(set('a', 1))),
      undefined,
    );
    core.ask({ kind: 'watch.key', account: acme, key: 'b', version: 0 });
    core.ok(lock('b'));
    assert.equal(core.events.length, 0);
  });

  test('a lock that is forgotten is told to nobody, and its next holder is', () => {
    const core = new CoreUnderTest();
    const { Lock } = core.ok(lock('a'));
    core.ok(unlock('a', { fence: Lock }));
    core.ask(watch(2 * Lock));
    core.advance(3_600_000);
    assert.equal(core.events.length, 0);
    core.ok(lock('a'));
    assert.equal(core.events.length, 1);
  });
});
