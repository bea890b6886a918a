import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryId } from '../../src/client/retry-id.ts';

test('retry ids are UUIDs that sort by the time of their making', () => {
  const times = [1, 255, 256, Date.UTC(2026, 0), Date.UTC(2026, 0) + 0.9, Date.UTC(2026, 0) + 1, Date.UTC(2100, 0)];
  const ids = times.map(retryId);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const prefixes = ids.map((id) => id.slice(0, 13));
  assert.deepEqual(prefixes, prefixes.toSorted());
  assert.equal(new Set(prefixes).size, times.length - 1, 'ids differ by time from one millisecond on');
});

test('ids made at one moment differ', () => {
  assert.equal(new Set(Array.from({ length: 10_000 }, () => retryId(7))).size, 10_000);
});
