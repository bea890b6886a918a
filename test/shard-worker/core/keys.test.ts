import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { expiryBatchMax } from '../../../src/shared/limits.ts';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';
import { acme, batch, get, kvList, lock, lockList, remove, set, watch } from '../../support/commands.ts';

describe('versions', () => {
  test('absent is unconditional, 0 is create only, n must be equal', () => {
    const core = new CoreUnderTest();
    const first = core.ok(set('k', 1, { version: 0 }));
    assert.deepEqual(first.KVSet, [{ Key: 'k', Version: first.Rev }]);
    assert.equal(core.ask(set('k', 2, { version: 0 })).code, 'version_mismatch');
    assert.equal(core.ask(set('k', 2, { version: first.Rev + 1 })).code, 'version_mismatch');
    const second = core.ok(set('k', 2, { version: first.Rev }));
    const third = core.ok(set('k', 3));
    assert.ok(first.Rev < second.Rev && second.Rev < third.Rev);
    assert.equal(core.ask(set('new', 1, { version: third.Rev })).code, 'version_mismatch');
  });

  test('a failure names the key and the version that it has', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1));
    const failing = core.ask(batch({ check: [{ key: 'k', version: 3 }], set: [{ key: 'n', value: '1', version: 5 }] }));
    assert.equal(failing.status, 409);
    assert.deepEqual(
      failing.body.Failed.map((item) => ({ ...item, Message: undefined })),
      [
        { Field: 'Check[0]', Code: 'version_mismatch', Message: undefined, Key: 'k', Version: Rev },
        { Field: 'KVSet[0]', Code: 'version_mismatch', Message: undefined, Key: 'n', Version: 0 },
      ],
    );
  });

  test('never repeat for a key, even after deletion', () => {
    const core = new CoreUnderTest();
    const first = core.ok(set('k', 1));
    core.ok(remove('k'));
    const second = core.ok(set('k', 1, { version: 0 }));
    assert.ok(second.Rev > first.Rev);
    assert.equal(core.ask(remove('k', first.Rev)).code, 'version_mismatch');
  });

  test('Check holds for a key that exists, one that does not, and changes nothing', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1));
    const digest = core.digest();
    core.ok(
      batch({
        check: [
          { key: 'k', version: Rev },
          { key: 'none', version: 0 },
        ],
      }),
    );
    assert.equal(core.digest(), digest);
  });
});

describe('Check with Exists', () => {
  test('holds for what is there or not, changes nothing, and else tells the version', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1));
    const digest = core.digest();
    const [k, none] = [{ key: 'k' }, { key: 'none' }];
    core.ok(
      batch({
        check: [
          { ...k, exists: true },
          { ...none, exists: false },
        ],
      }),
    );
    const failing = core.ask(
      batch({
        check: [
          { ...k, exists: false },
          { ...none, exists: true },
          { ...k, version: 0 },
        ],
        set: [{ key: 'k', value: '2' }],
      }),
    );
    assert.equal(failing.status, 409);
    assert.deepEqual(
      failing.body.Failed.map((item) => ({ ...item, Message: undefined })),
      [
        { Field: 'Check[0]', Code: 'precondition_failed', Message: undefined, Key: 'k', Version: Rev },
        { Field: 'Check[1]', Code: 'precondition_failed', Message: undefined, Key: 'none', Version: 0 },
        { Field: 'Check[2]', Code: 'version_mismatch', Message: undefined, Key: 'k', Version: Rev },
      ],
    );
    assert.equal(core.digest(), digest);
  });

  test('sees what was there before the batch', () => {
    const core = new CoreUnderTest();
    core.ok(batch({ check: [{ key: 'k', exists: false }], set: [{ key: 'k', value: '1' }] }));
    core.ok(batch({ check: [{ key: 'k', exists: true }], set: [{ key: 'k' }] }));
    core.ok(batch({ check: [{ key: 'k', exists: false }] }));
  });

  test('a key whose time is over does not exist', () => {
    const core = new CoreUnderTest();
    core.ok(set('k', 1, { ttlMs: 1000 }));
    core.advance(999);
    core.ok(batch({ check: [{ key: 'k', exists: true }] }));
    core.advance(1);
    core.ok(batch({ check: [{ key: 'k', exists: false }] }));
    assert.equal(core.ask(batch({ check: [{ key: 'k', exists: true }] })).code, 'precondition_failed');
  });
});

describe('deletes', () => {
  test('without Version: deleted, and a no-op without commit when there is nothing', () => {
    const core = new CoreUnderTest();
    core.ok(set('k', 1));
    assert.deepEqual(core.ok(remove('k')).KVSet, [{ Key: 'k', Version: 0, Deleted: true }]);
    const digest = core.digest();
    assert.deepEqual(core.ok(remove('k')).KVSet, [{ Key: 'k', Version: 0, Deleted: false }]);
    assert.equal(core.digest(), digest);
  });

  test('with Version: only that one; with 0: only if there is none', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1));
    assert.equal(core.ask(remove('k', Rev - 1)).code, 'version_mismatch');
    assert.equal(core.ask(remove('k', 0)).code, 'version_mismatch');
    core.ok(remove('k', Rev));
    assert.equal(core.ask(remove('k', Rev)).code, 'version_mismatch');
    core.ok(remove('k', 0));
  });
});

describe('a batch', () => {
  test('reads the state before its own KVSet', () => {
    const core = new CoreUnderTest();
    const first = core.ok(set('k', 'old'));
    const body = core.ok(
      batch({
        get: ['k', 'n'],
        set: [
          { key: 'k', value: '"new"' },
          { key: 'n', value: '1' },
        ],
      }),
    );
    assert.deepEqual(body.KV, [
      { Key: 'k', Version: first.Rev, Value: 'old' },
      { Key: 'n', Version: 0 },
    ]);
    assert.equal(core.ok(get('k')).KV[0]!.Value, 'new');
  });

  test('that sets a key twice: the last wins, one effect, one event', () => {
    const core = new CoreUnderTest();
    core.ask(watch('k', 0));
    const body = core.ok(
      batch({
        set: [
          { key: 'k', value: '1' },
          { key: 'o', value: '5' },
          { key: 'k', value: '2' },
        ],
      }),
    );
    assert.equal(core.records.at(-1)!.effects.filter(({ key }) => key === 'k').length, 1);
    assert.equal(core.events.length, 1);
    assert.equal(JSON.parse(core.events[0]!.event.body).Value, 2);
    assert.deepEqual(core.ok(get('k')).KV, [{ Key: 'k', Version: body.Rev, Value: 2 }]);
    core.ok(batch({ set: [{ key: 'k', value: '3' }, { key: 'k' }] }));
    assert.deepEqual(core.ok(get('k')).KV, [{ Key: 'k', Version: 0 }]);
    core.ok(batch({ set: [{ key: 'k' }, { key: 'k', value: '4' }] }));
    assert.equal(core.ok(get('k')).KV[0]!.Value, 4);
    const digest = core.digest();
    core.ok(batch({ set: [{ key: 'x', value: '1' }, { key: 'x' }] }));
    assert.equal(core.digest(), digest, 'a key that was set and deleted again is no change');
  });

  test('that only reads takes no revision, and says at which one it read', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1));
    const digest = core.digest();
    assert.equal(core.ok(get('k', 'none')).Rev, Rev);
    core.ok(batch({ counter: [{ key: 'c', op: 'get', n: 0 }] }));
    core.ok(kvList(''));
    core.ok(lockList(''));
    assert.equal(core.digest(), digest);
    assert.equal(core.records.length, 1);
  });

  test('reads at a revision that covers all that is durable and all that the shard has applied', () => {
    const core = new CoreUnderTest();
    core.autoDurable = false;
    const { Rev } = core.ok(set('k', 1));
    assert.ok(core.revisions.durable() < Rev);
    assert.equal(core.ok(get('other')).Rev, Rev);
    const refused = core.ask(set('k', 2, { version: 0 }));
    assert.equal(refused.reply!.rev, Rev, 'a refusal depends on what it saw');
  });

  test('REST reads of one thing answer 404 when there is none', () => {
    const core = new CoreUnderTest();
    const missing = [
      core.ask(batch({ format: 'kv.get', get: ['k'] })),
      core.ask(batch({ format: 'counter.get', counter: [{ key: 'c', op: 'get', n: 0 }] })),
      core.ask(batch({ format: 'sequence.get', sequence: { key: 's', op: 'get', n: 1 } })),
    ];
    assert.deepEqual(
      missing.map(({ code }) => code),
      ['not_found', 'not_found', 'not_found'],
    );
    core.ok(set('k', null));
    assert.equal(core.ok(batch({ format: 'kv.get', get: ['k'] }))['Value'], null);
  });

  test('values are handed back as they came, to the byte', () => {
    const core = new CoreUnderTest();
    const value = '{"b":1.0,"a":[1e3,"\\u00e9"],"b":2}';
    core.ok(batch({ set: [{ key: 'k', value }] }));
    assert.ok(core.ask(get('k')).reply!.body.includes(`"Value":${value}`));
  });

  test('accounts do not see each other', () => {
    const core = new CoreUnderTest();
    core.ok(set('k', 1));
    core.ok(lock('l'));
    const other = accountId('acme2');
    assert.equal(core.ok({ ...get('k'), account: other }).KV[0]!.Version, 0);
    assert.deepEqual(core.ok({ ...kvList(''), account: other }).KV, []);
    assert.deepEqual(core.ok({ ...lockList(''), account: other })['Locks'], []);
  });
});

describe('TTL', () => {
  test('a key is never readable after its instant, even before its expiry is committed', () => {
    const core = new CoreUnderTest();
    core.ok(set('k', 1, { ttlMs: 1000 }));
    assert.equal(core.ok(get('k')).KV[0]!['TillMs' as 'Key'], startOfTime + 1000);
    core.advance(999);
    assert.equal(core.ok(get('k')).KV[0]!.Value, 1);
    core.jump(1);
    core.state.outOfSpace = { space: 'full', failure: { code: 'disk_full', message: 'full' } };
    assert.deepEqual(core.ok(get('k')).KV, [{ Key: 'k', Version: 0 }]);
    assert.deepEqual(core.ok(kvList('')).KV, []);
    assert.equal(core.ask(batch({ format: 'kv.get', get: ['k'] })).code, 'not_found');
    core.ok(batch({ check: [{ key: 'k', version: 0 }] }));
    assert.equal(JSON.parse(core.ask(watch('k', 7)).reply!.body).Deleted, true);
    assert.equal(core.records.length, 1, 'nothing was committed yet');
  });

  test('expiry is a commit of its own, with an Expired event', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1, { ttlMs: 1000 }));
    core.ask(watch('k', Rev));
    core.advance(1000);
    assert.deepEqual(core.records.at(-1)!.effects, [{ kind: kinds.kv, key: 'k', till: 0, expired: true }]);
    const { event } = core.events[0]!;
    assert.deepEqual(JSON.parse(event.body), { Key: 'k', Version: 0, Deleted: true, Expired: true, Rev: Rev + 1 });
  });

  test('a set without TTL clears an earlier one, one with TTL sets it anew', () => {
    const core = new CoreUnderTest();
    core.ok(set('k', 1, { ttlMs: 1000 }));
    core.ok(set('k', 2));
    core.ok(set('t', 1, { ttlMs: 1000 }));
    core.advance(500);
    core.ok(set('t', 2, { ttlMs: 1000 }));
    core.advance(999);
    assert.deepEqual(
      core.ok(get('k', 't')).KV.map(({ Value }) => Value),
      [2, 2],
    );
    core.advance(1);
    assert.equal(core.ok(get('t')).KV[0]!.Version, 0);
  });

  test('a key that has expired can be created with Version 0 before its expiry is committed', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < 1001; i++) core.ok(set(`k${i}`, 1, { ttlMs: 1000 + i / 10_000 }));
    core.jump(1001);
    const { Rev } = core.ok(set('k1000', 2, { version: 0 }));
    core.advance(5000);
    assert.deepEqual(core.ok(get('k1000')).KV, [{ Key: 'k1000', Version: Rev, Value: 2 }]);
    assert.equal(core.ok(kvList('')).KV.length, 1);
  });

  test('a key that has expired and is deleted before that is committed has expired, for its watchers too', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < 1001; i++) core.ok(set(`k${i}`, 1, { ttlMs: 1000 + i / 10_000 }));
    core.ask(watch('k1000', core.ok(get('k1000')).KV[0]!.Version));
    core.jump(1001);
    const { KVSet, Rev } = core.ok(remove('k1000'));
    assert.deepEqual(KVSet, [{ Key: 'k1000', Version: 0, Deleted: false }]);
    assert.deepEqual(core.records.at(-1)!.effects, [{ kind: kinds.kv, key: 'k1000', till: 0, expired: true }]);
    const { event } = core.events.at(-1)!;
    assert.deepEqual(JSON.parse(event.body), { Key: 'k1000', Version: 0, Deleted: true, Expired: true, Rev });
  });

  test('more keys than one turn ends are all ended, one commit an account and turn', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < expiryBatchMax + 20; i++)
      core.ok({ ...set(`k${i}`, 1, { ttlMs: 1000 }), account: accountId(`a${i % 2}`) });
    const before = core.records.length;
    core.jump(1000);
    core.turn();
    assert.equal(core.records.length, before + 2);
    core.turn();
    assert.equal(core.entries.nextDeadline(), Infinity);
  });
});

describe('watch.key', () => {
  test('answers at once when the version differs, with the value or the deletion', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', { a: 1 }));
    assert.deepEqual(core.ask(watch('k', 0)).body, { Key: 'k', Version: Rev, Value: { a: 1 }, Rev });
    assert.deepEqual(core.ask(watch('gone', 5)).body, { Key: 'gone', Version: 0, Deleted: true, Rev });
    assert.equal(core.state.watched.size, 0);
  });

  test('of several keys answers the first that differs, and otherwise all are watched', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1));
    const also = [
      { key: 'a', version: 0 },
      { key: 'b', version: 3 },
      { key: 'k', version: 0 },
    ];
    assert.equal(core.ask({ ...watch('k', Rev), also }).body['Key'], 'b');
    assert.equal(core.state.watched.size, 0);
    assert.equal(core.ask({ ...watch('k', Rev), also: [{ key: 'a', version: 0 }] }).status, 0);
    core.ok(set('a', 1));
    core.ok(set('k', 2));
    assert.deepEqual(
      core.events.map(({ event }) => event.key),
      ['a', 'k'],
    );
  });

  test('otherwise one event at the next change, one for each front end, whose text is made once', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < 10; i++) assert.equal(core.ask(watch('k', 0), i % 2).status, 0);
    const { Rev } = core.ok(set('k', 1));
    core.ok(set('k', 2));
    assert.deepEqual(
      core.events.map(({ router, event }) => [router, event.version, event.rev]),
      [
        [0, Rev, Rev],
        [1, Rev, Rev],
      ],
    );
    assert.equal(core.events[0]!.event.body, core.events[1]!.event.body);
  });

  test('a deletion is an event with Version 0; a failed batch, a no-op and an unwatched key are none', () => {
    const core = new CoreUnderTest();
    const { Rev } = core.ok(set('k', 1));
    core.ask(watch('k', Rev));
    core.ask(watch('none', 0));
    core.ask(watch('left', 0));
    core.send({ kind: 'unwatch', account: acme, keys: ['left'] });
    core.ask(batch({ set: [{ key: 'k', value: '2' }], check: [{ key: 'k', version: 1 }] }));
    core.ok(remove('none'));
    core.ok(set('left', 1));
    assert.equal(core.events.length, 0);
    core.ok(remove('k'));
    assert.deepEqual(JSON.parse(core.events[0]!.event.body), { Key: 'k', Version: 0, Deleted: true, Rev: Rev + 2 });
  });
});

describe('lists', () => {
  test('are in byte order of the keys, below the prefix, after After', () => {
    const core = new CoreUnderTest();
    for (const key of ['b', 'a/2', 'a/1', 'a', 'a/', 'é', '\u{1f600}', '\uffff']) core.ok(set(key, 1));
    assert.deepEqual(keysOf(core, ''), ['a', 'a/', 'a/1', 'a/2', 'b', 'é', '\uffff', '\u{1f600}']);
    assert.deepEqual(keysOf(core, 'a/'), ['a/', 'a/1', 'a/2']);
    assert.deepEqual(keysOf(core, 'a/', { after: 'a/1' }), ['a/2']);
    assert.deepEqual(keysOf(core, 'a/', { after: 'a/11' }), ['a/2']);
    assert.deepEqual(keysOf(core, 'a/', { after: 'b' }), []);
    assert.deepEqual(keysOf(core, 'x'), []);
  });

  test('say More only if there is more, and what to continue after', () => {
    const core = new CoreUnderTest();
    for (const key of ['a', 'b', 'c']) core.ok(set(key, 1));
    const page = core.ok(kvList('', { limit: 2 }));
    assert.deepEqual([page.KV.length, page['More'], page['After']], [2, true, 'b']);
    const rest = core.ok(kvList('', { limit: 2, after: 'b' }));
    assert.deepEqual([rest.KV.length, rest['More']], [1, undefined]);
    assert.equal(core.ok(kvList('', { limit: 3 }))['More'], undefined);
  });

  test('leave out what has expired, and show TillMs of what will', () => {
    const core = new CoreUnderTest();
    core.ok(set('a', 1, { ttlMs: 1000 }));
    const { Rev } = core.ok(set('b', 1, { ttlMs: 2000 }));
    core.jump(1000);
    assert.deepEqual(core.ok(kvList('')).KV, [{ Key: 'b', Version: Rev, Value: 1, TillMs: startOfTime + 2000 }]);
  });

  test('a page ends early when it is large', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < 6; i++) core.ok(set(`k${i}`, 'x'.repeat(256 * 1024)));
    const page = core.ok(kvList(''));
    assert.deepEqual([page.KV.length, page['After']], [4, 'k3']);
  });

  test('of locks show those that are held, with holder and waiters, never fence or owner', () => {
    const core = new CoreUnderTest();
    const a = core.ok(lock('a', { owner: 'secret', meta: '{"m":1}' }));
    core.ok(lock('b', { durMs: 1000 }));
    core.ask(lock('a', { waitMs: 60_000 }));
    core.advance(1000);
    const shown = core.ask(lockList(''));
    assert.deepEqual(shown.body['Locks'], [
      { LockID: 'a', Meta: { m: 1 }, Till: a.Till, TillMs: a.TillMs, Since: startOfTime, Waiters: 1 },
    ]);
    assert.ok(!shown.reply!.body.includes('secret'));
  });
});

function keysOf(core: CoreUnderTest, prefix: string, more = {}): string[] {
  return core.ok(kvList(prefix, more)).KV.map(({ Key }) => Key);
}
