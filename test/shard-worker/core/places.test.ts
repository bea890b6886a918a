import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { revision } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import type { PendingEffect } from '../../../src/protocol/wire/shard-messages.ts';
import { seal } from '../../../src/shard-worker/core/batch/evaluate.ts';
import { openPlace, placeOf } from '../../../src/shard-worker/core/state/places.ts';

const highest = revision(Number.MAX_SAFE_INTEGER);

describe('places', () => {
  test('sort as their revisions do, and all have the same length', () => {
    const revisions = [0, 1, 31, 32, 1023, 1024, 2 ** 31, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER];
    const places = revisions.map((rev) => placeOf(revision(rev)));
    assert.deepEqual(places.toSorted(), places);
    assert.ok(places.every(({ length }) => length === openPlace.length));
  });

  test('an open place in a key gets the revision of its commit, and nothing else changes', () => {
    const name = 'queue\0m';
    const open: PendingEffect = {
      kind: kinds.kv,
      key: `${name}${openPlace}-0001`,
      opens: name.length,
      till: 5,
      value: '"v"',
    };
    const gone: PendingEffect = { kind: kinds.kv, key: `${openPlace}x`, opens: 0, till: 0 };
    const plain: PendingEffect = { kind: kinds.kv, key: 'k', till: 0, value: '1' };
    for (const rev of [revision(1), revision(4711), highest]) {
      assert.deepEqual(seal([open, gone, plain], rev, ''), [
        { kind: kinds.kv, key: `${name}${placeOf(rev)}-0001`, till: 5, value: '"v"' },
        { kind: kinds.kv, key: `${placeOf(rev)}x`, till: 0 },
        plain,
      ]);
    }
  });

  test('without anything open, the effects are those that were given', () => {
    const effects: PendingEffect[] = [{ kind: kinds.kv, key: 'k', till: 0, value: '1' }];
    assert.equal(seal(effects, revision(7), ''), effects);
  });
});
