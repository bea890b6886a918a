/** Every command of the door for Redis clients, on a real server over a socket. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { RespClient, RespFailure, type RespReply } from '../support/resp-client.ts';
import { eventually, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile({ config: 'resp: {listen: "127.0.0.1:0"}' });
let client: RespClient;
let accounts = 0;
after(() => client.close());

/** An account of its own for each test. */
async function fresh(): Promise<string> {
  if (accounts === 0) client = await RespClient.open(server.respPort);
  accounts += 1;
  const account = `a${accounts}`;
  assert.equal(await client.ok('AUTH', account, 'any'), 'OK');
  return account;
}

type Args = readonly (string | number | Buffer)[];

/** Each command with its reply; a RegExp: an error that fits. */
async function expect(...steps: readonly (readonly [args: Args, reply: RespReply | RegExp])[]): Promise<void> {
  for (const [args, reply] of steps) {
    if (reply instanceof RegExp) await client.fails(reply, ...args);
    else assert.deepEqual(await client.ok(...args), reply, args.join(' ').slice(0, 100));
  }
}

test('SET with all its options, GET and its kin', async () => {
  await fresh();
  await expect(
    [['SET', 'k', 'v'], 'OK'],
    [['GET', 'k'], 'v'],
    [['GET', 'none'], null],
    [['SET', 'k', 'w', 'NX'], null],
    [['SET', 'k', 'w', 'XX', 'GET'], 'v'],
    [['SET', 'none', 'w', 'XX'], null],
    [['SET', 'k', 'x', 'NX', 'GET'], 'w'],
    [['SET', 'k', 'x', 'IFEQ', 'v'], null],
    [['SET', 'k', 'x', 'IFEQ', 'w'], 'OK'],
    [['SET', 'k', 'y', 'IFNE', 'x'], null],
    [['SET', 'k', 'y', 'EX', '100'], 'OK'],
    [['TTL', 'k'], 100],
    [['SET', 'k', 'z', 'KEEPTTL'], 'OK'],
    [['TTL', 'k'], 100],
    [['SET', 'k', 'z'], 'OK'],
    [['TTL', 'k'], -1],
    [['SET', 'k', 'z', 'PXAT', '1'], 'OK'],
    [['EXISTS', 'k'], 0],
    [['SET', 'k', 'v', 'EX', '0'], /^ERR invalid expire time in 'set' command/],
    [['SET', 'k', 'v', 'EX', 'x'], /^ERR value is not an integer/],
    [['SET', 'k', 'v', 'EX', '10', 'PX', '10'], /^ERR syntax error/],
    [['SET', 'k', 'v', 'NX', 'XX'], /^ERR syntax error/],
    [['SET', 'k', 'v', 'EX'], /^ERR syntax error/],
    [['SET', 'k'], /^ERR wrong number of arguments for 'set' command/],
    [['SETNX', 'n', '1'], 1],
    [['SETNX', 'n', '2'], 0],
    [['SETEX', 'n', '10', 'v'], 'OK'],
    [['PSETEX', 'n', '10000', 'v'], 'OK'],
    [['GETSET', 'n', 'w'], 'v'],
    [['GETEX', 'n', 'EX', '50'], 'w'],
    [['TTL', 'n'], 50],
    [['GETEX', 'n', 'PERSIST'], 'w'],
    [['TTL', 'n'], -1],
    [['GETDEL', 'n'], 'w'],
    [['GETDEL', 'n'], null],
    [['MSET', 'a', '1', 'b', '2'], 'OK'],
    [['MSET', 'a', '1', 'b'], /wrong number of arguments/],
    [
      ['MGET', 'a', 'none', 'b'],
      ['1', null, '2'],
    ],
    [['MSETNX', 'c', '1', 'a', '2'], 0],
    [['EXISTS', 'c'], 0],
    [['MSETNX', 'c', '1', 'd', '2'], 1],
    [['MSETEX', '2', 'c', '5', 'd', '6', 'XX', 'EX', '70'], 1],
    [['TTL', 'd'], 70],
    [['MSETEX', '1', 'c', '5', 'NX'], 0],
  );
});

test('parts of strings, numbers, bits', async () => {
  await fresh();
  await expect(
    [['APPEND', 's', 'Hello '], 6],
    [['APPEND', 's', 'World'], 11],
    [['STRLEN', 's'], 11],
    [['STRLEN', 'none'], 0],
    [['SETRANGE', 's', '6', 'Redis'], 11],
    [['GETRANGE', 's', '0', '4'], 'Hello'],
    [['GETRANGE', 's', '-5', '-1'], 'Redis'],
    [['SUBSTR', 's', '0', '-1'], 'Hello Redis'],
    [['SETRANGE', 's', '-1', 'x'], /offset is out of range/],
    [['INCR', 'n'], 1],
    [['INCRBY', 'n', '41'], 42],
    [['DECR', 'n'], 41],
    [['DECRBY', 'n', '-1'], 42],
    [['INCRBY', 'n', '9007199254740991'], /^ERR increment or decrement would overflow/],
    [['INCRBY', 'n', '9007199254740992'], /^ERR value is not an integer or out of range/],
    [['INCR', 's'], /^ERR value is not an integer or out of range/],
    [['INCRBYFLOAT', 'f', '10.5'], '10.5'],
    [['INCRBYFLOAT', 'f', '0.1'], '10.6'],
    [['INCRBYFLOAT', 'f', 'x'], /not a valid float/],
    [['SETBIT', 'bit', '7', '1'], 0],
    [['GETBIT', 'bit', '7'], 1],
    [['GET', 'bit'], '\x01'],
    [['SETBIT', 'bit', '7', '2'], /bit is not an integer/],
    [['SET', 'token', 'mine'], 'OK'],
    [['DELIFEQ', 'token', 'yours'], 0],
    [['DELEX', 'token', 'IFNE', 'mine'], 0],
    [['DELEX', 'token', 'IFEQ', 'mine'], 1],
    [['DELEX', 'token'], 0],
  );
});

test('values are bytes, and over HTTP they are JSON', async () => {
  const account = await fresh();
  const binary = Buffer.from([0, 255, 13, 10, 0xc3]);
  await expect(
    [['SET', 'text', 'grüße "\n'], 'OK'],
    [['GET', 'text'], 'grüße "\n'],
    [['STRLEN', 'text'], 10],
    [['SET', 'bytes', binary], 'OK'],
    [['GET', 'bytes'], binary.toString('latin1')],
    [['STRLEN', 'bytes'], 5],
    [['SET', '', 'x'], /^ERR invalid key: it is empty/],
    [['SET', 'k'.repeat(513), 'x'], /^ERR invalid key: it has 513 bytes/],
    [['SET', 'a\0b', 'x'], /^ERR invalid key: it has a NUL/],
    [['SET', Buffer.from([0xff]), 'x'], /^ERR invalid key: it is not UTF-8/],
    [['SET', 'ключ', 'x'], 'OK'],
    [['KEYS', 'кл*'], ['ключ']],
  );
  assert.equal((await server.ok('GET', `/db/${account}/kv/text`)).Value, 'grüße "\n');
  assert.deepEqual((await server.ok('GET', `/db/${account}/kv/bytes`)).Value, { $bytes: binary.toString('base64') });
  await server.ok('POST', `/db/${account}/kv/json`, { a: [1, 'ü'] });
  await expect([['GET', 'json'], '{"a":[1,"ü"]}']);
});

test('keys: deleting, times to live, names', async () => {
  await fresh();
  await expect(
    [['MSET', 'a', '1', 'b', '2', 'c', '3'], 'OK'],
    [['EXISTS', 'a', 'a', 'none'], 2],
    [['TOUCH', 'a', 'none'], 1],
    [['TYPE', 'a'], 'string'],
    [['TYPE', 'none'], 'none'],
    [['DEL', 'a', 'none', 'b'], 2],
    [['UNLINK', 'c'], 1],
    [['SET', 'k', 'v'], 'OK'],
    [['EXPIRE', 'k', '100'], 1],
    [['TTL', 'k'], 100],
    [['EXPIRE', 'k', '50', 'GT'], 0],
    [['EXPIRE', 'k', '200', 'NX'], 0],
    [['EXPIRE', 'k', '50', 'LT'], 1],
    [['PEXPIRE', 'k', '70000', 'XX'], 1],
    [['TTL', 'k'], 70],
    [['EXPIREAT', 'k', '4102444800'], 1],
    [['EXPIRETIME', 'k'], 4_102_444_800],
    [['EXPIREAT', 'k', '9223372036854775807'], /^ERR invalid expire time/],
    [['PEXPIRE', 'k', '9223372036854775807'], /^ERR invalid expire time/],
    [['EXPIRE', 'k', '-9223372036854775807'], /^ERR invalid expire time/],
    [['EXPIREAT', 'k', '9007199254740991'], 1],
    [['PEXPIRETIME', 'k'], 2 ** 48 - 1],
    [['SET', 'k', 'v', 'PX', '900719925474099'], 'OK'],
    [['PEXPIRETIME', 'k'], 2 ** 48 - 1],
    [['PEXPIREAT', 'k', '-9223372036854770000'], 1],
    [['EXISTS', 'k'], 0],
    [['SET', 'k', 'v', 'EX', '70'], 'OK'],
    [['PERSIST', 'k'], 1],
    [['PERSIST', 'k'], 0],
    [['PTTL', 'k'], -1],
    [['PTTL', 'none'], -2],
    [['EXPIRETIME', 'k'], -1],
    [['EXPIRE', 'none', '1'], 0],
    [['EXPIRE', 'k', '1', 'NX', 'GT'], /not compatible/],
    [['EXPIRE', 'k', '1', 'AB'], /Unsupported option AB/],
    [['EXPIRE', 'k', '-1'], 1],
    [['EXISTS', 'k'], 0],
    [['SET', 'k', 'v', 'EX', '100'], 'OK'],
    [['RENAME', 'k', 'l'], 'OK'],
    [['TTL', 'l'], 100],
    [['RENAME', 'k', 'l'], /^ERR no such key/],
    [['SET', 'm', 'w'], 'OK'],
    [['RENAMENX', 'l', 'm'], 0],
    [['COPY', 'l', 'm'], 0],
    [['COPY', 'l', 'm', 'REPLACE'], 1],
    [['GET', 'm'], 'v'],
    [['COPY', 'l', 'n', 'DB', '1'], /another database/],
    [['OBJECT', 'ENCODING', 'm'], 'embstr'],
    [['OBJECT', 'REFCOUNT', 'm'], 1],
    [['DBSIZE'], 2],
    [['FLUSHDB'], 'OK'],
    [['DBSIZE'], 0],
    [['RANDOMKEY'], null],
  );
});

test('SCAN meets every key once, in order, and its cursors end', async () => {
  await fresh();
  const keys = Array.from({ length: 250 }, (_, i) => `key:${String(i).padStart(4, '0')}`);
  await client.ok('MSET', ...keys.flatMap((key) => [key, 'v']), 'other', 'v');
  const found: RespReply[] = [];
  let cursor = '0';
  do {
    const [next, some] = (await client.ok('SCAN', cursor, 'MATCH', 'key:*', 'COUNT', '40')) as [string, string[]];
    cursor = next;
    found.push(...some);
  } while (cursor !== '0');
  assert.deepEqual(found, keys);
  await expect(
    [['SCAN', '99'], /^ERR invalid cursor/],
    [['SCAN', 'x'], /^ERR invalid cursor/],
    [['SCAN', '0', 'COUNT', '0'], /^ERR syntax error/],
    [
      ['SCAN', '0', 'MATCH', 'key:000[12]', 'COUNT', '1000'],
      ['0', ['key:0001', 'key:0002']],
    ],
    [['KEYS', 'key:024?'], keys.slice(240)],
    [
      ['SCAN', '0', 'TYPE', 'hash'],
      ['0', []],
    ],
  );
  const [own] = (await client.ok('SCAN', '0')) as [string];
  await fresh();
  await client.fails(/^ERR invalid cursor/, 'SCAN', own);
});

test('MULTI is one batch; an own error stands in its place', async () => {
  await fresh();
  await expect(
    [['MULTI'], 'OK'],
    [['SET', 'a', '1'], 'QUEUED'],
    [['INCR', 'a'], 'QUEUED'],
    [['PING'], 'QUEUED'],
    [['MGET', 'a', 'b'], 'QUEUED'],
  );
  assert.deepEqual(await client.ok('EXEC'), ['OK', 2, 'PONG', ['2', null]]);
  await client.ok('MULTI');
  for (const args of [
    ['SET', 's', 'x'],
    ['INCR', 's'],
    ['GET', 's'],
    ['EXPIRE', 's', 'x'],
  ])
    await client.ok(...args);
  const [set, incr, get, expire] = (await client.ok('EXEC')) as RespReply[];
  assert.deepEqual([set, get], ['OK', 'x']);
  assert.ok(incr instanceof RespFailure && expire instanceof RespFailure);
  await client.ok('MULTI');
  await client.fails(/unknown command/, 'NOPE');
  await client.fails(/^ERR unknown command 'áéű', with args beginning with: 'ñ' '1' $/, 'áéű', 'ñ', '1');
  await expect(
    [['SET', 's', 'y'], 'QUEUED'],
    [['EXEC'], /^EXECABORT/],
    [['GET', 's'], 'x'],
    [['EXEC'], /^ERR EXEC without MULTI/],
    [['DISCARD'], /^ERR DISCARD without MULTI/],
    [['MULTI'], 'OK'],
    [['MULTI'], /can not be nested/],
    [['DISCARD'], 'OK'],
    [['MULTI'], 'OK'],
    [['EXEC'], []],
  );
});

test('WATCH lets EXEC do nothing when a key has changed', async () => {
  await fresh();
  await expect([['SET', 'w', '1'], 'OK'], [['WATCH', 'w', 'none'], 'OK'], [['SET', 'w', '1'], 'OK'], [['MULTI'], 'OK']);
  await expect([['SET', 'x', '1'], 'QUEUED'], [['EXEC'], null], [['EXISTS', 'x'], 0]);
  await expect([['WATCH', 'w'], 'OK'], [['MULTI'], 'OK'], [['INCR', 'w'], 'QUEUED'], [['EXEC'], [2]]);
  await expect(
    [['WATCH', 'w'], 'OK'],
    [['INCR', 'w'], 3],
    [['UNWATCH'], 'OK'],
    [['MULTI'], 'OK'],
    [['GET', 'w'], 'QUEUED'],
  );
  await expect([['EXEC'], ['3']]);
  await expect(
    [['WATCH', 'gone'], 'OK'],
    [['SET', 'gone', '1'], 'OK'],
    [['DEL', 'gone'], 1],
    [['MULTI'], 'OK'],
    [['EXEC'], []],
  );
});

test('locks, counters and sequences have names of their own', async () => {
  await fresh();
  const [handle, till, recover] = (await client.ok('DL.LOCK', 'l', '60000', 'OWNER', 'me', 'META', '{"a":1}')) as [
    number,
    number,
    null,
  ];
  assert.ok(handle > 0 && till > handle && recover === null);
  await expect(
    [['DL.LOCK', 'l', '60000'], null],
    [['DL.GUARD', 'l', handle], 'OK'],
    [['DL.GUARD', 'l', handle + 1], /^LOCKLOST/],
    [['MULTI'], 'OK'],
    [['DL.GUARD', 'l', handle], 'QUEUED'],
    [['SET', 'guarded', '1'], 'QUEUED'],
    [['EXEC'], ['OK', 'OK']],
  );
  const [same] = (await client.ok('DL.EXTEND', 'l', handle, '70000')) as [number];
  assert.equal(same, handle);
  await expect(
    [['DL.UNLOCK', 'l', 'HANDLE', handle], 1],
    [['DL.UNLOCK', 'l', 'HANDLE', handle + 9], /^LOCKLOST/],
    [['MULTI'], 'OK'],
    [['DL.GUARD', 'l', handle], 'QUEUED'],
    [['SET', 'guarded', '2'], 'QUEUED'],
    [['EXEC'], /^LOCKLOST/],
    [['GET', 'guarded'], '1'],
    [['DL.UNLOCK', 'l'], /wrong number/],
    [['DL.LOCK', 'l', '0'], /not an integer or out of range/],
    [['DL.COUNTER', 'c', 'ADD', '5'], 5],
    [['DL.COUNTER', 'c', 'ADD', '-9', 'FLOOR', '0'], /^OUTOFBOUNDS/],
    [['DL.COUNTER', 'c', 'MAX', '9'], 9],
    [['DL.COUNTER', 'c', 'SET', '1', 'IFEQ', '2'], /^PRECONDITION/],
    [['DL.COUNTER', 'c', 'GET'], 9],
    [['DL.COUNTER', 'none', 'GET'], null],
    [['GET', 'c'], null],
    [
      ['DL.SEQ', 's'],
      [1, 1],
    ],
    [
      ['DL.SEQ', 's', 'NEXT', '10'],
      [2, 11],
    ],
    [['DL.SEQ', 's', 'GET'], 11],
  );
  const [mutex] = (await client.ok('DL.MLOCK', 'm', '60000')) as [number];
  await expect([['DL.MUNLOCK', 'm', 'HANDLE', mutex], 1], [['DL.MUNLOCK', 'm', 'FORCE'], 1]);
});

test('JSON, batches, commands that are done once, watches and tails', async () => {
  await fresh();
  const version = (await client.ok('DL.SETJSON', 'j', '{"a":[1]}')) as number;
  await expect(
    [
      ['DL.GETJSON', 'j'],
      ['{"a":[1]}', version, null],
    ],
    [['DL.GETJSON', 'none'], null],
    [['DL.SETJSON', 'j', '1', 'VERSION', '1'], /^VERSIONMISMATCH/],
    [['DL.SETJSON', 'j', '{'], /^ERR value: not JSON/],
    [['DL.ONCE', 'id-1', 'INCR', 'n'], 1],
    [['DL.ONCE', 'id-1', 'INCR', 'n'], 1],
    [['DL.ONCE', 'id-1', 'INCR', 'm'], /^IDEMPOTENCYMISMATCH/],
    [['DL.ONCE', 'id-2', 'GET', 'n'], /expected one that writes/],
    [['GET', 'n'], '1'],
    [['DL.WATCH', 'j', version, '0'], null],
    [
      ['DL.WATCH', 'j', '0', '1000'],
      [version, '{"a":[1]}'],
    ],
    [['DL.BATCH', '{"Nope":1}'], /^ERR/],
    [['DL.BATCH', '{"Tasks":{"ID":"t","URL":"http://127.0.0.1/"}}'], /is not on the internet/],
  );
  const body = JSON.parse((await client.ok('DL.BATCH', '{"KVGet":"j"}')) as string) as { KV: { Version: number }[] };
  assert.equal(body.KV[0]?.Version, version);
  const other = await RespClient.open(server.respPort);
  await other.ok('AUTH', `a${accounts}`, 'x');
  const watched = other.call('DL.WATCH', 'j', version, '60000');
  await server.watchers(1);
  await client.ok('DEL', 'j');
  assert.deepEqual(await watched, [0, null]);
  other.close();
  const [rev, commits] = (await client.ok('DL.TAIL', 'j', version - 1)) as [number, RespReply[]];
  assert.deepEqual(commits[0], [version, [['j', version, '{"a":[1]}']]]);
  assert.ok(rev > version);
});

test('the connection: protocol, names, accounts', async () => {
  const account = await fresh();
  await client.ok('SET', 'k', 'v');
  await expect(
    [['PING'], 'PONG'],
    [['PING', 'x'], 'x'],
    [['ECHO', 'x'], 'x'],
    [['SELECT', '1'], 'OK'],
    [['GET', 'k'], null],
    [['SET', 'k', 'one'], 'OK'],
    [['SELECT', '0'], 'OK'],
    [['GET', 'k'], 'v'],
    [['SELECT', '16'], /out of range/],
    [['CLIENT', 'SETNAME', 'me'], 'OK'],
    [['CLIENT', 'GETNAME'], 'me'],
    [['CLIENT', 'SETINFO', 'LIB-NAME', 'x'], 'OK'],
    [['CLIENT', 'NOPE'], /unknown subcommand/],
    [['HELLO', '4'], /^NOPROTO/],
    [['WAIT', '0', '0'], 0],
    [
      ['WAITAOF', '1', '0', '0'],
      [1, 0],
    ],
    [
      ['CONFIG', 'GET', 'appendfsync'],
      ['appendfsync', 'always'],
    ],
    [['CONFIG', 'SET', 'a', 'b'], /config\.yml/],
    [['CLUSTER', 'INFO'], /cluster support disabled/],
    [['FUNCTION', 'FLUSH'], 'OK'],
    [
      ['COMMAND', 'GETKEYS', 'MSET', 'a', '1', 'b', '2'],
      ['a', 'b'],
    ],
  );
  assert.equal((await server.ok('GET', `/db/${account}.1/kv/k`)).Value, 'one');
  const hello = (await client.ok('HELLO', '3')) as Map<string, RespReply>;
  assert.equal(hello.get('proto'), 3);
  assert.equal(await client.ok('GET', 'none'), null);
  assert.ok((await client.ok('CONFIG', 'GET', 'save')) instanceof Map);
  assert.match(JSON.stringify(await client.ok('CLIENT', 'LIST')), /name=me/);
  assert.match(JSON.stringify(await client.ok('INFO')), /redis_version:7\.0\.15/);
  assert.equal(await client.ok('RESET'), 'RESET');
  assert.equal(await client.ok('CLIENT', 'GETNAME'), null);
  const count = await client.ok('COMMAND', 'COUNT');
  assert.equal(((await client.ok('COMMAND')) as RespReply[]).length, count);
  assert.equal(((await client.ok('COMMAND', 'DOCS')) as RespReply[]).length, 2 * Number(count));
});

test('CLIENT REPLY says whether replies are written', async () => {
  await fresh();
  client.socket.write('CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\n');
  assert.equal(await client.reply(), '1');
  client.socket.write('CLIENT REPLY OFF\r\nSET a 2\r\nGET a\r\nCLIENT REPLY ON\r\nGET a\r\n');
  assert.deepEqual([await client.reply(), await client.reply()], ['OK', '2']);
});

test('DL.QSEND, DL.QTAKE and what settles a message', async () => {
  const account = await fresh();
  const [id, isNew] = (await client.ok('DL.QSEND', 'q', 'one', 'DEDUP', 'd')) as [string, number];
  assert.equal(isNew, 1);
  assert.deepEqual(await client.ok('DL.QSEND', 'q', 'again', 'DEDUP', 'd'), [id, 0]);
  await client.ok('DL.QSEND', 'q', Buffer.from([0xff, 0, 0x0d]), 'GROUP', 'g', 'TTL', 60_000);
  const [first, second] = (await client.ok('DL.QTAKE', 'q', 'COUNT', 10, 'LEASE', 60_000)) as RespReply[][];
  assert.deepEqual([first![0], first![1], first![4], first![5]], [id, 'one', 1, null]);
  assert.ok((first![3] as number) > (first![6] as number), 'the lease ends later than it was sent');
  assert.equal(second![5], 'g');
  assert.deepEqual(await client.ok('DL.QTAKE', 'q'), []);
  const [ID, , lock] = first as [string, string, number];
  const peeked = await server.ok('GET', `/db/${account}/peek/q?state=inflight`);
  assert.match(JSON.stringify(peeked), /"Data":\{"\$bytes":"\/wAN"\}/, 'bytes are kept as those of keys are');
  await expect(
    [['DL.QEXTEND', 'q', ID, lock, 'x'], /^ERR value is not an integer/],
    [['DL.QNACK', 'q', ID, lock, 'RETURN', 'DELAY', 5], /^ERR .*given together with Return/],
    [['DL.QNACK', 'q', ID, lock, 'DELAY', 0, 'ERROR', 'later'], 1],
    [['DL.QACK', 'q', ID, lock], /^RECEIPTEXPIRED .*given back/],
    [['DL.QACK', 'q', 'no id', 1], /^ERR ID: expected the ID of a message/],
    [['DL.QSEND', 'q', 'x', 'DELAY', 10, 'TTL', 5], /^ERR TTL: /],
    [['DL.QSEND', 'q', 'x', 'GROUP', 'g', 'PRIORITY', 3], /^ERR PRIORITY: /],
    [['DL.QTAKE', 'q', 'GROUPMAX', 2], /^ERR GROUPMAX: /],
  );
  assert.ok(((await client.ok('DL.QEXTEND', 'q', second![0] as string, second![2] as number, 90_000)) as number) > 0);
  const [again] = (await client.ok('DL.QTAKE', 'q')) as RespReply[][];
  assert.deepEqual([again![0], again![4]], [id, 2]);
  await expect([['DL.QACK', 'q', again![0] as string, again![2] as number], 1]);
  const stats = ['ready', 0, 'inflight', 1, 'delayed', 0, 'dead', 0, 'blocked', 0];
  await expect([['DL.QSTAT', 'q'], stats], [['MULTI'], 'OK'], [['DL.QACK', 'q', id, 1], /^ERR/], [['DISCARD'], 'OK']);
});

test('DL.QTAKE waits, in line, and who hangs up is not served', async () => {
  const account = await fresh();
  const [gone, other] = [await RespClient.open(server.respPort), await RespClient.open(server.respPort)];
  for (const each of [gone, other]) await each.ok('AUTH', account, 'any');
  void gone.ok('DL.QTAKE', 'w', 'WAIT', 60_000).catch(() => undefined);
  const consumers = async (): Promise<unknown> =>
    ((await server.ok('GET', `/db/${account}/queue/w`)) as unknown as { Consumers: number }).Consumers;
  await eventually('it waits', async () => (await consumers()) === 1);
  const taken = other.ok('DL.QTAKE', 'w', 'WAIT', 60_000);
  await eventually('both wait', async () => (await consumers()) === 2);
  gone.close();
  await eventually('one has left', async () => (await consumers()) === 1);
  await client.ok('DL.QSEND', 'w', 'hello');
  const [message] = (await taken) as RespReply[][];
  assert.equal(message![1], 'hello');
  other.close();
});
