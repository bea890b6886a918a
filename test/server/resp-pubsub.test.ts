/** Channels and notifications of keys, over two front ends: whichever a client is connected to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RespClient } from '../support/resp-client.ts';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile({
  config: 'resp: {listen: "127.0.0.1:0"}\nhttp: {threads: 2}\nlimits: {account_watchers_max: 20}',
});

async function connect(account: string, protocol = 3): Promise<RespClient> {
  const client = await RespClient.open(server.respPort);
  await client.ok('HELLO', protocol, 'AUTH', account, 'any');
  return client;
}

/** Connections, some at each front end. */
function several(account: string, count = 6): Promise<RespClient[]> {
  return Promise.all(Array.from({ length: count }, () => connect(account)));
}

function closeAll(...clients: readonly RespClient[]): void {
  for (const client of clients) client.close();
}

test('a message reaches every subscriber once, in order, and none of another account', async () => {
  const subscribers = await several('ps');
  const [publisher, stranger] = [await connect('ps'), await connect('other')];
  for (const client of [...subscribers, stranger]) {
    client.socket.write('SUBSCRIBE news\r\nPSUBSCRIBE n?w*\r\n');
    await client.pushed(2);
    assert.deepEqual(client.pushes.splice(0), [
      ['subscribe', 'news', 1],
      ['psubscribe', 'n?w*', 2],
    ]);
  }
  for (let i = 0; i < 20; i += 1) assert.equal(await publisher.ok('PUBLISH', 'news', `m${i}`), 12);
  for (const client of subscribers) {
    await client.pushed(40);
    const plain = client.pushes.filter((push) => (push as string[])[0] === 'message');
    assert.deepEqual(
      plain,
      Array.from({ length: 20 }, (_, i) => ['message', 'news', `m${i}`]),
    );
  }
  assert.deepEqual(await publisher.ok('PUBSUB', 'NUMSUB', 'news', 'none'), ['news', 6, 'none', 0]);
  assert.equal(await publisher.ok('PUBSUB', 'NUMPAT'), 1);
  assert.deepEqual(await publisher.ok('PUBSUB', 'CHANNELS'), ['news']);
  assert.deepEqual(await publisher.ok('PUBSUB', 'CHANNELS', 'x*'), []);
  assert.equal(await stranger.ok('PUBLISH', 'news', 'x'), 2);
  await publisher.fails(
    /^TRYAGAIN .*account_watchers_max/,
    'SUBSCRIBE',
    ...Array.from({ length: 30 }, (_, i) => `c${i}`),
  );
  closeAll(...subscribers, publisher, stranger);
  const after = await connect('ps');
  while ((await after.ok('PUBLISH', 'news', 'x')) !== 0);
  after.close();
});

test('RESP2: a subscriber may do little else, and can end that', async () => {
  const [client, publisher] = [await connect('two', 2), await connect('two', 2)];
  assert.deepEqual(await client.ok('SUBSCRIBE', 'a', 'b'), ['subscribe', 'a', 1]);
  assert.deepEqual(await client.reply(), ['subscribe', 'b', 2]);
  await client.fails(/^ERR Can't execute 'get'/, 'GET', 'k');
  assert.deepEqual(await client.ok('PING'), ['pong', '']);
  assert.equal(await publisher.ok('PUBLISH', 'b', 'hi'), 1);
  assert.deepEqual(await client.reply(), ['message', 'b', 'hi']);
  assert.deepEqual(await client.ok('UNSUBSCRIBE', 'a'), ['unsubscribe', 'a', 1]);
  assert.deepEqual(await client.ok('UNSUBSCRIBE'), ['unsubscribe', 'b', 0]);
  assert.deepEqual(await client.ok('UNSUBSCRIBE'), ['unsubscribe', null, 0]);
  assert.equal(await client.ok('GET', 'k'), null);
  closeAll(client, publisher);
});

test('notifications tell of every change of a key, whoever made it, in order', async () => {
  const watchers = await several('keys', 4);
  for (const client of watchers) {
    client.socket.write('SUBSCRIBE __keyspace@0__:k\r\nPSUBSCRIBE __keyevent@0__:*\r\n');
    await client.pushed(2);
    client.pushes.length = 0;
  }
  const writer = await connect('keys');
  await writer.ok('SET', 'k', 'v');
  await server.ok('POST', '/db/keys/kv/k', '"w"', { headers: { 'content-type': 'application/json' } });
  await writer.ok('DEL', 'k');
  await writer.ok('SET', 'e', 'v', 'PX', '30');
  for (const client of watchers) {
    await client.pushed(8);
    const pushes = client.pushes as string[][];
    const events = pushes.filter(([kind]) => kind === 'pmessage').map(([, , channel, key]) => `${channel} ${key}`);
    const names = ['set k', 'set k', 'del k', 'set e', 'expired e'];
    assert.deepEqual(
      events,
      names.map((name) => `__keyevent@0__:${name}`),
    );
    const own = pushes.filter(([kind]) => kind === 'message').map(([, , event]) => event);
    assert.deepEqual(own, ['set', 'set', 'del']);
  }
  closeAll(...watchers, writer);
});

test('DL.TAIL pushes every commit below a prefix from a revision on, the past and then what happens', async () => {
  const [client, writer] = [await connect('tail'), await connect('tail')];
  const first = (await writer.ok('DL.SETJSON', 'a:1', '1')) as number;
  await writer.ok('SET', 'b:1', 'x');
  assert.equal(await client.ok('DL.TAIL', 'a:', first - 1), 'OK');
  await client.pushed(1);
  await writer.ok('MSET', 'a:2', 'v', 'b:2', 'v', 'a:3', 'v');
  await client.pushed(2);
  await writer.ok('DEL', 'a:1');
  await client.pushed(3);
  const pushes = client.pushes as [string, string, [number, [string, number, string | null][]]][];
  assert.deepEqual(pushes[0], ['dl.tail', 'a:', [first, [['a:1', first, '1']]]]);
  assert.deepEqual(
    pushes[1]?.[2][1].map(([key, , json]) => [key, json]),
    [
      ['a:2', '"v"'],
      ['a:3', '"v"'],
    ],
  );
  assert.deepEqual(pushes[2]?.[2][1], [['a:1', 0, null]]);
  assert.equal(await client.ok('DL.UNTAIL', 'a:'), 1);
  assert.equal(await client.ok('DL.UNTAIL', 'a:'), 0);
  await server.watchers(0, 'dragonlock_streams');
  closeAll(client, writer);
});
