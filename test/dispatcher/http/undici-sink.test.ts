import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { TaskAnswer, TaskRequest } from '../../../src/dispatcher/http/http-sink.ts';
import { UndiciSink } from '../../../src/dispatcher/http/undici-sink.ts';
import { systemAfter } from '../../../src/shared/clock.ts';
import { answerKeptBytesMax } from '../../../src/shared/task-limits.ts';
import { TargetPolicy } from '../../../src/shared/target-policy.ts';

async function listening(t: TestContext, listener: RequestListener, host = '127.0.0.1'): Promise<[Server, number]> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(() => server.close().closeAllConnections());
  return [server, (server.address() as AddressInfo).port];
}

interface Names {
  readonly [name: string]: readonly string[];
}

function sinkOf(t: TestContext, allow: readonly string[], names: Names = {}) {
  const asked: string[] = [];
  const sink = new UndiciSink({
    policy: new TargetPolicy(allow),
    resolve: async (name) => {
      asked.push(name);
      const found = names[name];
      if (found === undefined) throw new Error(`"${name}" cannot be resolved (ENOTFOUND)`);
      return found;
    },
    after: systemAfter,
  });
  t.after(() => sink.close());
  const send = (url: string, more: Partial<TaskRequest> = {}): Promise<TaskAnswer> =>
    new Promise((resolve) => sink.send({ url, method: 'POST', headers: {}, deadlineMs: 20_000, ...more }, resolve));
  return { send, asked };
}

function errorOf(answer: TaskAnswer): string {
  assert.ok('error' in answer, JSON.stringify(answer));
  return answer.error;
}

describe('addresses that are refused', () => {
  for (const host of [
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '0177.0.0.1',
    '2130706433',
    '0',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '①②⑦.0.0.1',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    'localhost',
    'LOCALHOST.',
    'a.localhost',
    'inside.example',
    'both.example',
  ]) {
    test(host, async (t) => {
      let requests = 0;
      const [, port] = await listening(t, (_, reply) => {
        requests += 1;
        reply.end();
      });
      const names = { 'inside.example': ['127.0.0.1'], 'both.example': ['::1', '10.0.0.1', '169.254.169.254'] };
      const { send } = sinkOf(t, [], names);
      const url = new URL(`http://${host}:${port}/`).href;
      assert.match(errorOf(await send(url)), /no address on the internet/);
      assert.equal(requests, 0);
    });
  }

  test('the addresses behind a name are not told', async (t) => {
    const { send } = sinkOf(t, [], { 'inside.example': ['10.1.2.3'] });
    assert.doesNotMatch(errorOf(await send('http://inside.example/')), /10\.1/);
  });
});

test('an address that the operator allows is reached, by each of its names', async (t) => {
  const [, port] = await listening(t, (request, reply) => reply.end(request.headers.host));
  const { send } = sinkOf(t, ['127.0.0.0/8'], { 'inside.example': ['10.0.0.1', '127.0.0.1'] });
  for (const host of ['127.0.0.1', 'inside.example', 'localhost', '[::ffff:127.0.0.1]'])
    assert.partialDeepStrictEqual(await send(`http://${host}:${port}/`), { status: 200 }, host);
});

test('the operator allows a host with its port, and no other port of it', async (t) => {
  const [, port] = await listening(t, (_, reply) => reply.end('here'));
  const [, other] = await listening(t, (_, reply) => reply.end('there'));
  const { send } = sinkOf(t, [`127.0.0.1:${port}`]);
  assert.deepEqual(await send(`http://127.0.0.1:${port}/`), { status: 200, body: 'here' });
  errorOf(await send(`http://127.0.0.1:${other}/`));
});

test('a connection goes to the address that was judged: a name is resolved once', async (t) => {
  const [, port] = await listening(t, (_, reply) => reply.end('x'));
  const { send, asked } = sinkOf(t, ['127.0.0.1'], { 'hook.example': ['127.0.0.1'] });
  await send(`http://hook.example:${port}/`);
  assert.deepEqual(asked, ['hook.example']);
});

test('redirects are not followed', async (t) => {
  const seen: (string | undefined)[] = [];
  const [, port] = await listening(t, (request, reply) => {
    seen.push(request.url);
    reply.writeHead(307, { location: '/elsewhere' }).end();
  });
  const { send } = sinkOf(t, ['127.0.0.1']);
  assert.deepEqual(await send(`http://127.0.0.1:${port}/a?b=1`), { status: 307, body: '' });
  assert.deepEqual(seen, ['/a?b=1']);
});

test('a proxy of the environment is not asked', async (t) => {
  let asked = 0;
  const [, proxy] = await listening(t, (_, reply) => {
    asked += 1;
    reply.end();
  });
  const [, port] = await listening(t, (_, reply) => reply.end('direct'));
  const names = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'NODE_USE_ENV_PROXY'];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = name.startsWith('NODE') ? '1' : `http://127.0.0.1:${proxy}`;
  t.after(() =>
    names.forEach((name, i) => {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }),
  );
  const { send } = sinkOf(t, ['127.0.0.1']);
  assert.deepEqual(await send(`http://127.0.0.1:${port}/`), { status: 200, body: 'direct' });
  assert.equal(asked, 0);
});

test('of an answer so much is kept, and one without end is left', async (t) => {
  let hasLeft = Promise.resolve();
  const [, port] = await listening(t, (request, reply) => {
    if (request.url === '/short') {
      reply.end('é'.repeat(answerKeptBytesMax));
      return;
    }
    hasLeft = new Promise((resolve) => reply.on('close', resolve));
    const more = (): void => {
      while (!reply.destroyed && reply.write('x'.repeat(16_384)));
      if (!reply.destroyed) reply.once('drain', more);
    };
    more();
  });
  const { send } = sinkOf(t, ['127.0.0.1']);
  const short = await send(`http://127.0.0.1:${port}/short`);
  assert.deepEqual(short, { status: 200, body: 'é'.repeat(answerKeptBytesMax / 2) });
  const endless = await send(`http://127.0.0.1:${port}/endless`);
  assert.deepEqual(endless, { status: 200, body: 'x'.repeat(answerKeptBytesMax) });
  await hasLeft;
});

test('a request ends at its deadline, whether headers or the body are missing', async (t) => {
  const [, port] = await listening(t, (request, reply) => {
    if (request.url === '/body') reply.writeHead(200).write('a');
  });
  const { send } = sinkOf(t, ['127.0.0.1']);
  for (const path of ['', 'body'])
    assert.match(errorOf(await send(`http://127.0.0.1:${port}/${path}`, { deadlineMs: 50 })), /within 0\.05 s/);
});

test('what goes wrong is told', async (t) => {
  const [server, port] = await listening(t, (_, reply) => reply.destroy());
  const { send } = sinkOf(t, ['127.0.0.1']);
  assert.match(errorOf(await send(`http://127.0.0.1:${port}/`)), /other side closed|socket|ECONNRESET/);
  server.close().closeAllConnections();
  assert.match(errorOf(await send(`http://127.0.0.1:${port}/`)), /ECONNREFUSED/);
  assert.match(errorOf(await send('http://nowhere.example/')), /cannot be resolved/);
});

test('headers and the body arrive as they were given, and a connection is used again', async (t) => {
  const seen: unknown[] = [];
  const sockets = new Set<unknown>();
  const [, port] = await listening(t, (request, reply) => {
    sockets.add(request.socket);
    let body = '';
    request.on('data', (piece) => (body += String(piece)));
    request.on('end', () => {
      seen.push([request.method, request.headers['x-a'], body, request.headers['content-length']]);
      reply.writeHead(503, { 'retry-after': '7' }).end('later');
    });
  });
  const { send } = sinkOf(t, ['127.0.0.1']);
  const url = `http://127.0.0.1:${port}/`;
  const answer = await send(url, { method: 'PUT', headers: { 'x-a': 'b' }, body: '{"é":1}' });
  assert.deepEqual(answer, { status: 503, body: 'later', retryAfter: '7' });
  for (let i = 0; i < 5; i += 1) {
    await new Promise(setImmediate);
    await send(url, { method: 'GET' });
  }
  assert.deepEqual(seen.slice(0, 2), [
    ['PUT', 'b', '{"é":1}', '8'],
    ['GET', undefined, '', undefined],
  ]);
  assert.ok(sockets.size < 6, `${sockets.size} connections`);
});
