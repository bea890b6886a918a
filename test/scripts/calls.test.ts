/** Calls of scripts over HTTP, with scripts that run in this thread. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openDoor } from '../support/door-in-process.ts';
import { fakeScriptPool, type FakePoolOptions } from '../support/fake-script-pool.ts';

const transfer = `export default (tx, { from, to, amount }) => {
  const a = tx.get('acct/' + from), b = tx.get('acct/' + to) ?? { balance: 0 };
  if (!(a?.balance >= amount)) tx.fail('insufficient', { balance: a?.balance ?? 0 });
  tx.set('acct/' + from, { ...a, balance: a.balance - amount });
  tx.set('acct/' + to, { ...b, balance: b.balance + amount });
  tx.enqueue('mail', { from, amount });
  return a.balance - amount;
}`;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function open(t: TestContext, options: FakePoolOptions & { shards?: number; config?: string } = {}) {
  const pool = fakeScriptPool(options);
  const door = await openDoor(t, options.shards ?? 1, options.config ?? '', { scriptPool: pool });
  const send = async (method: string, path: string, body?: unknown, headers: object = {}): Promise<Answer> => {
    const text = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
    const type = typeof body === 'string' ? 'text/javascript' : 'application/json';
    const reply = await fetch(`http://127.0.0.1:${door.port}/db/acme/${path}`, {
      method,
      headers: { 'content-type': type, ...headers },
      ...text,
    });
    return { status: reply.status, headers: reply.headers, body: (await reply.json()) as Record<string, unknown> };
  };
  return { pool, door, send };
}

const value = async (send: Awaited<ReturnType<typeof open>>['send'], key: string): Promise<unknown> =>
  (await send('GET', `kv/${key}`)).body['Value'];

for (const shards of [1, 3]) {
  test(`a stored script moves money, on ${shards} shards`, async (t) => {
    const { send, pool } = await open(t, { shards });
    const put = await send('PUT', 'script/transfer', transfer);
    assert.equal(put.status, 200);
    const { Name, Version } = put.body;
    assert.equal(Name, 'transfer');
    await send('POST', 'kv/acct%2F1', { balance: 100 });
    const Args = { from: 1, to: 2, amount: 10 };
    const { status, body } = await send('POST', 'call/transfer', { Args, Keys: ['acct/1', 'acct/2'] });
    assert.equal(status, 200, JSON.stringify(body));
    const { Rev, CPUMs, ...rest } = body;
    assert.ok(typeof Rev === 'number' && typeof CPUMs === 'number');
    assert.deepEqual(rest, { Result: 90, Log: [], Version, Tries: 1 });
    assert.equal(pool.runs.length, 1, 'one round');
    assert.deepEqual(await value(send, 'acct%2F1'), { balance: 90 });
    assert.deepEqual(await value(send, 'acct%2F2'), { balance: 10 });
    assert.equal((await send('GET', 'kv/acct%2F2')).body['Version'], Rev);
    // Without Keys: a round for each key that it asks for.
    const again = await send('POST', 'call/transfer', { Args });
    assert.deepEqual([again.status, again.body['Result'], pool.runs.length], [200, 80, 4]);
  });
}

test('a script that refuses, throws or does not compile has done nothing', async (t) => {
  const { send } = await open(t);
  await send('PUT', 'script/transfer', transfer);
  const refused = await send('POST', 'call/transfer', { Args: { from: 1, to: 2, amount: 1 } });
  assert.equal(refused.status, 409);
  const { Code, Reason, Details, Log } = refused.body;
  assert.deepEqual(
    { Code, Reason, Details, Log },
    { Code: 'script_refused', Reason: 'insufficient', Details: { balance: 0 }, Log: [] },
  );
  const thrown = await send('POST', 'eval', {
    Source: `export default (tx) => { tx.set('a', 1); tx.log('x'); null.a }`,
  });
  assert.deepEqual([thrown.status, thrown.body['Code']], [422, 'script_failed']);
  assert.equal((thrown.body['Error'] as { Name: string }).Name, 'TypeError');
  assert.deepEqual(thrown.body['Log'], ['x']);
  assert.equal((await send('GET', 'kv/a')).status, 404);
  const wrong = await send('PUT', 'script/wrong', 'export default (');
  assert.deepEqual([wrong.status, wrong.body['Code']], [422, 'script_failed']);
  assert.equal((await send('GET', 'script/wrong')).status, 404);
  // Without a default export it is no script.
  const none = await send('PUT', 'script/wrong', '5');
  assert.deepEqual([none.status, none.body['Code']], [400, 'invalid']);
  assert.match(none.body['Message'] as string, /no default export; expected export default/);
  const evaluated = await send('POST', 'eval', { Source: '5' });
  assert.deepEqual([evaluated.status, evaluated.body['Code']], [400, 'invalid']);
});

test('compiling a source is charged to the CPU time of its account', async (t) => {
  const { send } = await open(t, { checkCpuMs: 60_000 });
  assert.equal((await send('PUT', 'script/dear', 'export default () => 1')).status, 200);
  for (const [method, path, body] of [
    ['PUT', 'script/dear', 'export default () => 2'],
    ['POST', 'call/dear', {}],
  ] as const) {
    const refused = await send(method, path, body);
    assert.deepEqual(
      [refused.status, refused.body['Code'], refused.body['Quota']],
      [429, 'rate_limited', 'script_cpu'],
    );
  }
});

test('a retry under an idempotency id gets the stored reply, and does nothing more', async (t) => {
  for (const shards of [1, 3]) {
    const { send, pool } = await open(t, { shards });
    await send('PUT', 'script/transfer', transfer);
    await send('POST', 'kv/acct%2F1', { balance: 10 });
    const call = { Args: { from: 1, to: 2, amount: 10 }, IdempotencyIDs: ['pay-1'] };
    const first = await send('POST', 'call/transfer', call);
    assert.equal(first.status, 200);
    const runs = pool.runs.length;
    const second = await send('POST', 'call/transfer', call);
    assert.deepEqual([second.status, second.body], [200, first.body], 'though the money is gone');
    assert.equal(pool.runs.length, runs, 'it did not run');
    assert.deepEqual(await value(send, 'acct%2F2'), { balance: 10 });
    const other = await send('POST', 'call/transfer', { ...call, Args: { from: 1, to: 3, amount: 1 } });
    assert.deepEqual([other.status, other.body['Code']], [422, 'idempotency_mismatch']);
  }
});
