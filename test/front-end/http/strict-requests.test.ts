/** Heads of requests: headers that are given twice, methods, types and encodings; and what a shell user gets wrong. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { makeDoor, type HttpDoorUnderTest } from './http-door-under-test.ts';

/** Sends bytes, and returns everything that comes back until the connection ends. */
async function exchange(t: TestContext, door: HttpDoorUnderTest, bytes: string): Promise<string> {
  if (!door.app.server.listening) await door.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = door.app.server.address() as net.AddressInfo;
  const socket = net.connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.end(bytes);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

const head = 'POST /db/a/counter/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n';

for (const [name, lines] of [
  ['Host', 'host: localhost\r\n'],
  ['Content-Length', 'Content-Length: 0\r\n'],
  ['Idempotency-Key', 'Idempotency-Key: a\r\nIDEMPOTENCY-KEY: a\r\n'],
  ['Authorization', 'Authorization: Bearer a\r\nAuthorization: Bearer b\r\n'],
  ['Content-Type', 'Content-Type: application/json\r\nContent-Type: text/plain\r\n'],
  ['Content-Encoding', 'Content-Encoding: identity\r\nContent-Encoding: gzip\r\n'],
  ['Origin', 'Origin: http://localhost\r\nAccept: */*\r\nOrigin: http://evil.example\r\n'],
  ['Last-Event-ID', 'Last-Event-ID: 1\r\nLast-Event-ID: 2\r\n'],
] as const) {
  test(`two headers ${name} are 400`, async (t) => {
    const door = makeDoor(t);
    const reply = await exchange(t, door, `${head}${lines}Connection: close\r\n\r\n`);
    assert.match(reply, /^HTTP\/1\.1 400 /);
    assert.match(
      reply,
      new RegExp(name === 'Content-Length' ? 'Content-Length' : `"Message":"${name}: .*more than once`, 'i'),
    );
    assert.deepEqual(door.dispatcher.asked, []);
  });
}

test('headers that may be repeated are not looked at; a request of HTTP/1.1 without a host is 400, of 1.0 403', async (t) => {
  const door = makeDoor(t);
  const twice = 'Accept: a\r\nAccept: b\r\nCookie: a=1\r\nCookie: b=2\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n';
  assert.match(await exchange(t, door, `${head}${twice}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
  assert.match(
    await exchange(t, door, 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 400 [^]*Host: missing/,
  );
  assert.match(await exchange(t, door, 'GET /livez HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 403 [^]*names no host/);
  assert.match(
    await exchange(t, door, 'GET /livez HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 403 /,
  );
  const absolute = 'GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  assert.match(await exchange(t, door, absolute), /^HTTP\/1\.1 403 /);
});

const allowed = [
  ['/livez', 'GET, HEAD'],
  ['/readyz', 'GET, HEAD'],
  ['/version', 'GET, HEAD'],
  ['/metrics', 'GET, HEAD'],
  ['/db/a', 'POST, DELETE'],
  ['/watch/a', 'POST, GET'],
  ['/db/a/kv', 'GET, HEAD, DELETE'],
  ['/db/a/kv/k', 'GET, HEAD, POST, DELETE'],
  ['/db/a/mlock/k', 'POST'],
] as const;

test('a method that a path does not take is 405 with Allow, in our words, whatever the method', async (t) => {
  const door = makeDoor(t);
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = door.app.server.address() as net.AddressInfo;
  for (const [path, allow] of allowed) {
    // CONNECT names no path; the others are all that Node's parser knows.
    for (const method of http.METHODS.filter((name) => name !== 'CONNECT' && !allow.split(', ').includes(name))) {
      const request = http.request({ port, host: '127.0.0.1', path, method, agent: false });
      request.end();
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      const body = (await response.toArray()).join('');
      assert.deepEqual([response.statusCode, response.headers.allow], [405, allow], `${method} ${path}: ${body}`);
      assert.equal(response.headers['dragonlock-boot'], 'boot7');
      if (method !== 'HEAD') assert.match(body, /"Code":"method_not_allowed".*"RequestID"/);
    }
  }
  const put = { method: 'PUT', url: '/db/a/kv/k', payload: '1' } as const;
  for (const type of ['application/json', 'text/plain', 'x']) {
    const response = await door.app.inject({ ...put, headers: { 'content-type': type } });
    assert.equal(response.statusCode, 405, `${type}: ${response.body}`);
  }
  const unknown = await exchange(t, door, 'FROB /db/a HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.match(unknown, /^HTTP\/1\.1 405 [^]*\r\nAllow: GET, HEAD, POST, PUT, DELETE\r\n[^]*There is no method FROB/);
  assert.match(await exchange(t, door, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 /);
});

test('HEAD is answered as GET without a body, except on streams', async (t) => {
  const door = makeDoor(t);
  for (const url of [
    '/livez',
    '/readyz',
    '/version',
    '/metrics',
    '/db/a/kv/k',
    '/db/a/kv',
    '/db/a/lock/l',
    '/db/a/counter/c',
  ]) {
    const head = await door.app.inject({ method: 'HEAD', url });
    assert.equal(head.statusCode, 200, url);
    assert.equal(head.body, '', url);
  }
  assert.equal((await door.app.inject({ method: 'HEAD', url: '/watch/a' })).statusCode, 405);
});

const refusedTypes: readonly Record<string, string>[] = [
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-type': 'application/json;charset="ISO-8859-1"' },
  { 'content-type': 'text/plain; charset=utf-16' },
  { 'content-type': 'application/x-www-form-urlencoded; charset=latin1' },
  { 'content-type': 'application/json; charset=utf-8; charset=utf-16' },
  { 'content-type': 'application/json; charset' },
  { 'content-encoding': 'gzip' },
  { 'content-encoding': 'identity, gzip' },
  { 'content-encoding': 'br' },
];

test('another charset or encoding is 415 on every call with a body', async (t) => {
  const door = makeDoor(t);
  for (const [method, url, body] of [
    ['POST', '/db/a', '{"KVGet":"a"}'],
    ['POST', '/watch/a', '{"ID":"a","Wait":0}'],
    ['POST', '/db/a/kv/k?as=text', '1'],
    ['POST', '/db/a/lock/l', '{}'],
    ['DELETE', '/db/a/kv/k', '{}'],
  ] as const) {
    for (const headers of refusedTypes) {
      const response = await door.send(method, url, body, { 'content-type': 'application/json', ...headers });
      assert.equal(response.statusCode, 415, `${url} ${JSON.stringify(headers)} ${response.body}`);
    }
    for (const type of ['application/json; charset=UTF-8', 'application/json;charset="utf-8"', 'APPLICATION/JSON']) {
      const response = await door.send(method, url, body, { 'content-type': type, 'content-encoding': 'identity' });
      assert.notEqual(response.statusCode, 415, `${url} ${type}`);
    }
  }
});

/** What shell users send by mistake, and what the message must tell them. */
const mistakes: readonly (readonly [
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  body: string,
  type: string,
  status: number,
  message: RegExp,
])[] = [
  [
    'POST',
    '/db/a/kv/k',
    'hello',
    'application/x-www-form-urlencoded',
    400,
    /string needs double quotes.*'"hello"'; it begins with "hello"/,
  ],
  ['POST', '/db/a', '{KVGet:a}', 'application/x-www-form-urlencoded', 400, /shell removes them.*single quotes/],
  ['POST', '/db/a', "{'KVGet':'a'}", 'application/json', 400, /JSON has double quotes/],
  ['POST', '/db/a', 'KVGet=a&x=1', 'application/x-www-form-urlencoded', 400, /this is a form; expected JSON/],
  ['POST', '/db/a/kv/k', '[object Object]', 'application/json', 400, /JSON\.stringify/],
  ['POST', '/db/a/kv/k', '\ufeff1', 'application/json', 400, /byte order mark/],
  ['POST', '/db/a/kv/k', '', 'application/json', 400, /empty; expected JSON, or text with \?as=text/],
  ['POST', '/db/a/kv/k', '"v"', 'text/plain;charset=UTF-8', 415, /fetch\(\).*\?as=text/],
  [
    'GET',
    '/db/a/lock/l?owner=me&dur=30',
    '',
    '',
    400,
    /^\?owner: unknown parameter of GET; did you mean POST\? \(curl -X POST\)/,
  ],
  ['GET', '/db/a/counter/c?add=1', '', '', 400, /did you mean POST/],
  ['GET', '/db/a/kv/k?ver=3', '', '', 400, /did you mean POST/],
  ['GET', '/db/a/mlock/l?dur=30', '', '', 405, /takes POST \(curl -X POST\)/],
  ['GET', '/db/a', '', '', 405, /takes POST, DELETE \(curl -X POST\)/],
  ['POST', '/db/a/kv', '1', 'application/json', 405, /the id is missing: \/db\/:acc\/kv\/:id takes POST/],
  [
    'POST',
    '/db/a/lock/l',
    'owner=me&dur=30',
    'application/x-www-form-urlencoded',
    400,
    /takes no body here, got "owner=me.*in the URL \(\?owner, \?id, \?dur/,
  ],
  ['GET', '/db/a/kv/k', '{"a":1}', 'application/json', 400, /GET takes no body here/],
  ['GET', '/watch/a?prefix=', '{"a":1}', 'application/json', 400, /takes no body/],
  ['DELETE', '/db/a/lock/l', '', '', 400, /\?owner= or \?lock= .*\?force=1/],
  ['POST', '/db/a/munlock/l', '', '', 400, /\?owner= or \?lock= .*\?force=1/],
  ['DELETE', '/db/a/lock/l?force=yes', '', '', 400, /^\?force: expected 1, got "yes"/],
  ['DELETE', '/db/a/lock/l?owner=a&force=1', '', '', 400, /^\?owner and \?force: expected only one/],
  ['POST', '/db/a/lock/l?owner=a&id=a', '', '', 400, /^\?owner and \?id: expected only one/],
  ['POST', '/db/a/kv/k?as=json', '1', 'application/json', 400, /^\?as: expected text, got "json"/],
];

for (const [method, url, body, type, status, message] of mistakes) {
  test(`mistake: ${method} ${url} ${body} is ${status}, and says what to do`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send(
      method,
      url,
      body === '' ? undefined : body,
      type === '' ? {} : { 'content-type': type },
    );
    assert.match(response.json<{ Message: string }>().Message, message);
    assert.equal(response.statusCode, status);
    assert.deepEqual(door.dispatcher.asked, []);
  });
}

test('mistake: a compressed body without its header is named', async (t) => {
  const door = makeDoor(t);
  const gzip = Buffer.from('1f8b0800000000000003', 'hex');
  const response = await door.send('POST', '/db/a', gzip, { 'content-type': 'application/json' });
  assert.match(response.json<{ Message: string }>().Message, /not UTF-8 but gzip; expected JSON, uncompressed/);
});

test('with as=text any body is kept as a string', async (t) => {
  const door = makeDoor(t);
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json', '']) {
    await door.send('POST', '/db/a/kv/k?as=text', '{"a":1}', type === '' ? {} : { 'content-type': type });
    const command = door.dispatcher.commands.at(-1);
    assert.equal(command?.kind === 'batch' && command.set?.[0]?.value, '"{\\"a\\":1}"', type);
  }
});

test('?owner= and ?id= are the same owner', async (t) => {
  const door = makeDoor(t);
  for (const name of ['owner', 'id']) {
    await door.send('POST', `/db/a/lock/l?${name}=me`);
    await door.send('POST', `/db/a/mlock/l?${name}=me`);
    await door.send('DELETE', `/db/a/lock/l?${name}=me`);
    await door.send('POST', `/db/a/munlock/l?${name}=me`);
  }
  const commands = door.dispatcher.commands.map((command) => JSON.stringify(command));
  assert.equal(commands.length, 8);
  assert.deepEqual(commands.slice(0, 4), commands.slice(4));
  assert.ok(commands.every((command) => command.includes('"owner":"me"')));
});
