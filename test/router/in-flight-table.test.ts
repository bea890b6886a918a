import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InFlightTable } from '../../src/router/in-flight-table.ts';
import { seededRandom } from '../support/seeded-random.ts';

function counter(from = 0): () => number {
  let last = from;
  return () => (last += 1);
}

test('an id finds its own value until it is taken, and never another', () => {
  const seed = 7;
  const random = seededRandom(seed);
  const table = new InFlightTable<string>(counter());
  const model = new Map<number, string>();
  const taken: number[] = [];
  for (let step = 0; step < 50_000; step += 1) {
    // Grows to thousands and shrinks again, so that the table grows while it is in use, and ids are skipped.
    if (random.next() < (step % 20_000 < 10_000 ? 0.7 : 0.3)) {
      const value = `value ${step}`;
      const id = table.add(value);
      assert(!model.has(id), `an id is used once (seed ${seed}, step ${step})`);
      model.set(id, value);
    } else {
      const id = model
        .keys()
        .drop(random.below(Math.min(model.size, 64) || 1))
        .next().value;
      if (id === undefined) continue;
      assert.equal(table.get(id), model.get(id));
      assert.equal(table.take(id), model.get(id));
      model.delete(id);
      taken.push(id);
    }
    assert.equal(table.size, model.size);
  }
  for (const [id, value] of model) assert.equal(table.get(id), value);
  for (const id of taken.slice(-5000)) {
    assert.equal(table.get(id), undefined, 'its place may have another value now');
    assert.equal(table.take(id), undefined, 'taken once');
  }
});

test('ids that others draw are skipped, and ids beyond 2^32 work', () => {
  const next = counter(2 ** 40);
  const table = new InFlightTable<number>(next);
  const ids = Array.from({ length: 3000 }, (_, i) => {
    next();
    return table.add(i);
  });
  assert.equal(new Set(ids).size, ids.length);
  ids.forEach((id, i) => assert.equal(table.take(id), i));
  assert.equal(table.size, 0);
});

test('the place of an entry that stays is skipped, round after round', () => {
  const table = new InFlightTable<string>(counter());
  const stays = table.add('waits for a lock');
  for (let i = 0; i < 100_000; i += 1) {
    const id = table.add('comes and goes');
    assert.notEqual(id, stays);
    assert.equal(table.take(id), 'comes and goes');
  }
  assert.equal(table.take(stays), 'waits for a lock');
});
