import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InFlightTable } from '../../src/router/in-flight-table.ts';
import { seededRandom } from '../support/seeded-random.ts';

function counter(from = 0): () => number {
  let last = from;
  return () => (last += 1);
}

test('a number finds what was added under it, until it is taken, and never anything else', () => {
  const seed = 7;
  const random = seededRandom(seed);
  const ring = new InFlightTable<string>(counter());
  const model = new Map<number, string>();
  const gone: number[] = [];
  for (let step = 0; step < 50_000; step += 1) {
    // Grows to thousands and shrinks again, so that the ring grows while it is in use and numbers are skipped.
    if (random.next() < (step % 20_000 < 10_000 ? 0.7 : 0.3)) {
      const value = `value ${step}`;
      const id = ring.add(value);
      assert(!model.has(id), `a number is given once (seed ${seed}, step ${step})`);
      model.set(id, value);
    } else {
      const id = model
        .keys()
        .drop(random.below(Math.min(model.size, 64) || 1))
        .next().value;
      if (id === undefined) continue;
      assert.equal(ring.get(id), model.get(id));
      assert.equal(ring.take(id), model.get(id));
      model.delete(id);
      gone.push(id);
    }
    assert.equal(ring.size, model.size);
  }
  for (const [id, value] of model) assert.equal(ring.get(id), value);
  for (const id of gone.slice(-5000)) assert.equal(ring.take(id), undefined, 'taken once');
});

test('numbers of others are skipped, and numbers beyond 2^32 are fine', () => {
  const next = counter(2 ** 40);
  const ring = new InFlightTable<number>(next);
  const ids = Array.from({ length: 3000 }, (_, i) => {
    next();
    return ring.add(i);
  });
  assert.equal(new Set(ids).size, ids.length);
  ids.forEach((id, i) => assert.equal(ring.take(id), i));
  assert.equal(ring.size, 0);
});

test('one that stays for long is skipped over, round after round', () => {
  const ring = new InFlightTable<string>(counter());
  const stays = ring.add('waits for a lock');
  for (let i = 0; i < 100_000; i += 1) {
    const id = ring.add('comes and goes');
    assert.notEqual(id, stays);
    assert.equal(ring.take(id), 'comes and goes');
  }
  assert.equal(ring.take(stays), 'waits for a lock');
});
