import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fences, fencesPerEpoch, nextEpoch } from '../../src/protocol/epochs.ts';

test('a first epoch begins above every fence of the layout that counted starts', () => {
  for (const number of [0, 1, 2, 4096, 2 ** 20]) {
    const highest = number * 2 ** 32 + 2 ** 32 - 1;
    const first = new Fences(nextEpoch(number)).next();
    assert.ok(first! > highest && Number.isSafeInteger(first), `after start ${number}`);
  }
});

test('epochs only grow, and 100 years of a start each second leave their fences exact', () => {
  let epoch = nextEpoch(0);
  for (let i = 0; i < 1000; i += 1) {
    const next = nextEpoch(epoch);
    assert.equal(next, epoch + 1);
    epoch = next;
  }
  // The start before it was the 262,144th of the former layout.
  const last = nextEpoch(2 ** 18) + 100 * 366 * 24 * 60 * 60;
  assert.ok(Number.isSafeInteger((last + 1) * fencesPerEpoch));
});

test('fences grow through an epoch and into the next; used up, there is none until one is added', () => {
  const fences = new Fences(7);
  let last = 7 * fencesPerEpoch;
  let lowAt = 0;
  for (let fence = fences.next(); fence !== undefined; fence = fences.next()) {
    assert.equal(fence, last + 1);
    last = fence;
    if (lowAt === 0 && fences.low) lowAt = fence;
  }
  assert.equal(last, 8 * fencesPerEpoch - 1);
  assert.equal(lowAt, 7.5 * fencesPerEpoch);
  assert.equal(fences.next(), undefined);
  fences.add(9);
  assert.equal(fences.low, false);
  assert.equal(fences.next(), 9 * fencesPerEpoch + 1);
  assert.equal(fences.low, false);
});
