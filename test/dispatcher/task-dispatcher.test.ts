import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import type { TaskOperation } from '../../src/protocol/operations/task-definition.ts';
import { completePolicy } from '../../src/protocol/operations/queue-policy.ts';
import { kinds } from '../../src/protocol/record.ts';
import { madeUpMax, taskPutOffMs } from '../../src/shared/task-limits.ts';
import { acme } from '../support/commands.ts';
import { cancelTask, changeTask, httpTask, makeTask, taskOf } from '../support/task-commands.ts';
import { TasksUnderTest } from '../support/tasks-under-test.ts';

const every = { schedule: { everyMs: 60_000 } };
const pausedTasks = (tasks: readonly TaskOperation[], account = acme): Batch => {
  return { kind: 'batch', account, format: 'batch', tasks };
};

describe('tasks with queues', () => {
  test('a task runs at its instant and not before, once', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('t', { delayMs: 5000, data: '{"a":1}' }));
    await server.advance(4999);
    assert.deepEqual(await server.taken('mail'), []);
    assert.equal((await server.task('t'))['State'], 'scheduled');
    await server.advance(1);
    assert.deepEqual(await server.taken('mail'), [{ a: 1 }]);
    const { State, Runs, NextMs } = await server.task('t');
    assert.deepEqual([State, Runs, NextMs], ['done', 1, undefined]);
    await server.advance(10_000);
    assert.equal(server.dispatcher.size, 0);
    // The server is asked for what is due, and nothing else is left.
    assert.deepEqual(Object.keys(server.leftovers()).toSorted(), ['accounts', 'waitingBytes']);
  });

  test('nothing is written when a task falls due', async () => {
    const server = new TasksUnderTest({ shards: 1, startsLater: true });
    await server.ok(makeTask('t', { delayMs: 5000 }));
    const before = server.records.length;
    await server.advance(100_000);
    assert.equal(server.records.length, before);
    server.dispatcher.start();
    await server.settle();
    assert.equal(server.records.length, before + 1, 'the message and the end of the run are one commit');
    const { effects } = server.records.at(-1)!;
    assert.ok(effects.some(({ kind }) => kind === kinds.queue) && effects.some(({ kind }) => kind === kinds.task));
  });

  test('nothing is done for a task that is not durable', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.settle();
    server.journalStands = true;
    const before = server.states[0]!.lastRev;
    const client = server.send(makeTask('t', { delayMs: 0 }));
    await server.advance(1000);
    assert.ok(client.waits);
    assert.equal(server.states[0]!.lastRev, before + 1, 'only the task was made');
    server.journalStands = false;
    await server.advance(1000);
    assert.deepEqual(await server.taken('mail'), [1]);
  });

  test('whatever the order of messages, each instant is one message, over all shards', async () => {
    for (let seed = 1; seed <= 25; seed += 1) {
      const server = new TasksUnderTest({ shards: 3, seed });
      const expected: string[] = [];
      for (let i = 0; i < 12; i += 1) {
        const data = `${seed}-${i}`;
        const target = { queue: `q${i % 4}`, data: JSON.stringify(data) };
        server.send(makeTask(`t${i}`, { ...target, delayMs: (i * 37) % 100 }));
        if (i % 3 !== 0) expected.push(data);
        else server.send(cancelTask(`t${i}`));
      }
      server.send(makeTask('tick', { queue: 'q9', data: '"tick"', schedule: { everyMs: 1000 } }));
      await server.advance(3500);
      const found = [];
      for (let i = 0; i < 4; i += 1) found.push(...(await server.taken(`q${i}`)));
      // One that was due at once may have run before it was cancelled.
      const wanted = found.filter((data) => expected.includes(data as string));
      assert.equal(wanted.length, expected.length, `seed ${seed}`);
      assert.deepEqual(new Set(wanted), new Set(expected), `seed ${seed}`);
      assert.equal(new Set(found).size, found.length, `seed ${seed}: none twice`);
      assert.equal((await server.taken('q9')).length, 3, `seed ${seed}: three instants`);
    }
  });

  test('who cancels a task that has run is told that there was none', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('t', { data: '1' }));
    await server.advance(1000);
    assert.equal((await server.task('t'))['State'], 'done');
    assert.equal((await server.ok(cancelTask('t')))['Version'], 0);
    assert.deepEqual(await server.taken('mail'), [1]);
  });

  test('a task that was cancelled, replaced or paused while it was due does not run as it was', async () => {
    for (const change of [cancelTask('t'), changeTask('t', 'pause'), makeTask('t', { data: '2', replace: true })]) {
      const server = new TasksUnderTest({ shards: 1 });
      await server.settle();
      // The shard answers both in one turn: the dispatcher hears of a task that has changed already.
      server.send(makeTask('t', { data: '1' }));
      server.deaf.add(1);
      await server.settle();
      await server.ok(change);
      server.deaf.delete(1);
      await server.advance(1000);
      assert.deepEqual(await server.taken('mail'), change.tasks === undefined ? [] : [2]);
    }
  });

  test('a task that is due again is told again', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    for (let run = 1; run <= 5; run += 1) {
      await server.ok(makeTask('t', { data: String(run), replace: true }));
      assert.deepEqual(await server.taken('mail'), [run]);
    }
  });
});

describe('schedules', () => {
  test('each instant of a schedule is one message', async () => {
    const server = new TasksUnderTest({ shards: 2 });
    await server.ok(makeTask('t', every));
    await server.advance(10 * 60_000);
    assert.equal((await server.taken('mail')).length, 10);
    const { Runs, Skipped, NextMs } = await server.task('t');
    assert.deepEqual([Runs, Skipped, NextMs], [10, 0, server.now + 60_000]);
  });

  for (const [misfire, messages, skipped] of [
    ['latest', 1, 9],
    ['skip', 1, 9],
    ['all', 10, 0],
  ] as const) {
    test(`after a downtime, ${misfire} makes up for ${messages} of ten instants`, async () => {
      const server = new TasksUnderTest({ shards: 1, startsLater: true });
      await server.ok(makeTask('t', { ...every, misfire }));
      await server.advance(10 * 60_000 + 5);
      server.dispatcher.start();
      await server.settle();
      assert.equal((await server.taken('mail')).length, messages);
      const { Runs, Skipped, NextMs } = await server.task('t');
      assert.deepEqual([Runs, Skipped, NextMs], [messages, skipped, server.now - 5 + 60_000]);
    });
  }

  test('skip passes over an instant that is more than a minute late', async () => {
    const server = new TasksUnderTest({ shards: 1, startsLater: true });
    await server.ok(makeTask('t', { schedule: { everyMs: 3_600_000 }, misfire: 'skip' }));
    await server.advance(3_600_000 + 61_000);
    server.dispatcher.start();
    await server.settle();
    assert.deepEqual(await server.taken('mail'), []);
    assert.equal((await server.task('t'))['Skipped'], 1);
  });

  test('all makes up for so many instants at most, and passes over the rest', async () => {
    const server = new TasksUnderTest({ shards: 1, startsLater: true });
    await server.ok(makeTask('t', { ...every, misfire: 'all' }));
    const missed = madeUpMax + 50;
    await server.advance(missed * 60_000 + 5);
    server.dispatcher.start();
    await server.settle();
    const { Runs, Skipped } = await server.task('t');
    assert.deepEqual([Runs, Skipped], [madeUpMax + 1, 49]);
  });

  test('a paused task runs when it is resumed, or when it is asked to', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('t', every));
    await server.ok(changeTask('t', 'pause'));
    await server.advance(5 * 60_000);
    assert.deepEqual(await server.taken('mail'), []);
    assert.equal((await server.ok(changeTask('t', 'run')))['State'], 'paused');
    assert.equal((await server.taken('mail')).length, 1);
    await server.advance(5 * 60_000);
    assert.equal((await server.taken('mail')).length, 0, 'it is still paused');
    await server.ok(changeTask('t', 'resume'));
    assert.equal((await server.taken('mail')).length, 1);
    assert.equal((await server.task('t'))['State'], 'scheduled');
  });

  test('run moves the next run to now, and adds none', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    const { NextMs } = await server.ok(makeTask('t', every));
    await server.ok(changeTask('t', 'run'));
    assert.equal((await server.taken('mail')).length, 1);
    assert.equal((await server.task('t'))['NextMs'], (NextMs as number) + 60_000);
    await server.advance(60_000);
    assert.equal((await server.taken('mail')).length, 0);
    await server.advance(60_000);
    assert.equal((await server.taken('mail')).length, 1);
  });

  test('nothing runs after Until, and the task is done', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('t', { ...every, untilMs: server.now + 150_000 }));
    await server.advance(600_000);
    assert.equal((await server.taken('mail')).length, 2);
    assert.equal((await server.task('t'))['State'], 'done');
  });

  test('the same schedule, saved again and again, keeps its next instant', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('t', every));
    for (let i = 0; i < 240; i += 1) {
      await server.advance(1000);
      await server.ok(makeTask('t', { ...every, replace: true }));
      if (i % 10 === 0) await server.ok(makeTask('t', { ...every, data: String(i), replace: true }));
    }
    assert.equal((await server.taken('mail')).length, 4);
  });
});

describe('failures', () => {
  const full: Batch = {
    kind: 'batch',
    account: acme,
    format: 'queue.policy',
    queueChange: { key: 'mail', change: 'policy', policy: completePolicy({ MaxMessages: 1 }) },
  };
  const retry = { max: 2, minMs: 1000, maxMs: 10_000, factor: 2 };

  async function withFullQueue(server: TasksUnderTest): Promise<void> {
    await server.ok(full);
    const message = { key: 'mail', data: '0', delayMs: 0, ttlMs: 0, priority: 0 };
    await server.ok({ kind: 'batch', account: acme, format: 'batch', enqueue: [message] });
  }

  test('a run that fails is tried again, and then dead; run revives it', async () => {
    const server = new TasksUnderTest({ shards: 2 });
    await withFullQueue(server);
    await server.ok(makeTask('t', { retry }));
    const first = await server.task('t');
    assert.deepEqual([first['State'], first['Attempts']], ['scheduled', 1]);
    assert.match(String(first['LastError']), /MaxMessages/);
    await server.advance(899);
    assert.equal((await server.task('t'))['Attempts'], 1);
    await server.advance(202);
    assert.equal((await server.task('t'))['Attempts'], 2);
    await server.advance(2201);
    const dead = await server.task('t');
    assert.deepEqual([dead['State'], dead['Attempts'], dead['Failed'], dead['Runs']], ['dead', 3, 1, 0]);
    assert.equal((await server.ask(makeTask('t'))).code, 'duplicate_task');
    await server.ok({ ...full, queueChange: { key: 'mail', change: 'purge' }, format: 'queue.purge' });
    await server.ok(changeTask('t', 'run'));
    assert.deepEqual(await server.taken('mail'), [1]);
    assert.equal((await server.task('t'))['State'], 'done');
  });

  test('a schedule goes on after an instant that has failed for good', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await withFullQueue(server);
    await server.ok(makeTask('t', { ...every, retry: { ...retry, max: 0 } }));
    await server.advance(180_000);
    const { State, Failed, Attempts, NextMs } = await server.task('t');
    assert.deepEqual([State, Failed, Attempts, NextMs], ['scheduled', 3, 0, server.now + 60_000]);
  });

  test('a server without space records nothing, and the run comes later', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('t', { delayMs: 1000 }));
    server.journalSpace = 'full';
    await server.advance(5000);
    assert.equal((await server.task('t'))['Attempts'], 0);
    server.journalSpace = 'open';
    await server.advance(1000);
    assert.deepEqual(await server.taken('mail'), [1]);
  });
});

describe('many tasks', () => {
  const accountDueMax = 1000;
  const most = { due: 4000, accountDue: accountDueMax };

  test('an account with a backlog delays no other, and what is over its share is put off', async () => {
    const server = new TasksUnderTest({ shards: 1, startsLater: true, most });
    const many = accountDueMax + 300;
    for (let i = 0; i < many; i += 100) {
      const tasks = Array.from({ length: 100 }, (_, n) => taskOf(`t${i + n}`, { queue: 'mine' }));
      await server.ok(pausedTasks(tasks));
    }
    const other = accountId('other');
    await server.advance(10);
    await server.ok(pausedTasks([taskOf('t', { queue: 'theirs' })], other));
    await server.advance(10);
    server.dispatcher.start();
    await server.settle();
    assert.equal(server.dispatcher.size, 0);
    const runOf = server.records.findIndex(
      ({ account, effects }) => account === other && effects.some(({ kind }) => kind === kinds.queue),
    );
    const before = server.records
      .slice(0, runOf)
      .filter(({ account, effects }) => account === acme && effects.some(({ kind }) => kind === kinds.queue));
    assert.ok(before.length < accountDueMax + 100, `${before.length} runs of the other account went before`);
    await server.advance(taskPutOffMs + 1);
    let got = 0;
    for (let page = 0; page < 5; page += 1) got += (await server.taken('mine')).length;
    assert.equal(got, many);
    assert.deepEqual(await server.taken('theirs', other), [1]);
  });

  test('accounts with backlogs never fill the lines: one more is heard of at once', async () => {
    const server = new TasksUnderTest({ shards: 1, startsLater: true, parallel: 1, most });
    for (let account = 0; account < 6; account += 1) {
      for (let page = 0; page < 12; page += 1) {
        const tasks = Array.from({ length: 100 }, (_, n) => taskOf(`t${page * 100 + n}`, httpTask()));
        await server.ok(pausedTasks(tasks, accountId(`many${account}`)));
      }
    }
    await server.advance(10);
    const other = accountId('other');
    await server.ok(pausedTasks([taskOf('t', { queue: 'theirs' })], other));
    server.sink.answers = () => undefined;
    server.dispatcher.start();
    await server.settle();
    assert.deepEqual(await server.taken('theirs', other), [1], 'although all requests hang');
    assert.ok(server.dispatcher.size > accountDueMax && server.dispatcher.size < most.due);
  });

  test('tasks that were cancelled before they were due leave nothing to do', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    for (let i = 0; i < 50; i += 1) await server.ok(makeTask(`t${i}`, { delayMs: 1000 }));
    for (let i = 0; i < 50; i += 1) await server.ok(cancelTask(`t${i}`));
    await server.advance(5000);
    assert.deepEqual(await server.taken('mail'), []);
    assert.equal(server.dispatcher.size, 0);
  });
});
