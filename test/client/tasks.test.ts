import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DragonLock,
  DuplicateTaskError,
  InvalidError,
  NotFoundError,
  VersionMismatchError,
} from '../../src/client/exports.ts';
import { serverForFile } from '../support/server-under-test.ts';

const shared = serverForFile();
const target = { queue: 'jobs', data: { job: 1 } };

test('task: at, after, cron and every make tasks; get, list, run, pause, resume and cancel', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'tasks1' });
  const { tasks } = client;
  const at = new Date(Date.now() + 3_600_000);
  const made = await tasks.at('a', at, { ...target, group: 'g' }, { maxLate: '5s', retry: { max: 2, min: 100 } });
  assert.deepEqual([made.id, made.next], ['a', at.getTime()]);
  await tasks.after('b', '1h', target);
  await tasks.cron('c', '30 2 * * *', target, { tz: 'Europe/Rome', misfire: 'skip' });
  await tasks.every('d', '90s', target, { until: Date.now() + 86_400_000 });
  assert.deepEqual(await Array.fromAsync(tasks.list(''), ({ id }) => id), ['a', 'b', 'c', 'd']);
  const cron = await tasks.get('c');
  assert.deepEqual(
    [cron?.cron, cron?.tz, cron?.data, cron?.every],
    ['30 2 * * *', 'Europe/Rome', { job: 1 }, undefined],
  );
  assert.equal((await tasks.get('d'))?.every, 90_000);
  assert.equal(await tasks.get('none'), undefined);

  assert.equal((await tasks.pause('c')).state, 'paused');
  assert.deepEqual(await Array.fromAsync(tasks.list('', { state: 'paused' }), ({ id }) => id), ['c']);
  assert.equal((await tasks.resume('c')).state, 'scheduled');
  await tasks.run('b');
  const [message] = await client.queue('jobs').take({ wait: 30_000 });
  assert.deepEqual(message?.data, { job: 1 });
  assert.equal((await tasks.get('b'))?.state, 'done');
  await assert.rejects(tasks.run('none'), NotFoundError);

  assert.equal(await tasks.cancel('a', { version: made.version }), true);
  assert.equal(await tasks.cancel('a'), false);
});

test('task: a second one is refused, unless it replaces the first', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'tasks2' });
  const { tasks } = client;
  const first = await tasks.after('a', '1h', target);
  await assert.rejects(tasks.after('a', '1h', target), (error) => {
    return error instanceof DuplicateTaskError && error.id === 'a' && error.state === 'scheduled';
  });
  const second = await tasks.after('a', '2h', target, { replace: true, version: first.version });
  await assert.rejects(tasks.after('a', '1h', target, { replace: true, version: first.version }), VersionMismatchError);
  assert.ok(second.version > first.version && second.next > first.next);
});

test('task: with other writes in one batch', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'tasks3' });
  const made = await client.batch({
    set: [{ key: 'k', value: 1 }],
    tasks: [{ id: 'a', delay: '1h', ...target }],
    cancelTasks: [{ id: 'none' }],
  });
  assert.deepEqual(made.cancelled, [{ id: 'none', version: 0 }]);
  assert.deepEqual([made.tasks![0]!.id, made.tasks![0]!.version], ['a', made.rev]);
  const { cancelled } = await client.batch({ cancelTasks: [{ id: 'a' }] });
  assert.deepEqual(cancelled, [{ id: 'a', version: made.rev }]);
});

test('task: mistakes are told in the names that the caller has written', async () => {
  await using client = new DragonLock({ url: shared.url, account: 'tasks4' });
  const { tasks } = client;
  assert.match(await told(tasks.at('a', Number.NaN, target)), /^at: expected a Date/);
  assert.match(await told(tasks.every('a', 10, target)), /^every: expected 1000 to/);
  assert.match(await told(tasks.cron('a', '* * *', target)), /^cron: expected a cron pattern/);
  assert.match(await told(tasks.cron('a', '* * * * *', target, { tz: 'Europe/Roma' })), /^tz: .*did you mean/);
  assert.match(await told(tasks.after('a', 1, { queue: '', data: 1 })), /^queue: expected/);
  assert.match(await told(tasks.after('a', 1, target, { misfired: 'skip' } as object)), /misfired/);
});

async function told(made: Promise<unknown>): Promise<string> {
  const error = await made.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof InvalidError, String(error));
  return error.message;
}
