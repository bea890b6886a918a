import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import type { TaskOperation } from '../../src/protocol/operations/task-definition.ts';
import { completePolicy } from '../../src/protocol/operations/queue-policy.ts';
import { verifyWebhook } from '../../src/client/webhook.ts';
import { acme } from '../support/commands.ts';
import { cancelTask, changeTask, httpTask, makeTask, taskOf } from '../support/task-commands.ts';
import { TasksUnderTest } from '../support/tasks-under-test.ts';

const retry = { max: 2, minMs: 1000, maxMs: 10_000, factor: 2 };

function tasksOf(tasks: readonly TaskOperation[], account = acme): Batch {
  return { kind: 'batch', account, format: 'batch', tasks };
}

function secretCommand(change: 'secret.get' | 'secret.rotate', candidate: string): Batch {
  return { kind: 'batch', account: acme, format: change, taskSetting: { key: 'secret', change, candidate } };
}

describe('requests', () => {
  test('a request is sent at its instant, with what it says, and its run is recorded', async () => {
    const server = new TasksUnderTest({ shards: 2 });
    await server.ok(makeTask('t', httpTask({ delayMs: 5000, body: '{"a":1}', headers: { authorization: 'x' } })));
    await server.advance(4999);
    assert.equal(server.sink.seen.length, 0);
    await server.advance(1);
    const [request] = server.sink.seen;
    assert.equal(server.sink.seen.length, 1);
    const { headers, body, method, url } = request!;
    assert.deepEqual([method, url, body], ['POST', 'https://app.example/hook', '{"a":1}']);
    assert.deepEqual(
      [headers['content-type'], headers['authorization'], headers['dragonlock-attempt']],
      ['application/json', 'x', '1'],
    );
    assert.equal(headers['dragonlock-scheduled'], String(server.now));
    const { State, Runs, LastStatus, HeaderNames } = await server.task('t');
    assert.deepEqual([State, Runs, LastStatus, HeaderNames], ['done', 1, 200, ['authorization']]);
    assert.equal(server.dispatcher.size, 0);
  });

  test('a request is signed with the secret of its account, and with the one before for a day', async () => {
    const server = new TasksUnderTest({ shards: 2 });
    const { Secret: first } = await server.ok(secretCommand('secret.get', 'whsec_MQ=='));
    assert.equal((await server.ok(secretCommand('secret.get', 'whsec_Mg==')))['Secret'], first);
    const verify = (secret: unknown): string => {
      const { headers, body = '' } = server.sink.seen.at(-1)!;
      return verifyWebhook(headers, body, secret as string, { now: server.now }).id;
    };
    await server.ok(makeTask('t', httpTask({ body: '1' })));
    const id = verify(first);
    assert.doesNotMatch(id, /\./);
    const { Secret: second, Old } = await server.ok(secretCommand('secret.rotate', 'whsec_Mw=='));
    assert.deepEqual([second, Old], ['whsec_Mw==', first]);
    await server.ok(makeTask('u', httpTask({ body: '1' })));
    assert.notEqual(verify(first), id);
    verify(second);
    await server.advance(24 * 3_600_000 + 1);
    await server.ok(makeTask('v', httpTask({ body: '1' })));
    verify(second);
    assert.throws(() => verify(first));
  });

  test('all tries of an instant have one id and ascending fences', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => ({ status: 500, body: 'broken' });
    await server.ok(makeTask('t', httpTask({ retry })));
    await server.advance(10_000);
    const { seen } = server.sink;
    assert.equal(seen.length, 3);
    assert.equal(new Set(seen.map(({ headers }) => headers['webhook-id'])).size, 1);
    assert.deepEqual(
      seen.map(({ headers }) => headers['dragonlock-attempt']),
      ['1', '2', '3'],
    );
    const fences = seen.map(({ headers }) => Number(headers['dragonlock-fence']));
    assert.ok(fences[0]! < fences[1]! && fences[1]! < fences[2]!);
    const { State, Failed, LastStatus, LastError } = await server.task('t');
    assert.deepEqual([State, Failed, LastStatus, LastError], ['dead', 1, 500, 'status 500: broken']);
    server.sink.answers = () => ({ status: 204, body: '' });
    await server.ok(changeTask('t', 'run'));
    assert.equal((await server.task('t'))['State'], 'done');
  });

  test('every answer but 2xx is tried again, also a redirect; 410 ends the task', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    for (const status of [199, 301, 404, 500]) {
      server.sink.answers = () => ({ status, body: '' });
      await server.ok(makeTask(`t${status}`, httpTask({ retry })));
      assert.equal((await server.task(`t${status}`))['Attempts'], 1, String(status));
    }
    server.sink.answers = () => ({ status: 410, body: '' });
    await server.ok(makeTask('gone', httpTask({ retry, schedule: { everyMs: 1000 } })));
    await server.advance(5000);
    assert.deepEqual([(await server.task('gone'))['State'], (await server.task('gone'))['Attempts']], ['dead', 1]);
    server.sink.answers = () => ({ error: 'connect ECONNREFUSED' });
    await server.ok(makeTask('none', httpTask({ retry })));
    const { LastError, LastStatus } = await server.task('none');
    assert.deepEqual([LastError, LastStatus], ['connect ECONNREFUSED', undefined]);
  });

  test('429 and 503 may ask for a later try, at most an hour later', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    for (const [status, retryAfter, ms] of [
      [503, '100', 100_000],
      [429, 'seconds', 1000],
      [429, '999999', 3_600_000],
      [500, '100', 1000],
    ] as const) {
      const id = `${status} ${retryAfter}`;
      let tries = 0;
      server.sink.answers = () => ((tries += 1) === 1 ? { status, body: '', retryAfter } : { status: 200, body: '' });
      await server.ok(makeTask(id, httpTask({ retry })));
      await server.advance(ms === 1000 ? 899 : ms - 1);
      assert.equal(tries, 1, id);
      await server.advance(300);
      assert.equal(tries, 2, id);
    }
  });

  test('nothing is sent for a task that is not durable', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    await server.ok(makeTask('first', httpTask()));
    server.journalStands = true;
    server.send(makeTask('t', httpTask()));
    await server.advance(1000);
    assert.equal(server.sink.seen.length, 1);
    server.journalStands = false;
    await server.advance(1000);
    assert.equal(server.sink.seen.length, 2);
  });

  test('a run that goes on is shown, and there is never a second one of its task', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => undefined;
    await server.ok(makeTask('t', httpTask({ schedule: { everyMs: 1000 } })));
    await server.advance(1000);
    assert.equal((await server.task('t'))['State'], 'running');
    await server.advance(10_000);
    await server.ok(makeTask('t', httpTask({ schedule: { everyMs: 2000 }, replace: true })));
    await server.ok(changeTask('t', 'run'));
    await server.advance(10_000);
    assert.equal(server.sink.seen.length, 1);
    server.sink.seen[0]!.end();
    await server.settle();
    assert.equal(server.sink.seen.length, 2);
    assert.equal(server.sink.open.size, 1);
  });

  test('a stop begins nothing more, and waits for what is under way, for so long at most', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => undefined;
    await server.ok(makeTask('t', httpTask()));
    await server.ok(makeTask('late', httpTask({ delayMs: 500 })));
    let stopped = false;
    void server.dispatcher.stop(10_000).then(() => (stopped = true));
    await server.advance(1000);
    assert.deepEqual([stopped, server.sink.seen.length], [false, 1]);
    server.sink.seen[0]!.end();
    await server.settle();
    assert.equal(stopped, true);
    const { State, Runs } = await server.task('t');
    assert.deepEqual([State, Runs, (await server.task('late'))['Runs']], ['done', 1, 0]);

    const hung = new TasksUnderTest({ shards: 1 });
    hung.sink.answers = () => undefined;
    await hung.ok(makeTask('t', httpTask()));
    let gaveUp = false;
    void hung.dispatcher.stop(10_000).then(() => (gaveUp = true));
    await hung.advance(9999);
    assert.equal(gaveUp, false);
    await hung.advance(1);
    assert.equal(gaveUp, true);
  });

  test('a task that was cancelled before its run begins sends nothing', async () => {
    const server = new TasksUnderTest({ shards: 1, parallel: 1 });
    server.sink.answers = () => undefined;
    await server.ok(makeTask('first', httpTask()));
    await server.ok(makeTask('second', httpTask()));
    assert.equal(server.sink.seen.length, 1);
    await server.ok(cancelTask('second'));
    server.sink.seen[0]!.end();
    await server.advance(1000);
    assert.equal(server.sink.seen.length, 1);
    assert.equal(server.dispatcher.size, 0);
  });

  test('a pause and a run that were asked for meanwhile stay, and the run is recorded all the same', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => undefined;
    await server.ok(makeTask('t', httpTask({ schedule: { everyMs: 1000 } })));
    await server.advance(1000);
    await server.ok(changeTask('t', 'pause'));
    server.sink.seen[0]!.end();
    await server.advance(5000);
    const { State, Runs } = await server.task('t');
    assert.deepEqual([State, Runs, server.sink.seen.length], ['paused', 1, 1]);
    await server.ok(changeTask('t', 'resume'));
    await server.settle();
    assert.equal(server.sink.seen.length, 2);
  });

  for (const [overlap, runs, skipped] of [
    [undefined, 2, 3],
    ['queue', 3, 2],
  ] as const) {
    test(`instants that pass while a run goes on: Overlap ${overlap ?? 'skip'}`, async () => {
      const server = new TasksUnderTest({ shards: 1 });
      server.sink.answers = () => (server.sink.seen.length === 1 ? undefined : { status: 200, body: '' });
      await server.ok(makeTask('t', httpTask({ schedule: { everyMs: 1000 }, ...(overlap && { overlap }) })));
      await server.advance(1000);
      await server.advance(3500);
      server.sink.seen[0]!.end();
      await server.settle();
      await server.advance(500);
      const { Runs, Skipped } = await server.task('t');
      assert.deepEqual([Runs, Skipped], [runs, skipped]);
    });
  }

  test('the result of a run is enqueued in the commit that ends it', async () => {
    const server = new TasksUnderTest({ shards: 2 });
    server.sink.answers = () => ({ status: 201, body: 'made "it"' });
    await server.ok(makeTask('t', httpTask({ resultQueue: 'done' })));
    assert.deepEqual(await server.taken('done'), [{ ID: 't', Status: 201, Body: 'made "it"', Attempts: 1 }]);
    server.sink.answers = () => ({ error: 'no' });
    await server.ok(makeTask('u', httpTask({ resultQueue: 'done', retry: { ...retry, max: 1 } })));
    await server.advance(2000);
    assert.deepEqual(await server.taken('done'), [{ ID: 'u', Status: 0, Body: 'no', Attempts: 2 }]);
  });

  test('a result that cannot be enqueued does not send the request again', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    const policy = completePolicy({ MaxMessages: 1 });
    const change = { key: 'done', change: 'policy', policy } as const;
    await server.ok({ kind: 'batch', account: acme, format: 'queue.policy', queueChange: change });
    await server.ok(makeTask('t', httpTask({ resultQueue: 'done' })));
    await server.ok(makeTask('u', httpTask({ resultQueue: 'done' })));
    await server.advance(10_000);
    assert.equal(server.sink.seen.length, 2);
    const { State, LastError } = await server.task('u');
    assert.equal(State, 'done');
    assert.match(String(LastError), /MaxMessages/);
  });

  test('a run that cannot be recorded is not sent again', async () => {
    const server = new TasksUnderTest({ shards: 1 });
    server.sink.answers = () => undefined;
    await server.ok(makeTask('t', httpTask()));
    server.journalSpace = 'full';
    server.sink.seen[0]!.end();
    await server.advance(5000);
    server.journalSpace = 'open';
    await server.advance(1000);
    assert.equal(server.sink.seen.length, 1);
    assert.equal((await server.task('t'))['State'], 'done');
  });
});

describe('shares', () => {
  test('accounts whose requests hang leave places for others', async () => {
    const server = new TasksUnderTest({ shards: 1, parallel: 64 });
    server.sink.answers = ({ url }) => (url.includes('hang') ? undefined : { status: 200, body: '' });
    for (let n = 0; n < 8; n += 1) {
      const tasks = Array.from({ length: 40 }, (_, i) => taskOf(`t${i}`, httpTask({ url: 'https://hang.example/' })));
      await server.ok(tasksOf(tasks, accountId(`slow${n}`)));
    }
    assert.ok(server.sink.open.size < 64, `${server.sink.open.size} hang`);
    await server.ok(tasksOf([taskOf('t', httpTask())], accountId('other')));
    assert.equal(server.sink.seen.at(-1)!.url, 'https://app.example/hook');
  });

  test('requests that hang do not hold back messages of the same account', async () => {
    const server = new TasksUnderTest({ shards: 1, parallel: 1 });
    server.sink.answers = () => undefined;
    await server.ok(tasksOf([taskOf('a', httpTask()), taskOf('b', httpTask()), taskOf('c', { queue: 'mail' })]));
    assert.deepEqual(await server.taken('mail'), [1]);
  });
});
