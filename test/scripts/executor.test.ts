/** What a call commits, whatever happens beside it: I28 and I29, in an order that a seed decides. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/protocol/errors.ts';
import type { Revision } from '../../src/protocol/ids.ts';
import { failureReply } from '../../src/protocol/replies.ts';
import { ScriptTallies, sumOfTallies } from '../../src/scripts/script-tallies.ts';
import { acme, batch } from '../support/commands.ts';
import type { Dispatcher } from '../../src/router/dispatcher.ts';
import { answerOf, checkCalls, ScriptWorld } from '../support/script-world.ts';
import { seededRandom } from '../support/seeded-random.ts';

const scripts = [
  `export default (tx, { a, b }) => {
    const from = tx.get('acct/' + a) ?? 0, to = tx.get('acct/' + b) ?? 0;
    if (a === b || from < 1) tx.fail('no');
    tx.set('acct/' + a, from - 1);
    tx.set('acct/' + b, to + 1);
    return from - 1;
  }`,
  `export default (tx) => {
    const all = tx.list('acct/', { limit: 3 });
    tx.log(String(all.length));
    tx.set('sum', all.reduce((sum, { value }) => sum + value, 0));
    return all.map(({ key, version }) => [key, version]);
  }`,
  `export default (tx, { a }) => {
    const n = tx.counter('n');
    tx.add('n', 1);
    tx.set('last', n);
    if (a % 3 === 0) tx.delete('acct/' + a);
    return [n, tx.get('sum')];
  }`,
  `export default (tx) => [tx.list('acct/').length, tx.list('sum').length, tx.counter('n')]`,
  `export default (tx, { a, b }) => tx.getAll(['acct/' + a, 'acct/' + b, 'last'])`,
];

for (const shards of [1, 3]) {
  test(`each call equals a run alone on the state before its commit, on ${shards} shards`, async (t) => {
    let committed = 0;
    let read = 0;
    let tries = 0;
    for (const seed of [1, 2, 3, 4]) {
      const random = seededRandom(seed * 10 + shards);
      // A run takes some steps of the server, in which others come in between.
      const world: ScriptWorld = await ScriptWorld.start(t, {
        shards,
        before: () => world.server.steps(random.below(4)),
      });
      const others = new Set<number>();
      await world.put(Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`acct/${i}`, 10])));
      const asked: ReturnType<typeof world.server.send>[] = [];
      for (let i = 0; i < 60; i += 1) {
        const [a, b] = [random.below(6), random.below(6)];
        if (random.below(4) === 0) {
          const set = [{ key: `acct/${a}`, ...(random.below(5) > 0 && { value: String(random.below(20)) }) }];
          asked.push(
            world.server.send(
              batch({ set, ...(random.below(2) === 0 && { counter: [{ key: 'n', op: 'add', n: 1 }] }) }),
            ),
          );
        } else {
          const source = scripts[random.below(scripts.length)]!;
          const call = world.eval(source, { a, b }, random.below(2) === 0 ? { keys: [`acct/${a}`] } : {});
          if (random.below(20) === 0) {
            call.disconnected = true;
            call.cancelable.cancel();
          }
        }
        await world.server.steps(random.below(5));
      }
      await world.allAnswered();
      for (const client of asked) others.add(client.body.Rev);
      others.add(world.commits().find(({ account, effects }) => account === acme && effects.length === 6)!.rev);
      const gone = world.calls.filter(({ disconnected }) => disconnected).length;
      if (gone > 0) addUnanswered(world, others);
      const counts = checkCalls(world, others);
      committed += counts.committed;
      read += counts.read;
      for (const call of world.calls) if (call.reply?.outcome === 'ok') tries += answerOf(call).Tries - 1;
    }
    assert.ok(committed > 50 && read > 20 && tries > 20, `${committed} committed, ${read} read, ${tries} tried again`);
  });
}

/** A call whose client has gone may have been committed. */
function addUnanswered(world: ScriptWorld, others: Set<number>): void {
  const answered = new Set(world.calls.flatMap((call) => (call.reply?.outcome === 'ok' ? [answerOf(call).Rev] : [])));
  for (const { rev, account } of world.commits()) if (account === acme && !answered.has(rev)) others.add(rev);
}

const addOne = `export default (tx) => { const n = tx.get('n') ?? 0; tx.set('n', n + 1); return n + 1; }`;

test('a call that loses each time is told which key it was, and has done nothing', async (t) => {
  const world: ScriptWorld = await ScriptWorld.start(t, {
    // Somebody writes during each run.
    before: async () => void (await world.server.ok(batch({ set: [{ key: 'n', value: '7' }] }))),
  });
  const answer = await world.run(addOne);
  assert.deepEqual([answer.Code, answer.Keys], ['conflict', ['n']]);
  assert.equal(world.pool.runs.length, 9, 'eight tries, and a round more for the first');
  assert.equal(await world.value('n'), 7);
});

test('each try reads again', async (t) => {
  let times = 0;
  const world: ScriptWorld = await ScriptWorld.start(t, {
    before: async () => {
      times += 1;
      if (times === 2) await world.server.ok(batch({ set: [{ key: 'n', value: '41' }] }));
    },
  });
  const { Result, Tries } = await world.run(addOne);
  assert.deepEqual([Result, Tries], [42, 2]);
  assert.equal(await world.value('n'), 42);
});

test('what refuses, fails, takes too long or is killed leaves nothing, and neither does who hangs up before', async (t) => {
  const world = await ScriptWorld.start(t, {
    outcome: ({ args }) =>
      args === '"timeout"'
        ? { kind: 'timeout', log: [], cpuMs: 50 }
        : args === '"killed"'
          ? { kind: 'killed', cpuMs: 500 }
          : undefined,
  });
  const source = `export default (tx, how) => {
    tx.set('a', 1); tx.add('c', 1); tx.enqueue('q', 1);
    if (how === 'refuse') tx.fail('no', { left: 0 });
    if (how === 'throw') throw new RangeError('x');
    if (how === 'wrong') tx.raw('KVSet', [{ Key: '', Value: 1 }]);
    if (how === 'force') tx.raw('UnlockID', 'a');
    if (how === 'request') tx.raw('Tasks', [{ ID: 't', Delay: 1, URL: 'http://127.0.0.1:1/' }]);
  }`;
  await world.put({ b: 1 });
  const before = world.server.digest();
  for (const [how, code] of [
    ['refuse', 'script_refused'],
    ['throw', 'script_failed'],
    ['wrong', 'script_failed'],
    ['force', 'script_failed'],
    ['request', 'script_failed'],
    ['timeout', 'script_timeout'],
    ['killed', 'script_timeout'],
  ] as const) {
    assert.equal((await world.run(source, how)).Code, code, how);
    assert.equal(world.server.digest(), before, how);
  }
  const gone = world.eval(source, 'gone');
  gone.disconnected = true;
  gone.cancelable.cancel();
  await world.server.settle();
  assert.equal(gone.reply, undefined);
  assert.equal(world.server.digest(), before);
  assert.equal((await world.run(source, 'do')).Code, undefined);
  assert.notEqual(world.server.digest(), before);
});

test('a list that has changed is a conflict as a key is, on several shards as well', async (t) => {
  for (const shards of [1, 3]) {
    for (const change of [{ key: 'p/new', value: '1' }, { key: 'p/b' }, { key: 'p/c', value: '9' }]) {
      let times = 0;
      const world: ScriptWorld = await ScriptWorld.start(t, {
        shards,
        before: async () => {
          times += 1;
          if (times === 2) await world.server.ok(batch({ set: [change] }));
        },
      });
      await world.put({ 'p/a': 1, 'p/b': 1, 'p/c': 1 });
      const source = `export default (tx) => { const n = tx.list('p/').map(({ key, value }) => key + value).join(); tx.set('n', n); return n; }`;
      const { Tries, Result } = await world.run(source);
      assert.equal(Tries, 2, `${shards} shards, ${JSON.stringify(change)}`);
      assert.equal(await world.value('n'), Result);
    }
  }
});

test('two calls under one id: one happens, and both are answered with it', async (t) => {
  const world = await ScriptWorld.start(t, { before: () => world.server.steps(2) });
  const idempotency = { ids: ['i'], ttlMs: 60_000, mode: 'replay' } as const;
  const calls = [1, 2].map(() => world.eval(addOne, null, { idempotency }));
  await world.allAnswered();
  assert.deepEqual(answerOf(calls[0]!), answerOf(calls[1]!));
  assert.equal(await world.value('n'), 1);
  const runs = world.pool.runs.length;
  assert.deepEqual(await world.run(addOne, null, { idempotency }), answerOf(calls[0]!));
  assert.equal(world.pool.runs.length, runs, 'a retry does not run');
  assert.equal((await world.run(addOne, 'other', { idempotency })).Code, 'idempotency_mismatch');
});

test('a call under a guard does nothing once the lease is gone, not even if it only reads', async (t) => {
  const world = await ScriptWorld.start(t);
  const guard = [{ id: 'l', fence: 7 }];
  for (const source of [addOne, `export default () => 1`])
    assert.equal((await world.run(source, null, { guard })).Code, 'lock_lost');
  assert.equal(await world.value('n'), undefined);
});

test('what calls of a script came to is counted, of its account alone, and of so many scripts', () => {
  const tallies = new ScriptTallies();
  const failed = failureReply(1 as Revision, failure('script_failed', 'The script failed: no'));
  const refused = failureReply(1 as Revision, failure('script_refused', 'The script refused'));
  tallies.add('a', 's', { rev: 1 as Revision, outcome: 'ok', body: '{}' }, 2, 10);
  tallies.add('a', 's', failed, 3, 20);
  tallies.add('a', 's', refused, 1, 30);
  const tally = { script: 's', calls: 3, refused: 1, failed: 1, cpuMs: 6, lastErrorMs: 20 };
  const all = { ...tally, lastError: 'The script failed: no' };
  assert.deepEqual(tallies.of('a'), [all]);
  assert.deepEqual(tallies.of('b'), []);
  const later = { ...all, lastError: 'later', lastErrorMs: 40 };
  assert.deepEqual(sumOfTallies([all, later]), [{ ...later, calls: 6, refused: 2, failed: 2, cpuMs: 12 }]);
  for (let i = 0; i < 1000; i += 1) tallies.add('b', `t${i}`, failed, 1, i);
  assert.equal(tallies.of('b').length, 32);
  assert.equal(tallies.of('b').at(-1)!.script, 't999');
  assert.equal(tallies.of('a').length, 1);
});

test('calls that meet on a key take turns, and let it go', async (t) => {
  const kinds: string[] = [];
  const counted = (router: Dispatcher): Dispatcher => ({
    ...wrapped(router),
    request: (command, sink) => {
      kinds.push(command.kind);
      return router.request(command, sink);
    },
  });
  const world: ScriptWorld = await ScriptWorld.start(t, {
    dispatcher: counted,
    before: () => world.server.steps(1),
  });
  const calls = Array.from({ length: 30 }, () => world.eval(addOne));
  await world.allAnswered();
  assert.deepEqual(
    calls.map((call) => answerOf(call).Code),
    calls.map(() => undefined),
  );
  assert.equal(await world.value('n'), 30);
  const count = (kind: string): number => kinds.filter((one) => one === kind).length;
  assert.ok(count('mutex.lock') > 0);
  assert.equal(count('mutex.unlock'), count('mutex.lock'));
});

function wrapped(router: Dispatcher): Dispatcher {
  return {
    request: (command, sink) => router.request(command, sink),
    requestAll: (batches, sink) => router.requestAll(batches, sink),
    watchKeys: (account, keys, waitMs, sink) => router.watchKeys(account, keys, waitMs, sink),
    watchPrefix: (watch, sink) => router.watchPrefix(watch, sink),
    streamPrefix: (watch, sink) => router.streamPrefix(watch, sink),
    watches: (of, limit) => router.watches(of, limit),
    stats: () => router.stats(),
  };
}
