import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemLeaseClock } from '../../src/client/lease-clock.ts';

test('lease clock: time passes with whichever of the two clocks has gone further', (t) => {
  let [monotonicMs, wallMs] = [5000.5, 1e12];
  t.mock.method(performance, 'now', () => monotonicMs);
  t.mock.method(Date, 'now', () => wallMs);
  const mark = systemLeaseClock.mark();
  const since = (monotonic: number, wall: number): number => {
    [monotonicMs, wallMs] = [5000.5 + monotonic, 1e12 + wall];
    return systemLeaseClock.since(mark);
  };
  assert.equal(since(0, 0), 0);
  assert.equal(since(100, 100), 100);
  assert.equal(since(100, 60_000), 60_000, 'the computer has slept');
  assert.equal(since(100, -60_000), 100, 'the wall clock was set back');
});
