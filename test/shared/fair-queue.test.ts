import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FairQueue } from '../../src/shared/fair-queue.ts';

const busy = 'busy';
const calm = 'calm';

/** Takes items of a fixed cost until none is left, and returns them in order. */
function takeAll(queue: FairQueue<string>, micros: (item: string) => number): string[] {
  const taken: string[] = [];
  for (let item = queue.take(false); item !== undefined; item = queue.take(false)) {
    taken.push(item);
    queue.charge(micros(item), false);
  }
  return taken;
}

test('a fair queue: an account that sends little is served after the item under way, whatever others have sent', () => {
  const queue = new FairQueue<string>();
  for (let i = 0; i < 1000; i += 1) queue.push(busy, `busy${i}`);
  for (let i = 0; i < 50; i += 1) {
    queue.take(false);
    queue.charge(100, false);
  }
  queue.push(calm, 'calm');
  assert.equal(queue.take(false), 'calm');
});

test('a fair queue: two accounts with a backlog get the same time, though one sends dearer items', () => {
  const queue = new FairQueue<string>();
  for (let i = 0; i < 2000; i += 1) queue.push(busy, 'dear');
  for (let i = 0; i < 2000; i += 1) queue.push(calm, 'cheap');
  const micros = { dear: 0, cheap: 0 };
  for (let i = 0; i < 1000; i += 1) {
    const item = queue.take(false) as 'dear' | 'cheap';
    const cost = item === 'dear' ? 900 : 30;
    micros[item] += cost;
    queue.charge(cost, false);
  }
  assert.ok(Math.abs(micros.dear - micros.cheap) <= 1500, JSON.stringify(micros));
});

test('a fair queue: whoever sends one item after the other does not stay in front of a backlog', () => {
  const queue = new FairQueue<string>();
  for (let i = 0; i < 100; i += 1) queue.push(busy, 'busy');
  const taken: string[] = [];
  for (let i = 0; i < 40; i += 1) {
    // A new item as soon as the last one is taken, each of another account in turn.
    queue.push(`calm${i % 2}`, 'calm');
    taken.push(queue.take(false)!);
    queue.charge(400, false);
  }
  const served = taken.filter((item) => item === 'busy').length;
  assert.ok(served >= 10, `the backlog was served ${served} times of 40`);
});

test('a fair queue: what goes on with an earlier item comes before the others of its account', () => {
  const queue = new FairQueue<string>();
  for (const item of ['first', 'second', 'third']) queue.push(busy, item);
  assert.equal(queue.take(false), 'first');
  queue.charge(1, false);
  queue.pushFirst(busy, 'the rest of the first');
  assert.deepEqual(
    takeAll(queue, () => 1),
    ['the rest of the first', 'second', 'third'],
  );
  assert.equal(queue.size, 0);
});

test('a fair queue: an item that took a second costs its account some rounds, not the second', () => {
  const queue = new FairQueue<string>();
  queue.push(busy, 'slow');
  queue.take(false);
  queue.charge(1_000_000, false);
  queue.push(busy, 'next');
  for (let i = 0; i < 2000; i += 1) queue.push(calm, 'calm');
  const before = takeAll(queue, () => 100).indexOf('next');
  assert.ok(before > 50 && before < 300, `${before} items of another account came first`);
});

test('a fair queue: what its account has shown to be dear waits until there is room for it', () => {
  const queue = new FairQueue<string>();
  for (const item of ['dear0', 'dear1']) queue.push(busy, item);
  assert.equal(queue.take(false, undefined, 3000), 'dear0');
  queue.charge(10_000, false);
  queue.push(calm, 'calm');
  assert.equal(queue.take(false, undefined, 3000), 'calm');
  queue.charge(100, false);
  assert.deepEqual([queue.take(false, undefined, 2900), queue.isDear, queue.size], [undefined, true, 1]);
  assert.equal(queue.take(false), 'dear1');
  queue.charge(10, false);
  assert.deepEqual([queue.take(false, undefined, 2900), queue.isDear], [undefined, false]);
});

test('a fair queue: while front ends are congested, only accounts with large answers wait', () => {
  const queue = new FairQueue<string>();
  for (let i = 0; i < 3; i += 1) queue.push(busy, `busy${i}`);
  assert.equal(queue.take(false), 'busy0');
  queue.charge(10, true);
  queue.push(calm, 'calm0');
  queue.push(calm, 'calm1');
  assert.equal(queue.take(true), 'calm0');
  queue.charge(10, false);
  assert.equal(queue.take(true), 'calm1');
  queue.charge(10, false);
  assert.deepEqual([queue.take(true), queue.size], [undefined, 2]);
  queue.release();
  assert.deepEqual(
    takeAll(queue, () => 10),
    ['busy1', 'busy2'],
  );
});

test('a fair queue: nothing is lost or doubled, and each account keeps its order', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ push: fc.integer({ min: 0, max: 4 }) }) },
    fc.record({ first: fc.integer({ min: 0, max: 4 }) }),
    {
      weight: 3,
      arbitrary: fc.record({ cost: fc.integer({ min: 0, max: 3000 }), large: fc.boolean(), congested: fc.boolean() }),
    },
    fc.constant({ release: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new FairQueue<{ account: number; n: number }>();
      const expected: number[][] = Array.from({ length: 5 }, () => []);
      let n = 0;
      const take = (congested: boolean, cost: number, large: boolean): boolean => {
        const item = queue.take(congested);
        if (item === undefined) return false;
        queue.charge(cost, large);
        assert.equal(item.n, expected[item.account]!.shift());
        return true;
      };
      for (const each of steps) {
        n += 1;
        if ('push' in each) {
          queue.push(`a${each.push}`, { account: each.push, n });
          expected[each.push]!.push(n);
        } else if ('first' in each) {
          queue.pushFirst(`a${each.first}`, { account: each.first, n });
          expected[each.first]!.unshift(n);
        } else if ('cost' in each) take(each.congested, each.cost, each.large);
        else queue.release();
        assert.equal(queue.size, expected.flat().length);
      }
      queue.release();
      while (take(false, 100, false));
      assert.deepEqual(expected.flat(), []);
    }),
  );
});
