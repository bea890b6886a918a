/** Rate limits: in batches (`Limit`) and over REST. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

test('limits: a batch takes from them or is refused as a whole, with the time to wait in header and body', async () => {
  const Limit = { Key: 'api', Rate: 0.5, Burst: 2 };
  const first = await server.batch({ Limit, KVSet: { Key: 'k', Value: 1 } }, 'lim');
  assert.deepEqual(first.Limit, [{ Key: 'api', Left: 1, ResetMs: 2000 }]);
  await server.batch({ Limit: [Limit] }, 'lim');
  const refused = await server.call('POST', '/db/lim', { Limit, KVSet: { Key: 'k', Value: 2 } });
  assert.equal(refused.status, 429);
  const { Code, RetryAfterMs, Failed } = refused.body;
  assert.equal(Code, 'limited');
  assert.ok(RetryAfterMs > 1000 && RetryAfterMs <= 2000, `${RetryAfterMs}`);
  assert.equal(refused.headers['retry-after'], '2');
  assert.partialDeepStrictEqual(Failed, [{ Field: 'Limit[0]', Code: 'limited', Key: 'api' }]);
  assert.equal((await server.ok('GET', '/db/lim/kv/k')).Value, 1);
});

test('limits: REST takes, looks and waits', async () => {
  const call = '/db/lim/limit/users/7?rate=20&per=3600';
  assert.partialDeepStrictEqual(await server.ok('POST', `${call}&cost=20`), { Key: 'users/7', Left: 0 });
  await server.fails('limited', 'POST', call);
  assert.equal((await server.ok('POST', `${call}&cost=0`)).Left, 0);
  const slow = '/db/lim/limit/slow?rate=2&burst=1&wait=60';
  const waits = await Promise.all([1, 2, 3].map(async () => (await server.ok('POST', slow)).WaitMs));
  assert.ok(
    waits.some((ms) => ms > 0 && ms <= 1000),
    JSON.stringify(waits),
  );
});

test('limits: what is out of range is refused with the name of the field', async () => {
  const key = { Key: 'a', Rate: 1 };
  for (const [Limit, field] of [
    [{ Key: 'a' }, 'Limit[0].Rate'],
    [{ ...key, Rate: 0 }, 'Limit[0].Rate'],
    [{ ...key, Rate: 0.0001 }, 'Limit[0].Rate'],
    [{ ...key, Rate: 1.2345 }, 'Limit[0].Rate'],
    [{ ...key, Rate: 1e10 }, 'Limit[0].Rate'],
    [{ ...key, Rate: '1' }, 'Limit[0].Rate'],
    [{ ...key, Per: 0 }, 'Limit[0].Per'],
    [{ ...key, Per: 31 * 86_400 + 1 }, 'Limit[0].Per'],
    [{ ...key, Burst: 0 }, 'Limit[0].Burst'],
    [{ ...key, Burst: 1.5 }, 'Limit[0].Burst'],
    [{ ...key, Burst: 1e9, Per: 86_400 }, 'Limit[0].Burst'],
    [{ ...key, Cost: 2 }, 'Limit[0].Cost'],
    [{ ...key, Cost: -1 }, 'Limit[0].Cost'],
    [{ ...key, Wait: 301 }, 'Limit[0].Wait'],
    [{ ...key, Max: 1 }, 'Limit[0].Max'],
    [{ ...key, Key: '' }, 'Limit[0].Key'],
  ] as const) {
    const { Message } = await server.batchFails('invalid', { Limit }, 'lim');
    assert.ok(Message.startsWith(field), `${JSON.stringify(Limit)}: ${Message}`);
  }
  const locked = { Limit: { ...key, Wait: 1 }, LockID: 'l', LockDur: 1 };
  assert.match((await server.batchFails('invalid', locked, 'lim')).Message, /^Limit\[0\]\.Wait: not together/);
  const inArray = await server.call('POST', '/db/lim', [{ KVGet: 'a' }, { Limit: [key, { ...key, Wait: 1 }] }]);
  assert.match(inArray.body.Message, /^\[1\]\.Limit\[1\]\.Wait: not within an array/);
  for (const [query, name] of [
    ['', '?rate'],
    ['?rate=1e3', '?rate'],
    ['?rate=0.0005', '?rate'],
    ['?rate=1&cost=2', '?cost'],
    ['?rate=1&per=0', '?per'],
    ['?rate=1&burst=1000000000&per=86400', '?burst'],
  ]) {
    const { Message } = await server.fails('invalid', 'POST', `/db/lim/limit/a${query}`);
    assert.ok(Message.startsWith(name!), `${query}: ${Message}`);
  }
});
