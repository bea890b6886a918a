import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockDifference, startTimer } from '../../src/shared/clock.ts';

const dayMs = 24 * 3_600_000;

test('a timer runs once its time is over, beyond the 24.8 days of setTimeout too', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (const days of [0, 1, 24, 25, 49, 50, 100, 3660]) {
    let runs = 0;
    startTimer(days * dayMs, () => (runs += 1));
    let cancelled = 0;
    const cancel = startTimer(days * dayMs, () => (cancelled += 1));
    for (let day = 0; day < days - 1; day += 1) t.mock.timers.tick(dayMs);
    assert.equal(runs, 0, `${days} days`);
    if (days > 0) t.mock.timers.tick(dayMs - 1);
    assert.equal(runs, 0, `${days} days, a millisecond before`);
    cancel();
    // The mocked time of a timer that a timer starts begins at the end of the tick.
    t.mock.timers.tick(2);
    for (let day = 0; day < days / 24; day += 1) t.mock.timers.tick(dayMs);
    assert.deepEqual([runs, cancelled], [1, 0], `${days} days`);
  }
});

test('a real timer does not run at once when it is asked for a long time', async () => {
  let ran = false;
  const cancel = startTimer(2 ** 31 + 5, () => (ran = true), true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  cancel();
  assert.equal(ran, false);
});

test('the difference of two clocks is exact, however often a thread has to wait between two readings', () => {
  const waits = [30, 0, 2, 70, 0, 0, 0.004, 0, 9];
  let time = 0;
  let readings = 0;
  const pass = (): number => (time += 0.001 + waits[readings++ % waits.length]!);
  const difference = clockDifference(
    () => pass() + 1_000_000,
    () => pass(),
  );
  assert(Math.abs(difference - 1_000_000) < 0.02, `off by ${difference - 1_000_000} ms`);
});
