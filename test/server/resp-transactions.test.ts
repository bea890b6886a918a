/** MULTI with locks and with scripts in it, on a real server with several front ends and shards. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { RespClient, RespFailure, type RespReply } from '../support/resp-client.ts';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile({
  config: 'resp: {listen: "127.0.0.1:0"}\nhttp: {threads: 2}\nshards: 2',
});
const clients: RespClient[] = [];
let accounts = 0;
after(() => clients.forEach((client) => client.close()));

async function open(account: string): Promise<RespClient> {
  const client = await RespClient.open(server.respPort);
  clients.push(client);
  assert.equal(await client.ok('AUTH', account, 'any'), 'OK');
  return client;
}

async function fresh(): Promise<RespClient> {
  accounts += 1;
  return open(`t${accounts}`);
}

type Args = readonly (string | number)[];

/** Queues commands and executes them. */
async function multi(client: RespClient, ...commands: readonly Args[]): Promise<RespReply | undefined> {
  assert.equal(await client.ok('MULTI'), 'OK');
  for (const args of commands) assert.equal(await client.ok(...args), 'QUEUED', args.join(' '));
  return client.call('EXEC');
}

function failed(reply: RespReply | undefined, pattern: RegExp): void {
  assert.ok(reply instanceof RespFailure, JSON.stringify(reply));
  assert.match(reply.message, pattern);
}

test('a transaction takes a lock and writes, or does nothing and is answered nil while the lock is busy', async () => {
  const client = await fresh();
  const [set, lease, incr] = (await multi(
    client,
    ['SET', 'a', '1'],
    ['DL.LOCK', 'l', 60_000, 'OWNER', 'me'],
    ['INCR', 'a'],
  )) as [string, [number, number, null], number];
  assert.deepEqual([set, incr, lease[2]], ['OK', 2, null]);
  assert.equal(await client.ok('DL.GUARD', 'l', lease[0]), 'OK');
  // It does not wait, whatever it says.
  assert.equal(await multi(client, ['DL.LOCK', 'l', 60_000, 'WAIT', 50_000], ['SET', 'a', 'stolen']), null);
  assert.equal(await client.ok('GET', 'a'), '2');
  const [longer] = (await multi(client, ['DL.EXTEND', 'l', lease[0], 90_000], ['SET', 'a', '3'])) as [[number, number]];
  assert.ok(longer[0] === lease[0] && longer[1] > lease[1]);
  failed(await multi(client, ['DL.EXTEND', 'l', lease[0] + 1, 90_000], ['SET', 'a', '4']), /^LOCKLOST/);
  failed(await multi(client, ['SET', 'a', '4'], ['DL.UNLOCK', 'l', 'OWNER', 'you']), /^LOCKLOST/);
  assert.equal(await client.ok('GET', 'a'), '3');
  assert.deepEqual(await multi(client, ['SET', 'a', '5'], ['DL.UNLOCK', 'l', 'HANDLE', lease[0]], ['GET', 'a']), [
    'OK',
    1,
    '5',
  ]);
  assert.deepEqual(await multi(client, ['DL.LOCK', 'm', 60_000]).then((reply) => (reply as RespReply[]).length), 1);
  failed(await client.call('DL.GUARD', 'l', lease[0]), /^LOCKLOST/);
});

test('a transaction whose lock or guard cannot be understood does nothing', async () => {
  const client = await fresh();
  await client.ok('SET', 'a', '1');
  for (const wrong of [
    ['DL.GUARD', 'l', 'mine'],
    ['DL.LOCK', 'l', 'soon'],
    ['DL.LOCK', 'l', 1000, 'OWNER'],
    ['DL.UNLOCK', 'l', 'HANDLE', 'x'],
    ['DL.EXTEND', 'l', 1, 0],
  ])
    failed(await multi(client, ['SET', 'a', '2'], wrong), /^EXECABORT .*'dl\./);
  failed(await multi(client, ['DL.LOCK', 'l', 1000], ['DL.LOCK', 'm', 1000]), /^EXECABORT .*takes or extends one lock/);
  failed(
    await multi(client, ['DL.LOCK', 'l', 1000], ['DL.UNLOCK', 'l', 'OWNER', 'me']),
    /^EXECABORT .*expected two names/,
  );
  failed(
    await multi(client, ['DL.LOCK', 'l', 1000], ['EVAL', 'return 1', 0], ['SET', 'a', '2']),
    /^EXECABORT .*cannot be in a transaction with scripts/,
  );
  await client.ok('MULTI');
  failed(await client.call('DL.MLOCK', 'l', 1000), /^ERR 'dl.mlock': Command not allowed inside a transaction/);
  failed(await client.call('EXEC'), /^EXECABORT/);
  assert.equal(await client.ok('GET', 'a'), '1');
  assert.ok(Array.isArray(await client.ok('DL.LOCK', 'l', 1000)), 'nothing holds it');
});

test('a client that hangs up before EXEC is answered has no lock', async () => {
  const client = await fresh();
  const name = `t${accounts}`;
  const other = await open(name);
  await client.ok('MULTI');
  await client.ok('DL.LOCK', 'l', 600_000);
  void client.call('EXEC');
  client.close();
  assert.ok(Array.isArray(await other.ok('DL.LOCK', 'l', 600_000, 'WAIT', 20_000)));
});

const add = 'redis.call("INCRBY", KEYS[1], ARGV[1]) return redis.call("GET", KEYS[1])';
const release = 'if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) else return 0 end';

test('scripts see what the commands of their transaction did, and the other way round', async () => {
  const client = await fresh();
  const sha = (await client.ok('SCRIPT', 'LOAD', add)) as string;
  const reply = (await multi(
    client,
    ['SET', 'n', '1'],
    ['EVAL', add, 1, 'n', 5],
    ['EVALSHA', sha, 1, 'n', 10],
    ['GET', 'n'],
    ['PING'],
    ['INCR', 'other'],
    ['EVAL', release, 1, 'n', '16'],
    ['EXISTS', 'n'],
    ['EVALSHA', 'f'.repeat(40), 0],
    ['EVAL', 'return redis.call("GET", "other")', 1, 'n'],
    ['EVAL', 'redis.call("SET", KEYS[1], "x") error("boom")', 1, 'bad'],
    ['MGET', 'bad', 'other'],
  )) as RespReply[];
  assert.deepEqual(reply.slice(0, 8), ['OK', '6', '16', '16', 'PONG', 1, 1, 0]);
  failed(reply[8], /^NOSCRIPT/);
  failed(reply[9], /access the key "other", which is not among its KEYS/);
  failed(reply[10], /boom/);
  assert.deepEqual(reply[11], ['x', '1']);
  assert.deepEqual(await client.ok('MGET', 'n', 'other', 'bad'), [null, '1', 'x']);
});

test('a transaction of known scripts is one batch; MSETNX decides within one', async () => {
  const client = await fresh();
  await client.ok('SET', 'lock', 'token');
  assert.deepEqual(await multi(client, ['SET', 'a', '1'], ['EVAL', release, 1, 'lock', 'token'], ['GET', 'lock']), [
    'OK',
    1,
    null,
  ]);
  assert.deepEqual(
    await multi(
      client,
      ['MSETNX', 'a', '2', 'b', '2'],
      ['GET', 'b'],
      ['DEL', 'a'],
      ['MSETNX', 'a', '3', 'b', '3'],
      ['MSETEX', '1', 'b', '4', 'NX', 'EX', '100'],
      ['MGET', 'a', 'b'],
      ['PTTL', 'b'],
    ),
    [0, null, 1, 1, 0, ['3', '3'], -1],
  );
});

test('WATCH and DL.GUARD hold for transactions with scripts', async () => {
  const client = await fresh();
  const other = await open(`t${accounts}`);
  await client.ok('WATCH', 'w');
  await other.ok('SET', 'w', '1');
  assert.equal(await multi(client, ['EVAL', add, 1, 'n', 1]), null);
  assert.equal(await client.ok('GET', 'n'), null);
  await client.ok('WATCH', 'w', 'n');
  assert.deepEqual(await multi(client, ['EVAL', add, 1, 'n', 1]), ['1']);
  const [handle] = (await client.ok('DL.LOCK', 'l', 60_000)) as [number];
  assert.deepEqual(await multi(client, ['DL.GUARD', 'l', handle], ['EVAL', add, 1, 'n', 1]), ['OK', '2']);
  assert.deepEqual(await multi(client, ['DL.GUARD', 'l', handle], ['EVAL', 'return 7', 0]), ['OK', 7]);
  for (const script of [
    ['EVAL', add, 1, 'n', 1],
    ['EVAL', 'return 7', 0],
  ])
    failed(await multi(client, script, ['DL.GUARD', 'l', handle + 1]), /^LOCKLOST/);
  assert.equal(await client.ok('GET', 'n'), '2');
});

test('a transaction with scripts is atomic: many at once lose nothing', async () => {
  const account = `t${(accounts += 1)}`;
  const many = await Promise.all(Array.from({ length: 6 }, () => open(account)));
  const other = await open(account);
  const plain = (async () => {
    for (let i = 0; i < 60; i += 1) await other.ok('INCR', 'a');
  })();
  const seen: RespReply[] = [];
  await Promise.all(
    many.map(async (client) => {
      while (seen.length < 60) {
        const reply = await multi(client, ['INCR', 'a'], ['EVAL', add, 1, 'b', 1]);
        if (Array.isArray(reply)) seen.push(reply[1]!);
        else failed(reply, /^BUSY/);
      }
    }),
  );
  await plain;
  assert.equal(new Set(seen).size, seen.length, 'each has another number');
  assert.deepEqual(await other.ok('MGET', 'a', 'b'), [String(60 + seen.length), String(seen.length)]);
});

test('a transaction with scripts ends when it takes too long, and has done nothing', async () => {
  const client = await fresh();
  failed(
    await multi(client, ['SET', 'a', '1'], ['EVAL', 'redis.call("SET", KEYS[1], 1) while true do end', 1, 'b']),
    /^ERR script ran too long: it was ended, and nothing was done/,
  );
  await client.fails(/ran too long/, 'EVAL', 'redis.call("SET", KEYS[1], 1) while true do end', 1, 'b');
  assert.deepEqual(await client.ok('MGET', 'a', 'b'), [null, null]);
});

test('in RESP3 too', async () => {
  const client = await fresh();
  await client.ok('HELLO', 3);
  assert.deepEqual(await multi(client, ['GET', 'none'], ['EVAL', 'return false', 0]), [null, null]);
  const [[, , recover]] = (await multi(client, ['DL.LOCK', 'l', 60_000], ['GET', 'none'])) as [[number, number, null]];
  assert.equal(recover, null);
});
