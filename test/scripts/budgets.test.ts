/** What the scripts of one account may use: calls under way, runs at a time, CPU time, killed threads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import { AccountCounts } from '../../src/router/account-counts.ts';
import { RunQueue } from '../../src/scripts/run-queue.ts';
import { ScriptBudgets } from '../../src/scripts/script-budgets.ts';
import { scriptBundleRunsMax } from '../../src/scripts/script-limits.ts';
import { acme } from '../support/commands.ts';
import { answerOf, ScriptWorld } from '../support/script-world.ts';
import { runOf } from './run.ts';

const other = accountId('other');
const needs = { keys: [], counters: [], lists: [] };

test('who has used a second’s CPU time waits until it is paid, and nobody else does', () => {
  let now = 1000;
  const budgets = new ScriptBudgets(ScriptBudgets.allocate(), 500, () => now);
  budgets.charge(acme, 400, false);
  assert.equal(budgets.refusal(acme), undefined);
  budgets.charge(acme, 400, false);
  assert.deepEqual(budgets.refusal(acme)?.details, { Quota: 'script_cpu', Limit: 500, RetryAfterMs: 600 });
  assert.equal(budgets.refusal(other), undefined);
  now += 599;
  assert.equal(budgets.refusal(acme)?.code, 'rate_limited');
  now += 1;
  assert.equal(budgets.refusal(acme), undefined);
});

test('an account may have its own CPU time, more or less than others, and another one after a reload', () => {
  let now = 1000;
  const budgets = new ScriptBudgets(ScriptBudgets.allocate(), 500, () => now, new Map([[acme, 100]]));
  for (const account of [acme, other]) budgets.charge(account, 300, false);
  assert.deepEqual(budgets.refusal(acme)?.details, { Quota: 'script_cpu', Limit: 100, RetryAfterMs: 2000 });
  assert.equal(budgets.refusal(other), undefined);
  now += 2000;
  assert.equal(budgets.refusal(acme), undefined);
  budgets.replace(new Map([[acme, 0]]));
  budgets.charge(acme, 10_000, false);
  assert.equal(budgets.refusal(acme), undefined, '0 is no limit');
  assert.equal(budgets.refusal(other), undefined);
});

test('behind three killed threads within a minute scripts rest for ten seconds', () => {
  let now = 1000;
  const budgets = new ScriptBudgets(ScriptBudgets.allocate(), 0, () => now);
  budgets.charge(acme, 500, true);
  now += 59_999;
  budgets.charge(acme, 500, true);
  now += 1;
  budgets.charge(acme, 500, true);
  assert.equal(budgets.refusal(acme), undefined, 'the first is a minute old');
  budgets.charge(acme, 500, true);
  assert.deepEqual(budgets.refusal(acme)?.details, { Quota: 'script_kills', Limit: 3, RetryAfterMs: 10_000 });
  assert.equal(budgets.refusal(other), undefined);
  now += 10_000;
  assert.equal(budgets.refusal(acme), undefined);
});

test('of one account two bundles of runs have threads, the others wait in line; the 103rd call is refused', async (t) => {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const world = await ScriptWorld.start(t, { before: () => opened });
  const calls = Array.from({ length: 102 }, (_, i) => world.eval('export default (tx, n) => n', i));
  await world.server.settle();
  assert.deepEqual(world.pool.bundles, [scriptBundleRunsMax, scriptBundleRunsMax]);
  const refused = answerOf(world.eval('export default () => 1'));
  assert.equal(refused.Code, 'too_many_waiters');
  const ofOther = world.eval('export default () => 2', null, { account: other });
  await world.server.settle();
  assert.equal(world.pool.bundles.length, 3, 'another account has its own');
  open();
  await world.allAnswered();
  assert.deepEqual(
    calls.map((call) => answerOf(call).Result),
    calls.map((_, i) => i),
  );
  assert.equal(answerOf(ofOther).Result, 2);
  assert.equal(world.accounts.used, 0, 'all is given back');
});

test('runs that wait together go in one bundle, unless they are large; what is given back goes first', async () => {
  const bundles: string[][] = [];
  const ends: (() => void)[] = [];
  const queue = new RunQueue({
    run(runs) {
      bundles.push(runs.map(({ args }) => args));
      // Only the first is done.
      return new Promise((resolve) => ends.push(() => resolve([{ kind: 'needs', needs, cpuMs: 1 }])));
    },
  });
  const use = new AccountCounts(AccountCounts.allocate()).use(acme);
  const all = [1000, 1000, 200_000, 200_000].map((bytes, i) =>
    queue.run(use, { bytes, begin: () => runOf('', { args: String(i) }) }),
  );
  await Promise.resolve();
  assert.deepEqual(bundles, [['0', '1', '2'], ['3']]);
  for (let i = 0; i < 6; i += 1) {
    ends.shift()?.();
    await new Promise(setImmediate);
  }
  assert.equal((await Promise.all(all)).length, 4);
  assert.deepEqual(bundles.slice(2), [['1', '2'], ['2']]);
});

test('an account whose script had to be killed three times rests, and is told for how long', async (t) => {
  const world = await ScriptWorld.start(t, { outcome: () => ({ kind: 'killed', cpuMs: 500 }) });
  for (let i = 0; i < 3; i += 1) assert.equal((await world.run('export default () => 1')).Code, 'script_timeout');
  assert.equal((await world.run('export default () => 1')).Code, 'rate_limited');
  await world.server.advance(10_000);
  assert.equal((await world.run('export default () => 1')).Code, 'script_timeout');
});
