import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TooLate, within } from '../../loadtest/deadlines.ts';

test('deadlines: a step that never ends is given up, by its name', async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  await assert.rejects(
    within('a copy', 1, promise),
    (error) => error instanceof TooLate && error.message.startsWith('a copy: '),
  );
  // Nobody waits for it any more; that it fails is no unhandled rejection.
  reject(new Error('late'));
  await new Promise((resolve) => void setImmediate(resolve));
});

test('deadlines: what is in time is handed on, and so is its failure', async () => {
  assert.equal(await within('a step', 60_000, Promise.resolve(7)), 7);
  await assert.rejects(within('a step', 60_000, Promise.reject(new Error('it failed'))), /^Error: it failed$/);
});
