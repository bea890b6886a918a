/** Tasks that call scripts, and scripts that make tasks, on a whole server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerUnderTest, serverForFile, type Method } from '../support/server-under-test.ts';

const scriptType = { headers: { 'content-type': 'text/javascript' } };

async function put(server: ServerUnderTest, name: string, source: string): Promise<void> {
  const { status, text } = await server.call('PUT', `/db/acme/script/${name}`, source, scriptType);
  assert.equal(status, 200, text);
}

async function taskUntil(server: ServerUnderTest, id: string, is: (task: Task) => boolean): Promise<Task> {
  for (;;) {
    const task = (await server.ok('GET', `/db/acme/task/${id}`)) as unknown as Task;
    if (is(task)) return task;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface Task {
  readonly State: string;
  readonly Runs: number;
  readonly Failed: number;
  readonly Attempts: number;
  readonly LastError?: string;
  readonly Script?: string;
  readonly Args?: unknown;
}

const count = `export default (tx, args) => {
  tx.add('runs/' + args.of, 1);
  tx.set('last/' + args.of, { at: tx.now });
  tx.enqueue('done', args);
}`;

const config = 'shards: 2\nscripts: {threads: 1}\n';
const shared = serverForFile({ config });

test('script tasks: each instant happens exactly once, over kills', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  await put(server, 'count', count);
  const ids = Array.from({ length: 40 }, (_, i) => `t${i}`);
  const Tasks = ids.map((ID, i) => ({ ID, Script: 'count', Args: { of: ID }, Delay: (i % 20) / 25 }));
  await server.batch({ Tasks }, 'acme');
  for (let kill = 1; kill <= 2; kill += 1) {
    // Some have run, others have not, and some are at it.
    await taskUntil(server, `t${kill * 7}`, ({ Runs }) => Runs === 1);
    await server.restart('kill');
  }
  for (const id of ids) await taskUntil(server, id, ({ State }) => State === 'done');
  const batch = ids.map((Key) => ({ Key: `runs/${Key}`, Add: 0 }));
  const { Atomic } = (await server.batch({ Atomic: batch }, 'acme')) as unknown as { Atomic: { Value: number }[] };
  assert.deepEqual(new Set(Atomic.map(({ Value }) => Value)), new Set([1]));
  const { Ready } = (await server.ok('GET', '/db/acme/queue/done')) as unknown as { Ready: number };
  assert.equal(Ready, ids.length, 'one message each');
});

test('script tasks: what fails is tried again, then dead, and run revives it; a schedule goes on', async () => {
  const Retry = { Max: 1, Min: 0.05, MaxDelay: 0.1 };
  await shared.ok('POST', '/db/acme/task/early', { Script: 'late', Args: { a: 1 }, Retry });
  const early = await taskUntil(shared, 'early', ({ State }) => State === 'dead');
  assert.match(early.LastError!, /no script "late"/);
  assert.deepEqual([early.Script, early.Args], ['late', { a: 1 }]);
  await put(shared, 'late', 'export default (tx) => tx.set("late", 1)');
  await shared.ok('POST', '/db/acme/run/early');
  await taskUntil(shared, 'early', ({ State }) => State === 'done');
  assert.equal(((await shared.ok('GET', '/db/acme/kv/late')) as { Value?: unknown }).Value, 1);

  await put(shared, 'refuses', 'export default (tx) => { tx.set("never", 1); tx.fail("closed", { why: "night" }); }');
  await put(shared, 'loops', 'export default () => { for (;;); }');
  await put(shared, 'throws', 'export default () => { throw new TypeError("no"); }');
  for (const [script, why] of [
    ['refuses', /refused: closed/],
    ['loops', /more than 50 ms/],
    ['throws', /TypeError: no/],
  ] as const) {
    await shared.ok('POST', `/db/acme/task/${script}`, { Script: script, Retry: { ...Retry, Max: 0 } });
    assert.match((await taskUntil(shared, script, ({ State }) => State === 'dead')).LastError!, why);
  }
  await shared.fails('not_found', 'GET', '/db/acme/kv/never');
  await shared.ok('POST', '/db/acme/task/again', { Script: 'throws', Every: 1, Retry: { Max: 0 } });
  const again = await taskUntil(shared, 'again', ({ Failed }) => Failed >= 2);
  assert.equal(again.State, 'scheduled');
});

test('script tasks: a script may cancel and replace its own task', async () => {
  await put(
    shared,
    'stops',
    'export default (tx) => { if (tx.counter("n") === 1) tx.cancelTask("s"); tx.add("n", 1); }',
  );
  await shared.ok('POST', '/db/acme/task/s', { Script: 'stops', Every: 1 });
  await put(
    shared,
    'moves',
    'export default (tx, n) => n > 0 && tx.task("m", { script: "moves", args: n - 1, replace: true })',
  );
  await shared.ok('POST', '/db/acme/task/m', { Script: 'moves', Args: 3 });
  const moved = await taskUntil(shared, 'm', ({ State, Args }) => State === 'done' && Args === 0);
  assert.equal(moved.Runs, 1, 'each begins anew');
  for (;;) {
    if ((await shared.call('GET', '/db/acme/task/s')).status === 404) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { Atomic } = (await shared.batch({ Atomic: { Key: 'n', Add: 0 } }, 'acme')) as unknown as {
    Atomic: { Value: number }[];
  };
  assert.equal(Atomic[0]!.Value, 2);
});

test('scripts make tasks with a URL where the caller may, and where they may go', async (t) => {
  const tokens = `tokens:
  - {token: calls, accounts: [a], scopes: [script, write, read]}
  - {token: sends, accounts: [a], scopes: [script, task, write, read]}
`;
  const server = await ServerUnderTest.forTest(t, { config: `scripts: {threads: 1}\n${tokens}` });
  const ask = async (token: string, method: Method, path: string, body?: unknown, type = 'application/json') => {
    const headers = { Authorization: `Bearer ${token}`, 'content-type': type };
    const reply = await server.call(method, `/db/a/${path}`, body, { headers });
    return {
      status: reply.status,
      body: JSON.parse(reply.text) as { Code?: string; Message?: string; State?: string },
    };
  };
  const source = `export default (tx, url) => tx.task('t', { url, delay: '1h', replace: true })`;
  assert.equal((await ask('calls', 'PUT', 'script/make', source, 'text/javascript')).status, 200);
  const call = (token: string, Args: string) => ask(token, 'POST', 'call/make', { Args });
  const refused = await call('calls', 'https://example.com/');
  assert.equal(refused.status, 422);
  assert.match(refused.body.Message!, /scope "task"/);
  assert.equal((await ask('calls', 'GET', 'task/t')).status, 404);
  assert.equal((await call('sends', 'https://example.com/')).status, 200);
  assert.equal((await ask('calls', 'GET', 'task/t')).status, 200);
  for (const url of ['http://127.0.0.1/', 'http://[::ffff:169.254.169.254]/', 'http://localhost/']) {
    const { status, body } = await call('sends', url);
    assert.equal(status, 422, url);
    assert.match(body.Message!, /tasks\.allow/);
  }
  // The run of a task may do what whoever made it may.
  for (const [token, may] of [
    ['calls', false],
    ['sends', true],
  ] as const) {
    await ask('sends', 'DELETE', 'task/t');
    const task = { Script: 'make', Args: 'https://example.com/', Retry: { Max: 0 } };
    assert.equal((await ask(token, 'POST', `task/by-${token}`, task)).status, 200);
    let state: string | undefined;
    while (state !== 'dead' && state !== 'done') state = (await ask(token, 'GET', `task/by-${token}`)).body.State;
    assert.equal(state, may ? 'done' : 'dead');
    assert.equal((await ask('calls', 'GET', 'task/t')).status, may ? 200 : 404);
  }
  assert.equal((await ask('calls', 'POST', 'task/x', { Script: 'make', Args: 1, Queue: 'q' })).status, 400);
  assert.equal((await ask('calls', 'POST', 'task/x', { Queue: 'q', Data: 1, Args: 1 })).status, 400);
});
