import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeRow } from '../../src/cluster/engine.ts';
import { goneMs, NodeWatch, ownPauseMaxMs } from '../../src/cluster/watch-nodes.ts';

const row = (beat: number, more: Partial<NodeRow> = {}): NodeRow => ({
  node: 'b',
  session: 7,
  beat,
  dead: false,
  ...more,
});

/** Questions at each of these times, answered 10 ms later, with own beats in between. */
function watched(watch: NodeWatch, times: readonly number[], shown: NodeRow): NodeRow[] {
  return times.flatMap((askedAt) => watch.see([shown], { askedAt, answeredAt: askedAt + 10 }, askedAt));
}

test('a node is gone when its beat has stood still for long enough', () => {
  const watch = new NodeWatch();
  assert.deepEqual(watched(watch, [0, 500, 1000, 1500, 2000, 2500], row(1)), []);
  assert.deepEqual(watched(watch, [10 + goneMs], row(1)), [row(1)]);
  assert.deepEqual(watched(watch, [3000], row(2)), [], 'it has beaten');
  assert.deepEqual(watched(watch, [3500, 4000, 4500], row(2, { session: 8 })), [], 'another session');
});

test('a dead one is not told again', () => {
  const watch = new NodeWatch();
  const times = Array.from({ length: 20 }, (_, i) => i * 500);
  assert.deepEqual(watched(watch, times, row(1, { dead: true })), []);
});

test('a beat counts from the answer that showed it first to the question that showed it last', () => {
  const watch = new NodeWatch();
  watch.see([row(1)], { askedAt: 0, answeredAt: 900 }, 500);
  for (const at of [1000, 1900, 2800]) watch.see([row(1)], { askedAt: at, answeredAt: at }, at);
  assert.deepEqual(watch.see([row(1)], { askedAt: 3399, answeredAt: 3700 }, 3600), [], 'by the last question');
  assert.deepEqual(watch.see([row(1)], { askedAt: 3400, answeredAt: 3700 }, 3700), [row(1)]);
});

test('a node that was away itself begins anew', () => {
  for (const last of [3000, 1400]) {
    const watch = new NodeWatch();
    for (const at of [0, 700, 1400]) watch.see([row(1)], { askedAt: at, answeredAt: at }, at);
    // Its own beat was acknowledged late, or not at all.
    const answeredAt = 1400 + ownPauseMaxMs + 600;
    assert.deepEqual(watch.see([row(1)], { askedAt: answeredAt, answeredAt }, last), []);
    const times = [3300, 4000, 4700, 5400].flatMap((at) => watch.see([row(1)], { askedAt: at, answeredAt: at }, at));
    assert.deepEqual(times, []);
    assert.deepEqual(watch.see([row(1)], { askedAt: 6000, answeredAt: 6000 }, 6000), [row(1)]);
  }
});
