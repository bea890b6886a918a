import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LatencyHistogram } from '../../loadtest/load/histogram.ts';
import { median, medianBy, pairedRatio, quantile, short } from '../../loadtest/statistics.ts';

test('a median is the middle value, or the mean of the middle two', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.throws(() => median([]), /median of nothing/);
  assert.deepEqual(
    medianBy([{ n: 3 }, { n: 1 }, { n: 2 }], ({ n }) => n),
    { n: 2 },
  );
  assert.equal(quantile([1, 2, 3, 4], 0.5), 3);
});

test('a ratio compares neighbouring runs, not the medians', () => {
  // The machine was slower in the second round: both sides lost, and the ratio stays.
  assert.equal(pairedRatio([30, 10, 33], [10, 5, 11]), 3);
  // The medians' ratio would be 30 / 10 = 3; the rounds had 0.1, 3 and 1.
  assert.equal(pairedRatio([1, 30, 40], [10, 10, 40]), 1);
  assert.throws(() => pairedRatio([1, 2], [1]), /cannot be paired/);
});

test('quantiles of a histogram are within 4 % of the truth, and never below it', () => {
  const durations = fc.array(fc.integer({ min: 0, max: 60_000_000 }), { minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(durations, fc.constantFrom(0.1, 0.5, 0.9, 0.99, 0.999, 1), (micros, q) => {
      const histogram = new LatencyHistogram();
      for (const one of micros) histogram.record(one);
      const exact = micros.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(micros.length * q)) - 1]!;
      const estimate = histogram.quantile(q);
      assert.ok(estimate >= exact && estimate <= exact * 1.04 + 1, `${q}: expected ${exact}, got ${estimate}`);
    }),
  );
});

test('histograms of several processes add up to one of all values', () => {
  const parts = [new LatencyHistogram(), new LatencyHistogram()];
  const all = new LatencyHistogram();
  for (let micros = 0; micros < 3_000_000; micros += 1009) {
    parts[micros % 2]!.record(micros);
    all.record(micros);
  }
  const sum = new LatencyHistogram();
  for (const part of parts) sum.add(JSON.parse(JSON.stringify(part.buckets())) as [number, number][]);
  assert.deepEqual(sum.buckets(), all.buckets());
  assert.equal(sum.total, all.total);
  assert.equal(sum.quantile(0.5), all.quantile(0.5));
  assert.equal(new LatencyHistogram().quantile(0.99), 0);
});

test('figures have three significant digits', () => {
  assert.deepEqual([0.012_34, 1.005, 42.123, 99.97, 1234.5, Number.NaN].map(short), [
    '0.0123',
    '1.00',
    '42.1',
    '100',
    '1,235',
    'unknown',
  ]);
});
