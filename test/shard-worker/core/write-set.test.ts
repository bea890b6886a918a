import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PendingEffect } from '../../../src/protocol/wire/shard-messages.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { WriteSet } from '../../../src/shard-worker/core/state/write-set.ts';
import { seededRandom } from '../../support/seeded-random.ts';

test('of several effects on one entry the last counts, in the place where it was made, for few and for many', () => {
  const seed = 11;
  const random = seededRandom(seed);
  let many = 0;
  for (let round = 0; round < 500; round += 1) {
    const writeSet = new WriteSet();
    const model = new Map<string, PendingEffect>();
    const keys = 1 + random.below(30);
    for (let step = 0; step < 60; step += 1) {
      const kind = random.next() < 0.5 ? kinds.kv : kinds.counter;
      const key = `key${random.below(keys)}`;
      const name = `${kind} ${key}`;
      assert.equal(writeSet.find(kind, key), model.get(name), `seed ${seed}, round ${round}, step ${step}`);
      model.delete(name);
      if (random.next() < 0.2) {
        writeSet.remove(kind, key);
      } else {
        const effect: PendingEffect = { kind, key, till: 0, value: String(step) };
        writeSet.put(effect);
        model.set(name, effect);
      }
      assert.deepEqual(writeSet.all(), [...model.values()], `seed ${seed}, round ${round}, step ${step}`);
      if (model.size > 8) many += 1;
    }
  }
  assert(many > 1000, 'both ways of keeping them were used');
});
