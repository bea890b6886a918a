import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiter } from '../../src/front-end/rate-limiter.ts';
import { accountId } from '../../src/protocol/ids.ts';

function limiterOf(perSecond: number) {
  const clock = { now: 5_000_000 };
  const memory = RateLimiter.allocate();
  const limiter = new RateLimiter(memory, perSecond, () => clock.now);
  return { clock, memory, limiter };
}

test('rates: two front ends have one bucket, and 3 a second are exactly 3, for hours', () => {
  const { clock, memory, limiter } = limiterOf(3);
  const other = new RateLimiter(memory, 3, () => clock.now);
  const account = accountId('shop');
  let admitted = 0;
  const seconds = 2 * 3600;
  for (let ms = 0; ms < seconds * 1000; ms += 100) {
    clock.now = 5_000_000 + ms;
    for (const asked of [limiter, other, other]) admitted += Number(asked.admit(account));
  }
  // The initial content of the bucket, and the inflow until the last attempt.
  assert.equal(admitted, 3 + Math.floor((seconds - 0.1) * 3));
});

test('rates: with more accounts than the table holds, no account is refused because of others', () => {
  const { clock, limiter } = limiterOf(1);
  const accounts = Array.from({ length: 100_000 }, (_, i) => accountId(`account-${i}`));
  for (const account of accounts) assert.equal(limiter.admit(account), true, `the first request of ${account}`);
  const uncounted = accounts.filter((account) => limiter.admit(account)).length;
  assert(uncounted > 0, 'some found no place, and are let in');
  assert(uncounted <= 100_000 - 60_000, `most have found one: ${uncounted} have not`);
  clock.now += 1000;
  const late = accountId('late');
  assert.deepEqual(
    [limiter.admit(late), limiter.admit(late)],
    [true, false],
    'a second later there is a free bucket again',
  );
});

test('rates: an account in debt keeps its bucket until it has paid', () => {
  const { clock, limiter } = limiterOf(1);
  const debtor = accountId('a'.repeat(64));
  assert.equal(limiter.admit(debtor), true);
  limiter.charge(debtor, 10);
  clock.now += 9_999;
  for (let i = 0; i < 100_000; i += 1) limiter.admit(accountId(`account-${i}`));
  assert.equal(limiter.admit(debtor), false);
  clock.now += 1001;
  assert.equal(limiter.admit(debtor), true);
});

test('rates: without a limit every request is admitted, until a reload brings one', () => {
  let now: number | undefined;
  const limiter = new RateLimiter(RateLimiter.allocate(), 0, () => now ?? assert.fail('the clock is not even read'));
  assert.equal(limiter.admit(accountId('a')), true);
  limiter.charge(accountId('a'), 1e9);
  now = 1000;
  limiter.replace(1, new Map([['b', 0]]));
  assert.deepEqual([limiter.admit(accountId('a')), limiter.admit(accountId('a'))], [true, false]);
  assert.deepEqual([limiter.admit(accountId('b')), limiter.admit(accountId('b'))], [true, true]);
});
