import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootLeaseClock } from '../../src/cli/boot-clock.ts';

test('boot clock: the command counts wall time too, should the machine not say how long it has been running', (t) => {
  const mark = bootLeaseClock.mark();
  const start = Date.now();
  t.mock.method(Date, 'now', () => start + 60_000);
  assert.ok(bootLeaseClock.since(mark) >= 60_000);
  assert.ok(bootLeaseClock.since({ ...mark, wallMs: start + 60_000 }) < 60_000, 'it is not simply far ahead');
});
