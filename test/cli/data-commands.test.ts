import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile } from '../support/server-under-test.ts';
import { CommandUnderTest, prints, runCommand } from './command-under-test.ts';

const server = serverForFile();

test('kv: put and get keep text byte for byte and JSON as JSON; a failed condition exits with 1', async (t) => {
  const at = server.place();
  await prints(t, ['kv', 'put', 'a', '{"not": "parsed"}'], at);
  assert.equal(await prints(t, ['kv', 'get', 'a'], at), '{"not": "parsed"}');
  const text = 'two\nlines, ünïcode\n';
  await prints(t, ['kv', 'put', 'file', '-'], { ...at, input: text });
  assert.equal(await prints(t, ['kv', 'get', 'file'], at), text);
  const put = await prints(t, ['kv', 'put', 'n', '-j', '{"x":[1]}', '--if-absent', '--json'], at);
  const { Key, Version } = JSON.parse(put) as { Key: string; Version: number };
  assert.deepEqual([Key, await prints(t, ['kv', 'get', 'n'], at)], ['n', '{"x":[1]}\n']);
  const got = JSON.parse(await prints(t, ['kv', 'get', 'n', '--json'], at)) as object;
  assert.deepEqual(got, { Key: 'n', Version, Value: { x: [1] } });

  const mismatch = await runCommand(t, ['kv', 'put', 'n', 'x', '--if-absent'], at);
  assert.deepEqual([mismatch.code, mismatch.stdout], [1, '']);
  assert.match(mismatch.stderr, /^dragonlock: .*"n" has version \d+; it must not exist\.\n$/);
  await prints(t, ['kv', 'put', 'n', 'x', '--if-version', String(Version)], at);
  await prints(t, ['kv', 'del', 'n', '--if-version', String(Version)], at, 1);
  await prints(t, ['kv', 'del', 'n'], at);
  const none = await runCommand(t, ['kv', 'get', 'n'], at);
  assert.deepEqual([none.code, none.stdout, none.stderr], [1, '', 'dragonlock: There is no key "n".\n']);
  await prints(t, ['kv', 'put', 'n', '-j', '{'], at, 64);
  await prints(t, ['kv', 'put', 'n', '-'], { ...at, input: Buffer.from([0xff]) }, 64);
});

test('kv list: prints keys in order, as a table, JSON or names; control characters are escaped', async (t) => {
  const at = server.place();
  await server.batch({ KVSet: [1, 2, 3].map((n) => ({ Key: `k/${n}`, Value: n })) });
  await server.batch({ KVSet: { Key: 'evil\u001b[2J', Value: 'v\u009b' } });
  assert.deepEqual((await prints(t, ['kv', 'list', 'k/', '--keys'], at)).split('\n'), ['k/1', 'k/2', 'k/3', '']);
  const table = await prints(t, ['kv', 'list'], at);
  assert.match(table, /^KEY +VERSION +VALUE\nevil\\u001b\[2J +\d+ +"v\\u009b"\nk\/1 +\d+ +1\n/);
  const rows = (await prints(t, ['kv', 'list', '--limit', '2', '--json'], at)).trim().split('\n');
  assert.deepEqual(
    rows.map((row) => (JSON.parse(row) as { Key: string }).Key),
    ['evil\u001b[2J', 'k/1'],
  );
  assert.equal(await prints(t, ['kv', 'list', 'none/'], at), '');
});

test('kv watch: prints a line for each change, across a restart of the server', async (t) => {
  const at = server.place();
  const listen = `127.0.0.1:${server.port}`;
  const key = new CommandUnderTest(t, ['kv', 'watch', 'color'], at);
  const prefix = new CommandUnderTest(t, ['kv', 'watch', '--prefix', 'c', '--json'], at);
  await key.printed(/^deleted color\n$/);
  await server.batch({ KVSet: { Key: 'color', Value: 'red' } });
  await key.printed(/set color "red"\n$/);
  await prefix.printed(/"Value":"red"/);
  await server.restart('kill', { listen });
  await server.batch({ KVSet: { Key: 'color', Value: 'green' } });
  await key.printed(/set color "green"\n$/);
  await server.batch({ KVSet: { Key: 'color', Delete: true } });
  await key.printed(/^deleted color\nset color "red"\nset color "green"\ndeleted color\n$/);
  await prefix.printed(/"Deleted":true/);
  const told = prefix.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    told.map(({ Value, Deleted }) => Value ?? Deleted),
    ['red', 'green', true],
  );
  const revs = told.map(({ Rev }) => Number(Rev));
  assert.ok(revs.every((rev, i) => rev > (revs[i - 1] ?? 0)));
  const again = await prints(t, ['kv', 'watch', '--prefix', 'c', '--after', String(revs[0]), '--once'], at);
  assert.equal(again, 'set color "green"\n');
});

test('counter and seq: print values; a condition that does not hold exits with 1', async (t) => {
  const at = server.place();
  const counter = async (...args: string[]): Promise<string> => (await prints(t, ['counter', ...args], at)).trim();
  assert.equal(await counter('get', 'c'), '0');
  assert.equal(await counter('add', 'c'), '1');
  assert.equal(await counter('add', 'c', '-5'), '-4');
  assert.equal(await counter('max', 'c', '10'), '10');
  assert.equal(await counter('min', 'c', '-10'), '-10');
  assert.equal(await counter('set', 'c', '7', '--if-eq', '-10'), '7');
  await prints(t, ['counter', 'set', 'c', '7', '--if-eq', '1'], at, 1);
  await prints(t, ['counter', 'add', 'c', 'many'], at, 64);
  assert.equal(await counter('reset', 'c'), '7');
  await counter('add', 'windows/a', '2', '--ttl', '1h');
  assert.match(await counter('list', 'windows/'), /^COUNTER +VALUE\nwindows\/a +2$/);
  assert.match(await counter('list', '--json'), /^{"Key":"windows\/a","Value":2,"TillMs":\d+}$/);
  await prints(t, ['kv', 'put', '-j', 'merged', '{"a":1,"b":2}'], at);
  await prints(t, ['kv', 'merge', 'merged', '{"a":null,"c":{"d":3}}'], at);
  assert.equal(await prints(t, ['kv', 'get', 'merged'], at), '{"b":2,"c":{"d":3}}\n');
  await prints(t, ['kv', 'merge', 'merged', '{'], at, 64);
  assert.equal(await prints(t, ['kv', 'del', '--prefix', 'mer'], at), '1\n');
  await prints(t, ['kv', 'del'], at, 64);
  await prints(t, ['kv', 'del', 'a', '--all'], at, 64);
  assert.equal(await prints(t, ['seq', 'next', 's'], at), '1\n');
  assert.equal(await prints(t, ['seq', 'next', 's', '--block', '3'], at), '2 4\n');
  assert.equal(await prints(t, ['seq', 'get', 's', '--json'], at), '{"Key":"s","Value":4}\n');
  await prints(t, ['seq', 'reset', 's'], at);
  assert.equal(await prints(t, ['seq', 'next', 's'], at), '1\n');
});

test('limit: prints what is left; exits with 1 when there is too little', async (t) => {
  const at = server.place();
  const limit = (code: number, ...args: string[]): Promise<string> =>
    prints(t, ['limit', 'api', '--rate', '2', '--per', '1h', ...args], at, code);
  assert.equal(await limit(0), '1\n');
  assert.equal(await limit(0, '--cost', '0'), '1\n');
  assert.equal(await limit(1, '--cost', '2'), '');
  assert.equal(await limit(0, '--burst', '20', '--cost', '5'), '14\n');
  assert.match(await limit(1, '--cost', '2', '--json'), /^{"Key":"api","Allowed":false,"Left":0,/);
  await limit(64, '--cost', '3');
  await prints(t, ['limit', 'api', '--rate', 'many'], at, 64);
  await prints(t, ['limit', 'api'], at, 64);
  assert.equal(await prints(t, ['limit', 'slow', '--rate', '20', '--burst', '1', '--wait', '5s'], at), '0\n');
});

test('batch: reads JSON of the HTTP API and prints its reply, for an array too', async (t) => {
  const at = server.place();
  const batch = (input: string, code = 0): Promise<string> => prints(t, ['batch', '-f', '-'], { ...at, input }, code);
  const one = JSON.parse(await batch('{"KVSet":{"Key":"a","Value":1},"Atomic":{"Key":"c","Add":2}}')) as object;
  assert.deepEqual(Object.keys(one), ['Atomic', 'KVSet', 'Rev']);
  const many = JSON.parse(await batch('[{"KVGet":"a"},{"Check":{"Key":"a","Version":0}}]')) as { Status: number }[];
  assert.deepEqual(
    many.map(({ Status }) => Status),
    [200, 409],
  );
  await batch('{"Check":{"Key":"a","Version":0}}', 1);
  await batch('{"KVSett":1}', 64);
  await batch('{', 64);
  await prints(t, ['batch', '-f', '/no/such/file'], at, 64);
});

test('locks: lists holders and waiters; --force-unlock takes a lock away', async (t) => {
  const at = server.place();
  assert.equal(await prints(t, ['locks'], at), '');
  await server.ok('POST', `/db/${at.account}/lock/job?id=a&dur=60`);
  assert.match(await prints(t, ['locks'], at), /^NAME +HELD FOR +ENDS IN +WAITERS +HOLDER\njob +\S+ s +5\d s +0\n$/);
  const row = JSON.parse(await prints(t, ['locks', 'j', '--json'], at)) as { LockID: string; Locked: boolean };
  assert.deepEqual([row.LockID, row.Locked], ['job', true]);
  await prints(t, ['locks', '--force-unlock', 'job'], at);
  assert.equal((await server.ok('GET', `/db/${at.account}/lock/job`)).Locked, false);
  await prints(t, ['locks', '--force-unlock', 'job'], at, 1);
});

test('status, config check and serve', async (t) => {
  const at = server.place();
  const { directory, boot } = server;
  assert.match(
    await prints(t, ['status'], at),
    new RegExp(`^server +${at.url}\nstate +ready\nversion .*\nboot +${boot}\n`),
  );
  const status = JSON.parse(await prints(t, ['status', '--json'], at)) as { State: string; LatencyMs: number };
  assert.equal(status.State, 'ready');
  assert.ok(status.LatencyMs > 0);
  assert.match(await prints(t, ['config', 'check'], { cwd: directory }), /^Valid: listens on 127\.0\.0\.1:8081, /);
  const wrong = await runCommand(t, ['config', 'check', '--config', '/no/such.yml'], {});
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /no\/such\.yml/);
  const args = ['serve', '--config', '/dev/null', '--listen', '127.0.0.1:0', '--data-dir', `${directory}/other`];
  const served = new CommandUnderTest(t, args);
  const [, other] = await served.printed(/"msg":"Serving on ([^"]+)"/);
  await prints(t, ['kv', 'put', 'a', '1'], { url: other! });
  served.signal('SIGTERM');
  assert.equal((await served.ended).code, 0);
});
