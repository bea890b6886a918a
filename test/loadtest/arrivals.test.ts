import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenLoop, poissonArrivals, type Arrivals } from '../../loadtest/load/arrivals.ts';
import { seededRandom } from '../support/seeded-random.ts';

test('arrivals have the requested rate and order, and the gaps of a Poisson process', () => {
  const random = seededRandom(7);
  const arrivals = poissonArrivals(1000, () => random.next());
  const dues = Array.from({ length: 100_000 }, () => arrivals.next());
  assert.ok(dues.every((due, index) => index === 0 || due >= dues[index - 1]!));
  assert.ok(Math.abs(dues.at(-1)! - 100_000) < 2000, `100,000 arrivals at 1,000/s took ${dues.at(-1)} ms`);
  const gaps = dues.slice(1).map((due, index) => due - dues[index]!);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  // Exponential: the standard deviation is the mean.
  assert.ok(Math.abs(Math.sqrt(variance) / mean - 1) < 0.03);
});

/** An arrival every millisecond. */
function everyMs(): Arrivals {
  let due = 0;
  return { peek: () => due + 1, next: () => ++due };
}

/** Simulates a server that answers after `serviceMs(now)` on a fake clock. Returns latencies as the loop times them. */
function drive(
  connections: number,
  untilMs: number,
  serviceMs: (now: number) => number,
): { latencies: number[]; left: number[] } {
  const latencies: number[] = [];
  const answers: { at: number; connection: number; due: number }[] = [];
  let now = 0;
  const names = Array.from({ length: connections }, (_, index) => index);
  const loop = new OpenLoop<number>(everyMs(), names, (connection, due) => {
    answers.push({ at: now + serviceMs(now), connection, due });
  });
  for (now = 0; now <= untilMs; now++) {
    for (;;) {
      const index = answers.findIndex(({ at }) => at <= now);
      if (index < 0) break;
      const [{ connection, due }] = answers.splice(index, 1) as [(typeof answers)[number]];
      latencies.push(now - due);
      loop.release(connection);
    }
    loop.tick(now);
  }
  return { latencies, left: loop.unanswered(untilMs) };
}

test('a stall counts for every request that it delays, not once', () => {
  // One stall of 500 ms: a closed loop would see only a slow request for each connection.
  const stalled = drive(4, 1000, (now) => (now >= 200 && now < 204 ? 500 : 0.5)).latencies;
  const slow = stalled.filter((ms) => ms > 100).length;
  assert.ok(slow > 350, `${slow} of ${stalled.length} requests waited more than 100 ms`);
  const calm = drive(4, 1000, () => 0.5).latencies;
  assert.equal(calm.filter((ms) => ms > 100).length, 0);
});

test('a request without an answer when time is up has waited since its due time', () => {
  const { latencies, left } = drive(2, 100, (now) => (now < 50 ? 0.5 : Infinity));
  assert.equal(latencies.length + left.length, 100, 'every arrival is either answered or left');
  assert.ok(Math.max(...left) >= 49 && left.length >= 49);
});

test('a server that is too slow gets no fewer requests: the queue grows', () => {
  const random = seededRandom(3);
  const sent: number[] = [];
  const loop = new OpenLoop<string>(
    poissonArrivals(1000, () => random.next()),
    ['only'],
    (_, due) => sent.push(due),
  );
  loop.tick(1000);
  assert.equal(sent.length, 1);
  const waiting = loop.waiting;
  assert.ok(waiting > 850 && waiting < 1150, `${waiting} wait`);
  loop.release('only');
  assert.equal(sent.length, 2);
  assert.equal(loop.waiting, waiting - 1);
  assert.ok(sent[1]! > sent[0]!, 'the oldest is sent first');
});
