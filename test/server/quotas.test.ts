/** Quotas through every door: HTTP, arrays of batches, Redis, the command. One account is full, another notices nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock, QuotaExceededError } from '../../src/client/exports.ts';
import { runCommand } from '../cli/command-under-test.ts';
import { RespClient } from '../support/resp-client.ts';
import { ServerUnderTest } from '../support/server-under-test.ts';

const config = `
shards: 2
resp: {listen: "127.0.0.1:0"}
limits: { account_bytes_max: 20000 }
accounts:
  - { name: few, entries_max: 3, messages_max: 2 }
  - { name: free, bytes_max: 0 }
  - { name: timed, tasks_max: 3 }
`;

/** In this error it is a number. */
function limitOf({ Limit }: { readonly Limit: unknown }): unknown {
  return Limit;
}

test('a full account is refused what adds and served what frees, through every door; others notice nothing', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  const value = JSON.stringify('x'.repeat(9000));
  for (const account of ['full', 'free', 'other'])
    for (let i = 0; i < 2; i += 1) await server.ok('POST', `/db/${account}/kv/k${i}`, value);
  await server.ok('POST', '/db/full/kv/k2', value);
  const refused = await server.fails('quota_exceeded', 'POST', '/db/full/kv/k3', 1);
  assert.equal(refused.Quota, 'bytes');
  assert.equal(limitOf(refused), 20_000);
  const { Bytes, Entries, Limits } = await server.ok('GET', '/db/full/usage');
  assert.deepEqual([refused.Used, Entries['kv'], Limits['Bytes']], [Bytes, 3, 20_000]);

  const array = await server.call('POST', '/db/full', [{ KVSet: { Key: 'a', Value: 1 } }, { KVGet: 'k0' }]);
  const [first, second] = JSON.parse(array.text) as { Code?: string; KV?: object[] }[];
  assert.deepEqual([first!.Code, second!.KV?.length], ['quota_exceeded', 1]);

  const redis = await RespClient.open(server.respPort);
  await redis.ok('AUTH', 'full', 'any');
  await redis.fails(/^OOM command not allowed: .*bytes/, 'SET', 'new', 'x'.repeat(9000));
  redis.close();

  const { url } = server;
  await using client = new DragonLock({ url, account: 'full' });
  const error = await client.kv.set('new', 1).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof QuotaExceededError);
  assert.deepEqual([error.quota, error.limit, error.used], ['bytes', 20_000, Bytes]);
  const command = await runCommand(t, ['kv', 'put', 'new', '1'], { url, account: 'full' });
  assert.equal(command.code, 69);
  await server.ok('POST', '/db/other/kv/more', 1);
  for (let i = 2; i < 5; i += 1) await server.ok('POST', `/db/free/kv/k${i}`, value);

  await server.restart('kill');
  await server.fails('quota_exceeded', 'POST', '/db/full/kv/k3', 1);
  await using again = new DragonLock({ url: server.url, account: 'full' });
  assert.equal(await again.kv.delete('k2'), true);
  await again.kv.set('new', 1);
  const { entries, limits } = await again.usage();
  assert.deepEqual([entries['kv'], limits.bytes], [3, 20_000]);
});

test('an account with quotas of its own is refused by them', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  await server.ok('POST', '/db/few/queue/q', 1);
  await server.ok('POST', '/db/few/queue/p', 2);
  const refused = await server.fails('quota_exceeded', 'POST', '/db/few/queue/q', 3);
  assert.deepEqual([refused.Quota, limitOf(refused), refused.Used], ['messages', 2, 2]);
  await server.ok('POST', '/db/few/kv/k', 1);
  assert.equal((await server.fails('quota_exceeded', 'POST', '/db/few/lock/l?dur=60&id=o')).Quota, 'entries');
  const { text } = await server.call('POST', '/db/few/dequeue/q?dur=60');
  const { Messages } = JSON.parse(text) as {
    readonly Messages: readonly { readonly ID: string; readonly Lock: number }[];
  };
  const { ID, Lock } = Messages[0]!;
  await server.ok('POST', `/db/few/ack/q?id=${ID}&lock=${Lock}`);
  await server.ok('POST', '/db/few/lock/l?dur=60&id=o');
});

const make = (id: string, more: object = {}) =>
  ['POST', `/db/timed/task/${id}`, { Queue: 'q', Data: 1, ...more }] as const;

test('an account may have so many tasks; those that have ended count, exactly so over a kill; to cancel one makes room', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  await server.ok(...make('now'));
  await server.ok(...make('later', { Delay: 1000 }));
  await server.ok(...make('again', { Every: 3600 }));
  const full = async (): Promise<void> => {
    const refused = await server.fails('quota_exceeded', ...make('more'));
    assert.deepEqual([refused.Quota, limitOf(refused), refused.Used], ['tasks', 3, 3]);
    assert.match(refused.Message, /tasks_max/);
    const { Entries, Limits } = await server.ok('GET', '/db/timed/usage');
    assert.deepEqual([Entries['tasks'], Limits['Tasks']], [3, 3]);
  };
  await full();
  // What does not add is served: other things, the end of a run, and a task in the place of another.
  await server.ok('POST', '/db/timed/kv/k', 1);
  await server.ok(...make('later', { Delay: 2000, Replace: true }));
  await server.ok('POST', '/db/timed/run/again');
  await server.restart('kill');
  await full();
  await server.ok('DELETE', '/db/timed/task/now');
  await server.ok(...make('instead'));
  await full();
  await server.ok('POST', '/db/other/task/t', { Queue: 'q', Data: 1 });
});
