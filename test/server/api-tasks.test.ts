/** Tasks: in batches and over REST, their runs, and kills of the server while they are due. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerUnderTest, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

const message = { Queue: 'q', Data: 1 };
interface Taken {
  readonly Messages: readonly { readonly Data: unknown; readonly ID: string; readonly Lock: number }[];
}

/** Takes messages, and waits for the first. */
async function take(from: ServerUnderTest, account: string, queue: string, max = 1): Promise<unknown[]> {
  const { body, status } = await from.call('POST', `/db/${account}/dequeue/${queue}?wait=30&max=${max}&dur=3600`);
  return status === 204 ? [] : (body as unknown as Taken).Messages.map(({ Data }) => Data);
}

test('tasks: a task commits with the rest of its batch, and its message comes', async () => {
  const acc = 'life';
  const made = await server.batch(
    {
      KVSet: { Key: 'order/7', Value: 'paid' },
      Tasks: { ID: 'mail/7', Delay: 0.1, Queue: 'mail', Data: { order: 7 } },
    },
    acc,
  );
  const [task] = (made as unknown as { Tasks: { ID: string; Version: number; Next: number; NextMs: number }[] }).Tasks;
  assert.deepEqual([task!.ID, task!.Version, task!.Next], ['mail/7', made.Rev, Math.ceil(task!.NextMs / 1000)]);
  assert.deepEqual(await take(server, acc, 'mail'), [{ order: 7 }]);
  assert.partialDeepStrictEqual(await server.ok('GET', `/db/${acc}/task/mail/7`), { State: 'done', Runs: 1 });
  const refused = await server.call('POST', `/db/${acc}/task/mail/7`, { ...message });
  assert.deepEqual([refused.status, refused.body.Code], [409, 'duplicate_task']);
  await server.batchFails(
    'duplicate_task',
    { Tasks: { ID: 'mail/7', ...message }, KVSet: { Key: 'x', Value: 1 } },
    acc,
  );
  assert.equal((await server.call('GET', `/db/${acc}/kv/x`)).status, 404);
});

test('tasks: REST makes, shows, lists, pauses, runs, resumes and cancels', async () => {
  const db = '/db/rest';
  const every = { Every: 3600, Queue: 'ticks', Data: 'tick', Misfire: 'skip' };
  const { Version } = await server.ok('POST', `${db}/task/a/b`, every);
  assert.partialDeepStrictEqual(await server.ok('GET', `${db}/task/a%2Fb`), { ID: 'a/b', Every: 3600, Data: 'tick' });
  assert.partialDeepStrictEqual(await server.ok('POST', `${db}/pause/task/a/b`), { ID: 'a/b', State: 'paused' });
  await server.ok('POST', `${db}/run/a/b`);
  assert.deepEqual(await take(server, 'rest', 'ticks'), ['tick']);
  assert.partialDeepStrictEqual(await server.ok('POST', `${db}/resume/task/a/b`), { State: 'scheduled' });
  const { Tasks } = (await server.ok('GET', `${db}/task?prefix=a/`)) as unknown as { Tasks: object[] };
  assert.partialDeepStrictEqual(Tasks, [{ ID: 'a/b', State: 'scheduled', Runs: 1 }]);
  assert.equal(Object.hasOwn(Tasks[0]!, 'Data'), false);
  await server.fails('version_mismatch', 'DELETE', `${db}/task/a/b?ver=${Version + 1000}`);
  assert.partialDeepStrictEqual(await server.ok('DELETE', `${db}/task/a/b?ver=${Version}`), { ID: 'a/b', Version });
  assert.partialDeepStrictEqual(await server.ok('DELETE', `${db}/task/a/b`), { Version: 0 });
  await server.fails('not_found', 'POST', `${db}/run/a/b`);
});

test('tasks: without an ID the server makes one up, the same for a retry', async () => {
  const task = { Delay: 3600, Queue: 'jobs', Data: 1 };
  const make = async (headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const { ID } = (await server.ok('POST', '/db/unnamed/task', task, { headers })) as unknown as { ID: string };
    assert.match(ID, /^[\w-]{20}$/);
    return ID;
  };
  const once = { 'idempotency-key': 'a' };
  const ids = [await make(), await make(), await make(once), await make(once), await make({ 'idempotency-key': 'b' })];
  assert.equal(new Set(ids).size, 4);
  assert.equal(ids[2], ids[3]);
  const { Tasks } = (await server.ok('GET', '/db/unnamed/task')) as unknown as { Tasks: { ID: string }[] };
  assert.deepEqual(new Set(Tasks.map(({ ID }) => ID)), new Set(ids));
});

test('tasks: what is out of range is refused with the name of the field', async () => {
  const ten = 10 * 366 * 86_400;
  const bad: readonly (readonly [object, string])[] = [
    [{ Queue: 'q' }, 'Tasks[0].Data'],
    [{ Data: 1 }, 'Tasks[0].Queue'],
    [{ ...message, At: 1, Delay: 1 }, 'Tasks[0].Delay'],
    [{ ...message, Cron: '* * * * *', Every: 5 }, 'Tasks[0].Every'],
    [{ ...message, Cron: '* * * *' }, 'Tasks[0].Cron'],
    [{ ...message, Cron: '0 0 30 2 *' }, 'Tasks[0].Cron'],
    [{ ...message, Cron: '@daily' }, 'Tasks[0].Cron'],
    [{ ...message, Cron: '* * * * *', TZ: 'Europe/Roma' }, 'Tasks[0].TZ'],
    [{ ...message, Cron: '* * * * *', TZ: '+02:00' }, 'Tasks[0].TZ'],
    [{ ...message, TZ: 'UTC' }, 'Tasks[0].TZ'],
    [{ ...message, Every: 0.5 }, 'Tasks[0].Every'],
    [{ ...message, Delay: ten + 1 }, 'Tasks[0].Delay'],
    [{ ...message, At: 99_999_999_999 }, 'Tasks[0].At'],
    [{ ...message, Misfire: 'latest' }, 'Tasks[0].Misfire'],
    [{ ...message, Every: 5, Misfire: 'never' }, 'Tasks[0].Misfire'],
    [{ ...message, Until: 5 }, 'Tasks[0].Until'],
    [{ ...message, Every: 5, Until: 5 }, 'Tasks[0].Until'],
    [{ ...message, Retry: { Max: 101 } }, 'Tasks[0].Retry.Max'],
    [{ ...message, Retry: { Min: 10, MaxDelay: 5 } }, 'Tasks[0].Retry.Min'],
    [{ ...message, Version: 3 }, 'Tasks[0].Version'],
    [{ ...message, URL: 'http://127.0.0.1/' }, 'Tasks[0].Queue'],
  ];
  for (const [task, field] of bad) {
    const { Message } = await server.batchFails('invalid', { Tasks: { ID: 't', ...task } }, 'bad');
    assert.ok(Message.startsWith(field), `${JSON.stringify(task)}: ${Message}`);
  }
  const zone = { ID: 't', ...message, Cron: '* * * * *', TZ: 'Europe/Roma' };
  assert.match((await server.batchFails('invalid', { Tasks: zone }, 'bad')).Message, /did you mean "Europe\/Rome"/);
  const twice = {
    Tasks: [
      { ID: 't', ...message },
      { ID: 't', ...message },
    ],
  };
  assert.match((await server.batchFails('invalid', twice, 'bad')).Message, /^Tasks\[1\]\.ID/);
  await server.batchFails('too_large', { Tasks: { ID: 't', Queue: 'q', Data: 'x'.repeat(256 * 1024) } }, 'bad');
  const patterns = Array.from({ length: 17 }, (_, i) => ({ ID: `t${i}`, ...message, Cron: '* * * * *' }));
  await server.batchFails('too_large', { Tasks: patterns }, 'bad');
  const array = patterns.map((task) => ({ Tasks: [task] }));
  await server.batchFails('too_large', array, 'bad');
});

test('tasks: a retry under an idempotency id is the same request, also after the next instant of its pattern', async () => {
  const task = { Tasks: { ID: 'c', ...message, Cron: '* * * * * *' }, IdempotencyIDs: 'i', IdempotencyMode: 'replay' };
  const first = await server.batch(task, 'once');
  // Its messages come once a second: then the first instant of the pattern is another one.
  await take(server, 'once', 'q');
  await take(server, 'once', 'q');
  assert.deepEqual(await server.batch(task, 'once'), first);
});

test('tasks: what is due while the server is killed again and again is one message each', async (t) => {
  const many = await ServerUnderTest.forTest(t, { config: 'shards: 2\n' });
  const count = 300;
  const ids = Array.from({ length: count }, (_, i) => `t${i}`);
  await many.batch({ Tasks: ids.map((ID, i) => ({ ID, Queue: `q${i % 3}`, Data: ID, Delay: (i % 100) / 50 })) });
  await many.batch({ Tasks: { ID: 'tick', Every: 1, Queue: 'ticks', Data: 'tick', Misfire: 'all' } });
  for (let kill = 0; kill < 3; kill += 1) {
    await take(many, 'acc', 'ticks');
    await many.restart('kill');
  }
  const found: unknown[] = [];
  for (const queue of ['q0', 'q1', 'q2']) {
    for (let left = count / 3; left > 0; ) {
      const got = await take(many, 'acc', queue, 100);
      assert.ok(got.length > 0, `${left} messages of ${queue} are missing`);
      found.push(...got);
      left -= got.length;
    }
    assert.equal(((await many.ok('GET', `/db/acc/queue/${queue}`)) as unknown as { Ready: number }).Ready, 0);
  }
  assert.equal(found.length, ids.length);
  assert.deepEqual(new Set(found), new Set(ids));
  const { Runs, Skipped, Failed } = (await many.ok('GET', '/db/acc/task/tick')) as unknown as Record<string, number>;
  const { InFlight, Ready } = (await many.ok('GET', '/db/acc/queue/ticks')) as unknown as Record<string, number>;
  assert.deepEqual([Skipped, Failed], [0, 0]);
  assert.ok(InFlight! + Ready! >= Runs!, `${InFlight} and ${Ready} messages of ${Runs} runs`);
});
