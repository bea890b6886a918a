import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from '../../src/front-end/byte-budget.ts';

test('over the budget the account that holds most loses its oldest; others lose nothing', () => {
  const evicted: string[] = [];
  const budget = new ByteBudget<string>(100, (owner) => evicted.push(owner));
  budget.hold('b1', 20, 'b');
  budget.hold('a1', 30, 'a');
  budget.hold('a2', 30, 'a');
  assert.deepEqual(evicted, []);
  budget.hold('a3', 30, 'a');
  assert.deepEqual(evicted, ['a1']);
  budget.hold('b1', 35, 'b');
  assert.deepEqual(evicted, ['a1']);
  budget.hold('b2', 30, 'b');
  assert.deepEqual(evicted, ['a1', 'b1'], 'now the other holds most');
  budget.release('a2');
  budget.release('a3');
  budget.hold('b2', 1000, 'b');
  assert.deepEqual([evicted.length, budget.heldFor('b2')], [2, 1000], 'a single owner has a limit of its own');
});
