/** Scripts in Lua over the door for Redis clients, on a real server with several front ends and shards. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import { RespClient, type RespReply } from '../support/resp-client.ts';
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
  return open(`s${accounts}`);
}

const release = 'if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) else return 0 end';

test('a script reads and writes its keys, on any shards, in one commit', async () => {
  const client = await fresh();
  const script = `
    local sum = 0
    for _, key in ipairs(KEYS) do sum = sum + tonumber(redis.call('GET', key) or 0) end
    for _, key in ipairs(KEYS) do redis.call('SET', key, sum, 'PX', ARGV[1]) end
    return { sum, redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('GET', KEYS[1]) .. '' }`;
  for (const key of ['a', 'b', 'c', 'd']) await client.ok('SET', key, '2');
  assert.deepEqual(await client.ok('EVAL', script, 4, 'a', 'b', 'c', 'd', 5000), [8, 5000, '8', '8']);
  assert.deepEqual(await client.ok('MGET', 'a', 'b', 'c', 'd'), ['8', '8', '8', '8']);
});

test('values become those of Lua, and back, as in Redis', async () => {
  const client = await fresh();
  const gives = async (source: string, expected: RespReply): Promise<void> =>
    assert.deepEqual(await client.ok('EVAL', source, 1, 'k', 'x', '5'), expected, source);
  await gives('return 3.99', 3);
  await gives('return -3.99', -3);
  await gives('return {1, 2, nil, 4}', [1, 2]);
  await gives('return {1, {"a", {}}, false, true}', [1, ['a', []], null, 1]);
  await gives('return redis.status_reply("FINE")', 'FINE');
  await gives('return redis.call("SET", KEYS[1], ARGV[2])', 'OK');
  await gives('return redis.call("INCRBYFLOAT", KEYS[1], 0.5)', '5.5');
  await gives('return redis.call("GET", KEYS[1]) + 1.5', 7);
  await gives('return redis.call("SET", KEYS[1], "y", "NX") == false', 1);
  await gives('return redis.call("MGET", KEYS[1], KEYS[1])', ['5.5', '5.5']);
  await gives('return #redis.call("MGET", KEYS[1], KEYS[1])', 2);
  await gives('return cjson.encode(cjson.decode(\'{"a":[1,"\\\\u00e9/",null]}\').a)', String.raw`[1,"é\/",null]`);
  await gives('return redis.sha1hex("")', 'da39a3ee5e6b4b0d3255bfef95601890afd80709');
  await gives('return redis.call("SETRANGE", KEYS[1], 2, "\\255\\0")', 4);
  assert.equal(await client.ok('EVAL', 'return redis.call("GET", KEYS[1])', 1, 'k'), '5.\xff\0');
  assert.equal(await client.ok('EVAL', 'return ARGV[1]', 0, Buffer.from([0, 255, 13, 10])), '\0\xff\r\n');
});

function setAfter(header: string): [string, ...(string | number)[]] {
  return ['EVAL', `${header}\nreturn redis.call("SET", KEYS[1], 1)`, 1, 'k'];
}

test('a script may have a first line as in Redis 7', async () => {
  const client = await fresh();
  assert.equal(await client.ok(...setAfter('#!lua')), 'OK');
  assert.equal(await client.ok(...setAfter('#!lua flags=allow-oom,no-cluster')), 'OK');
  await client.fails(
    /^ERR Write commands are not allowed from read-only scripts/,
    ...setAfter('#!lua flags=no-writes'),
  );
  await client.fails(/^ERR Unexpected engine in script shebang: js/, ...setAfter('#!js'));
  await client.fails(/^ERR Unknown lua shebang option: bad=1/, ...setAfter('#!lua bad=1'));
  await client.fails(/^ERR Unexpected flag in script shebang: bad/, ...setAfter('#!lua flags=bad'));
  await client.fails(/^ERR Invalid script shebang/, 'EVAL', '#!lua', 0);
  await client.fails(/^ERR user_script:2: boom/, 'EVAL', '#!lua\nerror("boom")', 0);
});

test('an error of a command ends the script, and what it did before stays; pcall gets it', async () => {
  const client = await fresh();
  await client.fails(
    /^ERR value is not an integer.* script: [0-9a-f]{40}/,
    'EVAL',
    'redis.call("SET", KEYS[1], "x") redis.call("INCR", KEYS[1])',
    1,
    'before',
  );
  assert.equal(await client.ok('GET', 'before'), 'x');
  assert.deepEqual(
    await client.ok('EVAL', 'redis.call("SET", KEYS[1], "x") return redis.pcall("INCR", KEYS[1]).err', 1, 'k'),
    'ERR value is not an integer or out of range',
  );
  assert.equal(await client.ok('GET', 'k'), 'x');
  await client.fails(/^MYERR what script: /, 'EVAL', 'error({err = "MYERR what"})', 0);
  await client.fails(/^MYERR what$/, 'EVAL', 'return redis.error_reply("MYERR what")', 0);
  await client.fails(/^ERR MYERR$/, 'EVAL', 'return redis.error_reply("-MYERR")', 0);
  await client.fails(/^ERR$/, 'EVAL', 'return redis.error_reply("")', 0);
  await client.fails(/^NÖ élan$/, 'EVAL', 'return redis.error_reply("NÖ élan")', 0);
  await client.fails(/^ERR user_script:1: élan /, 'EVAL', 'error("élan")', 0);
  await client.fails(/^ERR user_script:1: boom/, 'EVAL', 'error("boom")', 0);
  await client.fails(/^ERR Error compiling script .*user_script:1:/, 'EVAL', 'not lua', 0);
});

test('a script may do no more than it should', async () => {
  const client = await fresh();
  for (const [source, error] of [
    ['return redis.call("GET", "other")', /access the key "other", which is not among its KEYS/],
    ['return redis.call("EVAL", "return 1", 0)', /not allowed from script/],
    ['return redis.call("MULTI")', /not allowed from script/],
    ['return redis.call("SCAN", 0)', /not allowed from script/],
    ['return redis.call("RENAME", KEYS[1], KEYS[1])', /not allowed from script/],
    ['return redis.call("NOSUCH")', /Unknown Redis command/],
    ['return redis.call("GET")', /Wrong number of args/],
    ['return redis.call("GET", {})', /must be strings or integers/],
    ['return redis.call()', /at least one argument/],
    ['x = 1', /readonly table/],
    ['string.upper = nil', /readonly table/],
    ['redis.call = nil', /readonly table/],
    ['return x', /nonexistent global variable 'x'/],
    ['return os', /nonexistent global variable/],
    ['return io', /nonexistent global variable/],
    ['return debug', /nonexistent global variable/],
    ['return load', /nonexistent global variable/],
    ['return getfenv', /nonexistent global variable/],
    ['return rawset', /nonexistent global variable/],
    ['setmetatable(_G, {})', /protected metatable/],
    ['getmetatable("").__index.upper = nil', /index a boolean/],
    ['return string.dump(function() end)', /attempt to call field 'dump'/],
  ] as const)
    await client.fails(error, 'EVAL', source, 1, 'k');
  assert.equal(await client.ok('EVAL', 'return loadstring("\\27Lua") == nil', 0), 1);
  await client.fails(/bytecode/, 'EVAL', '\x1bLuaQ', 0);
  await client.fails(/Write commands are not allowed/, 'EVAL_RO', 'return redis.call("SET", KEYS[1], 1)', 1, 'k');
  assert.equal(await client.ok('EVAL_RO', 'return redis.call("EXISTS", KEYS[1])', 1, 'k'), 0);
  await client.fails(/Number of keys can't be negative/, 'EVAL', 'return 1', -1);
  await client.fails(/Number of keys can't be greater/, 'EVAL', 'return 1', 2, 'a');
  await client.fails(/not an integer/, 'EVAL', 'return 1', 'x');
});

test('a script that takes too much is ended, and others go on', async () => {
  const [client, other] = [await fresh(), await fresh()];
  for (const [source, error] of [
    ['while true do end', /ran too long/],
    ['while true do pcall(function() while true do end end) end', /ran too long/],
    ['local f = coroutine.wrap(function() while true do end end) while true do pcall(f) end', /ran too long/],
    ['while true do redis.call("PING") end', /ran too long/],
    ['local s = "x" while true do s = s .. s end', /not enough memory/],
    ['return ("x"):rep(1e9)', /not enough memory/],
    ['local function f() return f() + 1 end return f()', /stack overflow/],
    ['return (("a"):rep(100000)):find(("a?"):rep(100000) .. ("a"):rep(100000))', /broke its Lua/],
    ['local t = {1} for i = 1, 40 do t = {t, t} end return t', /result of the script is too large/],
  ] as const) {
    await client.fails(error, 'EVAL', source, 1, 'k');
    assert.equal(await other.ok('EVAL', 'return 1', 0), 1, source);
  }
  // A pattern of Lua's library, which no hook sees: the thread is ended.
  const endless = client.fails(/ran too long/, 'EVAL', 'return (("a"):rep(30000)):find(".-.-.-.-b")', 1, 'k');
  assert.equal(await other.ok('EVAL', 'return 2', 0), 2);
  await endless;
  await client.fails(/^TRYAGAIN a script of this account had to be ended/, 'EVAL', 'return 3', 0);
  assert.equal(await other.ok('EVAL', 'return 3', 0), 3);
});

test('EVALSHA finds a script over any connection, of its own account only, until it is flushed', async () => {
  const account = 'shared';
  const source = 'return "found"';
  const sha = createHash('sha1').update(source).digest('hex');
  const mine = await Promise.all(Array.from({ length: 8 }, () => open(account)));
  const stranger = await fresh();
  await mine[0]!.fails(/^NOSCRIPT/, 'EVALSHA', sha, 0);
  assert.equal(await mine[0]!.ok('SCRIPT', 'LOAD', source), sha);
  for (const client of mine) {
    assert.deepEqual(await client.ok('SCRIPT', 'EXISTS', sha, 'f'.repeat(40)), [1, 0]);
    assert.equal(await client.ok('EVALSHA', sha.toUpperCase(), 0), 'found');
  }
  await stranger.fails(/^NOSCRIPT/, 'EVALSHA', sha, 0);
  assert.equal(await mine[3]!.ok('SCRIPT', 'FLUSH'), 'OK');
  for (const client of mine) await client.fails(/^NOSCRIPT/, 'EVALSHA', sha, 0);
  await mine[0]!.fails(/Error compiling/, 'SCRIPT', 'LOAD', 'not lua');
});

test('scripts over many connections lose nothing: each works on what the ones before it left', async () => {
  const account = 'busy';
  const many = await Promise.all(Array.from({ length: 10 }, () => open(account)));
  const add = `redis.call('SET', KEYS[1], (redis.call('GET', KEYS[1]) or 0) + 1) return redis.call('GET', KEYS[1])`;
  const results = await Promise.all(
    many.flatMap((client) => Array.from({ length: 20 }, () => client.ok('EVAL', add, 1, 'n'))),
  );
  assert.equal(await many[0]!.ok('GET', 'n'), '200');
  assert.equal(new Set(results).size, 200);
});

test('a rate limiter of a fixed window counts, and begins anew when its window is over', async () => {
  const [one, two] = [await fresh(), await open(`s${accounts}`)];
  const hit = `
    local n = redis.call('INCR', KEYS[1])
    if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
    return { n, redis.call('PTTL', KEYS[1]) }`;
  const hits = [];
  for (let i = 0; i < 6; i += 1) hits.push((i % 2 === 0 ? one : two).ok('EVAL', hit, 1, 'window', 60_000));
  const replies = (await Promise.all(hits)) as [number, number][];
  assert.deepEqual(
    replies.map(([n]) => n).toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6],
  );
  assert.ok(replies.every(([, left]) => left > 0 && left <= 60_000));
  await one.ok('PEXPIREAT', 'window', 1);
  const [again] = (await one.ok('EVAL', hit, 1, 'window', 60_000)) as [number, number];
  assert.equal(again, 1);
});

test('the lock of a client that is gone cannot be released by its script', async () => {
  const client = await fresh();
  await client.ok('SET', 'lock', 'token', 'PX', '60000');
  assert.equal(await client.ok('EVAL', release, 1, 'lock', 'other'), 0);
  assert.equal(await client.ok('EVAL', release, 1, 'lock', 'token'), 1);
  assert.equal(await client.ok('EVAL', release, 1, 'lock', 'token'), 0);
});
