/** One account uses up everything that it can; another is served all the while, without one refusal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bystander } from '../load-faults/bystander.ts';
import { closeAll, openMany, requestBytes, type RawReply } from '../support/raw-connection.ts';
import { eventually, serverForFile } from '../support/server-under-test.ts';

const limits = `
limits:
  mutexes_per_shard_max: 2000
  waiters_per_shard_max: 2000
  watchers_max: 2000
  inflight_per_shard_max: 2000
  account_connections_max: 30
accounts:
  - { name: slow, requests_per_second: 2 }
  - { name: small, waiters_max: 1, watchers_max: 0 }
http: { threads: 2 }
shards: 2
`;
const server = serverForFile({ config: limits });

interface Refused {
  readonly Code: string;
  readonly Quota: string;
  readonly Limit: number;
}

function refusals(replies: readonly (RawReply | undefined)[]): Map<string, Refused> {
  const found = new Map<string, Refused>();
  for (const reply of replies) {
    if (reply === undefined || reply.status === 200) continue;
    assert.equal(reply.status, 429, reply.body);
    const body = JSON.parse(reply.body) as Refused;
    found.set(body.Quota, body);
  }
  return found;
}

async function waiting(): Promise<number> {
  const { text } = await server.call('GET', '/metrics');
  const lines = text.split('\n').filter((line) => line.startsWith('dragonlock_shard_waiters{'));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

test('2,100 mutexes, pipelined waits and watches of one account leave room for another', async () => {
  const bystander = Bystander.start(server.port);
  const connections = await openMany(server.port, 20);
  const each = 105;
  const ask = async (request: (n: number) => string): Promise<(RawReply | undefined)[]> => {
    const replies = connections.flatMap((connection, i) => {
      connection.socket.write(Array.from({ length: each }, (_, n) => request(i * each + n)).join(''));
      return Array.from({ length: each }, () => connection.reply());
    });
    return Promise.all(replies);
  };
  const mutexes = refusals(await ask((n) => requestBytes('POST', `/db/greedy/mlock/m${n}?id=x&dur=300`)));
  // Two shards have some 1,050 each.
  for (const { Code, Limit } of mutexes.values()) assert.deepEqual([Code, Limit], ['rate_limited', 1000]);
  const held = await server.ok('POST', '/db/greedy/lock/l?id=holder&dur=300');
  assert.ok(held.Rev);
  const waits = ask((n) => requestBytes('POST', `/db/greedy/lock/l?id=w${n}&dur=300&wait=300`));
  await eventually('a thousand wait', async () => (await waiting()) >= 1000);
  assert.ok((await waiting()) <= 1001, 'and the one of the bystander');
  const watching = await openMany(server.port, 9);
  for (const { socket } of watching) {
    const one = requestBytes('POST', '/watch/greedy', { ID: 'k', Version: 0, Wait: 300 });
    socket.write(one.repeat(234));
  }
  // Of the 2,106 watches a thousand are open; the refusals stand behind them.
  await eventually('a thousand watch', async () => (await server.metric('dragonlock_watchers')) >= 1000);
  await bystander.stop(5);
  await closeAll([...connections, ...watching]);
  await waits;
  await server.waiters(0);
  const free = await server.call('POST', '/db/greedy/lock/l?id=late&dur=300&wait=0.1');
  assert.equal((JSON.parse(free.text) as Refused).Code, 'not_locked', 'it may wait again');
});

test('connections of an account have a limit; a connection counts for the account of its last request', async () => {
  const connections = await openMany(server.port, 31);
  const ask = async (account: string): Promise<(RawReply | undefined)[]> =>
    Promise.all(connections.map((connection) => connection.ask('GET', `/db/${account}/kv`)));
  const one = refusals(await ask('one')).get('connections');
  assert.deepEqual([one?.Code, one?.Limit], ['rate_limited', 30]);
  assert.equal((await connections[0]!.ask('GET', '/db/two/kv'))?.status, 200);
  assert.equal((await connections[30]!.ask('GET', '/db/one/kv'))?.status, 200, 'the first has left its place');
  await closeAll(connections.slice(1));
  const again = await openMany(server.port, 29);
  await eventually('closed ones do not count', async () => {
    const replies = await Promise.all(again.map((connection) => connection.ask('GET', '/db/one/kv')));
    return replies.every((reply) => reply?.status === 200);
  });
  await closeAll([...again, connections[0]!]);
});

test('an account in config.yml has its own limits', async () => {
  const replies = await Promise.all(Array.from({ length: 5 }, () => server.call('GET', '/db/slow/kv')));
  const refused = replies.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 2, 'two a second');
  const { Quota, Limit } = JSON.parse(refused[0]!.text) as Refused;
  assert.deepEqual([Quota, Limit, refused[0]!.headers['retry-after']], ['requests', 2, '1']);
});
