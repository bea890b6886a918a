/** Tasks that send requests, on a whole server: where they may go, who may make them, and what a kill leaves. */
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { verifyWebhook } from '../../src/client/webhook.ts';
import { ServerUnderTest, serverForFile, type Method } from '../support/server-under-test.ts';

const server = serverForFile();
const free = serverForFile({ config: 'tasks: {allow: [127.0.0.1]}\nshards: 2\n' });

interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function receiver(t: TestContext, answer: (seen: Seen, n: number) => number = () => 200) {
  const seen: Seen[] = [];
  let wake: (() => void) | undefined;
  const listener: RequestListener = (request, reply) => {
    let body = '';
    request.on('data', (piece) => (body += String(piece)));
    request.on('end', () => {
      seen.push({ headers: request.headers, body });
      reply.statusCode = answer(seen.at(-1)!, seen.length);
      reply.end();
      wake?.();
    });
  };
  const http = createServer(listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(() => http.close().closeAllConnections());
  const until = async (count: number): Promise<void> => {
    while (seen.length < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { seen, until, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/hook` };
}

for (const url of [
  'http://127.0.0.1/',
  'http://127.1/',
  'http://0x7f.1/',
  'http://2130706433/',
  'http://017700000001/',
  'http://[::1]:8081/',
  'http://[::ffff:127.0.0.1]/',
  'http://[64:ff9b::a00:1]/',
  'http://[2002:a00:1::]/',
  'http://169.254.169.254/latest/meta-data',
  'http://[fd00:ec2::254]/',
  'https://localhost/',
  'http://LOCALHOST./',
  'http://x.localhost/',
  'http://0.0.0.0/',
  'http://100.64.0.1/',
])
  test(`tasks: a request to ${url} is forbidden`, async () => {
    await server.fails('target_forbidden', 'POST', '/db/ssrf/task/t', { URL: url });
    await server.batchFails(
      'target_forbidden',
      [{ KVSet: { Key: 'a', Value: 1 } }, { Tasks: { ID: 't', URL: url } }],
      'ssrf',
    );
  });

for (const task of [
  { URL: 'ftp://example.com/' },
  { URL: 'file:///etc/passwd' },
  { URL: 'example.com' },
  { URL: 'http://user@example.com/' },
  { URL: 'http://user:password@example.com/' },
  { URL: 'http://[fe80::1%25eth0]/' },
  { URL: 'http://[fe80::1%eth0]/' },
  { URL: 'https://example.com/', Queue: 'q', Data: 1 },
  { URL: 'https://example.com/', Data: 1 },
  { URL: 'https://example.com/', Method: 'CONNECT' },
  { URL: 'https://example.com/', Method: 'GET', Body: 1 },
  { URL: 'https://example.com/', Overlap: 'queue' },
  { URL: 'https://example.com/', Every: 5, Overlap: 'allow' },
  { URL: 'https://example.com/', Deadline: 0.5 },
  { URL: 'https://example.com/', Deadline: 1801 },
  ...['Host', 'content-length', 'Connection', 'Transfer-Encoding', 'Webhook-Id', 'Dragonlock-Fence', 'a b', ''].map(
    (name) => ({ URL: 'https://example.com/', Headers: { [name]: 'x' } }),
  ),
  { URL: 'https://example.com/', Headers: { a: 'x\r\ny: z' } },
  { URL: 'https://example.com/', Headers: { a: '1', A: '2' } },
  { Queue: 'q', Data: 1, Body: 1 },
  { Queue: 'q', Data: 1, ResultQueue: 'r' },
])
  test(`tasks: ${JSON.stringify(task)} is invalid`, async () => {
    await server.fails('invalid', 'POST', '/db/bad/task/t', task);
  });

test('tasks: what is too large is refused', async () => {
  const url = 'https://example.com/';
  for (const task of [
    { URL: url + 'x'.repeat(2048) },
    { URL: `${url}${'é'.repeat(1000)}` },
    { URL: url, Body: 'x'.repeat(256 * 1024) },
    { URL: url, Headers: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`x-${i}`, ''])) },
    { URL: url, Headers: { 'x-a': 'x'.repeat(8192) } },
  ])
    await server.fails('too_large', 'POST', '/db/bad/task/t', task);
});

test('tasks: a webhook is signed, tried again, and can be verified', async (t) => {
  const { seen, until, url } = await receiver(t, (_, n) => (n === 1 ? 500 : 200));
  const { Secret } = (await free.ok('GET', '/db/hook/secret/webhook')) as unknown as { Secret: string };
  assert.match(Secret, /^whsec_/);
  const task = { URL: url, Body: { order: 7 }, Headers: { 'X-Shop': 'a' }, Retry: { Min: 0.1 }, ResultQueue: 'done' };
  await free.ok('POST', '/db/hook/task/t', task);
  await until(2);
  const [first, second] = seen.map(({ headers, body }) => verifyWebhook(headers, body, Secret));
  assert.equal(first!.id, second!.id);
  assert.deepEqual([first!.attempt, second!.attempt], [1, 2]);
  assert.ok(first!.fence! < second!.fence!);
  assert.deepEqual([seen[0]!.body, seen[0]!.headers['x-shop']], ['{"order":7}', 'a']);
  const { body } = await free.call('POST', '/db/hook/dequeue/done?wait=20');
  assert.partialDeepStrictEqual(body, { Messages: [{ Data: { ID: 't', Status: 200, Body: '', Attempts: 2 } }] });
  assert.partialDeepStrictEqual(await free.ok('GET', '/db/hook/task/t'), {
    State: 'done',
    Runs: 1,
    LastStatus: 200,
    URL: url,
    Method: 'POST',
    HeaderNames: ['x-shop'],
    Body: { order: 7 },
  });
});

test('tasks: flows are set, shown and deleted', async () => {
  const flow = '/db/flows/flow/a%2Fb';
  await free.fails('not_found', 'GET', flow);
  const shown = { Key: 'a/b', Rate: 0.5, Per: 60, Parallel: 2, Paused: false };
  assert.partialDeepStrictEqual(await free.ok('PUT', flow, { Rate: 0.5, Per: 60, Parallel: 2 }), shown);
  assert.partialDeepStrictEqual(await free.ok('GET', flow), shown);
  await free.fails('invalid', 'PUT', flow, { Per: 60 });
  await free.fails('invalid', 'PUT', flow, { Rate: 0 });
  await free.fails('invalid', 'PUT', flow, { Parallel: 0 });
  assert.partialDeepStrictEqual(await free.ok('DELETE', flow), { Key: 'a/b', Deleted: true });
  assert.partialDeepStrictEqual(await free.ok('DELETE', flow), { Deleted: false });
});

test('tasks: a rotation under an idempotency id is the same request', async () => {
  const rotate = { headers: { 'Idempotency-Key': 'once' } };
  const first = await free.call('POST', '/db/rotate/secret/webhook', undefined, rotate);
  assert.deepEqual((await free.call('POST', '/db/rotate/secret/webhook', undefined, rotate)).body, first.body);
});

test('tasks: requests need the scope task, messages write, secrets and flows admin', async (t) => {
  const config = `tokens:
  - {token: writes, accounts: [a], scopes: [read, write]}
  - {token: tasks, accounts: [a], scopes: [task]}
  - {token: rules, accounts: [a], scopes: [admin]}
`;
  const guarded = await ServerUnderTest.forTest(t, { config });
  const status = async (token: string, method: Method, path: string, body?: unknown): Promise<number> => {
    const headers = { Authorization: `Bearer ${token}` };
    return (await guarded.call(method, `/db/a/${path}`, body, { headers })).status;
  };
  const http = { URL: 'https://example.com/', Delay: 1000, Replace: true };
  const message = { Queue: 'q', Data: 1, Delay: 1000, Replace: true };
  assert.equal(await status('writes', 'POST', 'task/h', http), 403);
  assert.equal(await status('writes', 'POST', 'task/m', message), 200);
  assert.equal(await status('tasks', 'POST', 'task/h', http), 200);
  assert.equal(await status('tasks', 'POST', 'task/m', message), 403);
  for (const [token, expected] of [
    ['writes', 403],
    ['tasks', 403],
    ['rules', 200],
  ] as const) {
    assert.equal(await status(token, 'GET', 'secret/webhook'), expected);
    assert.equal(await status(token, 'POST', 'secret/webhook'), expected);
    assert.equal(await status(token, 'PUT', 'flow/f', { Parallel: 1 }), expected);
    assert.equal(await status(token, 'GET', 'flow/f'), expected);
  }
});

test('tasks: every webhook comes over kills, with one id for each task and fences that grow', async (t) => {
  const { seen, until, url } = await receiver(t);
  const many = await ServerUnderTest.forTest(t, { config: 'shards: 2\ntasks: {allow: [127.0.0.1]}\n' });
  const count = 120;
  const ids = Array.from({ length: count }, (_, i) => `t${i}`);
  await many.batch({ Tasks: ids.map((ID, i) => ({ ID, URL: url, Body: ID, Delay: (i % 60) / 40 })) });
  for (let kill = 1; kill <= 3; kill += 1) {
    await until(kill * 20);
    await many.restart('kill');
  }
  const bodies = (): Set<string> => new Set(seen.map(({ body }) => body));
  while (bodies().size < count) await until(seen.length + 1);
  const byBody = new Map<string, Seen[]>();
  for (const one of seen) byBody.set(one.body, [...(byBody.get(one.body) ?? []), one]);
  for (const tries of byBody.values()) {
    assert.equal(new Set(tries.map(({ headers }) => headers['webhook-id'])).size, 1);
    const fences = tries.map(({ headers }) => Number(headers['dragonlock-fence']));
    assert.deepEqual(
      fences,
      fences.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(fences).size, fences.length);
  }
});
