import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { revision } from '../../../src/protocol/ids.ts';
import { makeDoor, type HttpDoorUnderTest } from './http-door-under-test.ts';

/** A listening app, and a raw connection to it. */
async function connect(
  t: TestContext,
  door: HttpDoorUnderTest,
  options: net.SocketConstructorOpts = {},
): Promise<net.Socket> {
  if (!door.app.server.listening) await door.app.listen({ port: 0, host: '127.0.0.1' });
  const address = door.app.server.address();
  assert.ok(address !== null && typeof address === 'object');
  const socket = net.connect({ ...options, port: address.port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** The fast lane keeps what is not whole, for a second or two; lane/lane.test.ts has its share. */
const nodesWay = 'http: {fast_lane: false}';

function post(url: string, body: string): string {
  return `POST ${url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Reads everything that the server sends until it closes. */
async function everything(socket: net.Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

async function receive(socket: net.Socket, until: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (until.test(text)) return text;
  }
  return assert.fail(`the connection ended before ${String(until)}: ${text.slice(0, 500)}`);
}

test('a connection that closes cancels every request that waits on it, pipelined ones too', async (t) => {
  const door = makeDoor(t);
  const { dispatcher } = door;
  dispatcher.reply = undefined;
  const socket = await connect(t, door);
  const lock = '{"LockID":"a","LockDur":1,"LockWait":300}';
  socket.write(post('/db/a', lock) + post('/watch/a', '{"ID":"k"}') + post('/db/a', '[{"KVGet":"x"},{"KVGet":"y"}]'));
  await dispatcher.until(() => dispatcher.asked.length === 4);
  assert.ok(dispatcher.asked.every(({ client, cancelled }) => client?.disconnected === false && !cancelled));
  socket.destroy();
  await dispatcher.until(() => dispatcher.asked.every(({ cancelled }) => cancelled));
  assert.ok(dispatcher.asked.every(({ client }) => client?.disconnected));
  // Too late, and harmless.
  dispatcher.asked[0]?.client?.deliver({ rev: revision(1), outcome: 'ok', body: '{}' });
});

test('between requests a socket has at most Node’s listener, and its close is detected all the same', async (t) => {
  const door = makeDoor(t);
  const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
  const socket = await connect(t, door);
  const [server] = await accepted;
  socket.write(post('/db/a', '{"KVGet":"k"}'));
  await receive(socket, /HTTP\/1.1 200/);
  // Node's HTTP server has one; with a second one V8 keeps garbage: see on-socket-close.ts.
  assert.ok(server.listenerCount('close') <= 1);
  door.dispatcher.reply = undefined;
  socket.write(post('/db/a', '{"LockID":"a","LockDur":1,"LockWait":300}'));
  await door.dispatcher.until(() => door.dispatcher.asked.length === 2);
  socket.destroy();
  await door.dispatcher.until(() => door.dispatcher.asked[1]!.cancelled);
});

test('pipelined requests are answered in order, whatever order the replies come in', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const socket = await connect(t, door);
  socket.write(post('/db/a', '{"KVGet":"one"}') + post('/db/a', '{"KVGet":"two"}'));
  await door.dispatcher.until(() => door.dispatcher.asked.length === 2);
  door.dispatcher.asked[1]?.client?.deliver({ rev: revision(2), outcome: 'ok', body: '{"n":2}' });
  door.dispatcher.asked[0]?.client?.deliver({ rev: revision(1), outcome: 'ok', body: '{"n":1}' });
  assert.match(await receive(socket, /"n":2/), /\{"n":1\}HTTP\/1\.1 200 OK[\s\S]*\{"n":2\}$/);
});

test('a connection that answered its requests keeps only one close listener, and no request in flight', async (t) => {
  const door = makeDoor(t);
  const served: net.Socket[] = [];
  door.app.server.on('connection', (socket: net.Socket) => served.push(socket));
  const socket = await connect(t, door);
  socket.write(post('/db/a', '{"KVGet":"x"}'));
  await receive(socket, /"Rev":7/);
  const listeners = served[0]?.listenerCount('close');
  for (let i = 0; i < 20; i++) {
    socket.write(post('/db/a', '{"KVGet":"x"}'));
    await receive(socket, /"Rev":7/);
  }
  assert.equal(served[0]?.listenerCount('close'), listeners);
  socket.destroy();
  await once(served[0] ?? assert.fail('no connection'), 'close');
  assert.equal(
    door.dispatcher.asked.some(({ cancelled }) => cancelled),
    false,
  );
});

const broken: readonly (readonly [claim: string, bytes: string, status: number, message: RegExp])[] = [
  ['bytes that are not HTTP', 'hello\r\n\r\n', 400, /not HTTP\/1\.1/],
  [
    'a malformed Content-Length',
    'POST /db/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n',
    400,
    /^Content-Length: /,
  ],
  [
    'two kinds of length',
    'POST /db/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc',
    400,
    /./,
  ],
  [
    'a head over 16 KiB',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    413,
    /head is too large/,
  ],
];

for (const [claim, bytes, status, message] of broken) {
  test(`${claim}: a JSON error, and the connection closes`, async (t) => {
    const door = makeDoor(t);
    const socket = await connect(t, door);
    socket.write(bytes);
    const [head = '', body = ''] = (await everything(socket)).split('\r\n\r\n');
    assert.match(head, new RegExp(`^HTTP/1.1 ${status} `));
    assert.match(head, /Dragonlock-Boot: boot7/);
    assert.match(head, /Connection: close/);
    const { Message, RequestID }: { Message: string; RequestID: string } = JSON.parse(body);
    assert.match(Message, message);
    assert.equal(RequestID, 'boot7-0-1');
  });
}

test('a request whose head does not arrive in time is refused', async (t) => {
  const door = makeDoor(t, 'http: {header_timeout_ms: 20, request_timeout_ms: 40}');
  const socket = await connect(t, door);
  socket.write('POST /db/a HT');
  assert.match(await everything(socket), /^HTTP\/1\.1 400 Bad Request[\s\S]*came too slowly/);
});

test('a body over the limit is refused as it arrives, with or without a length; the connection closes', async (t) => {
  const door = makeDoor(t, 'limits: {body_bytes_max: 2000, value_bytes_max: 1000}');
  for (const head of ['Content-Length: 100000000', 'Transfer-Encoding: chunked']) {
    const socket = await connect(t, door);
    const chunk = 'x'.repeat(0xbb8);
    socket.write(`POST /db/a HTTP/1.1\r\nHost: localhost\r\n${head}\r\n\r\nbb8\r\n${chunk}\r\n`);
    const text = await everything(socket);
    assert.match(text, /^HTTP\/1\.1 413 /);
    assert.match(text, /Connection: close/i);
  }
  assert.deepEqual(door.dispatcher.asked, []);
});

test('a client that disconnects in the middle of its body leaves no trace', async (t) => {
  const door = makeDoor(t, nodesWay);
  const served: net.Socket[] = [];
  door.app.server.on('connection', (one: net.Socket) => served.push(one));
  const socket = await connect(t, door);
  socket.write('POST /db/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{');
  await once(door.app.server, 'request');
  socket.destroy();
  await once(served[0] ?? assert.fail('no connection'), 'close');
  assert.deepEqual(door.dispatcher.asked, []);
  assert.deepEqual(door.logged, []);
});

test('stream: it opens before the first event, and closing it cancels the watch', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const socket = await connect(t, door);
  socket.write('GET /watch/a?prefix= HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.match(await receive(socket, /\r\n\r\n/), /^HTTP\/1\.1 200 OK[\s\S]*text\/event-stream/);
  socket.destroy();
  await door.dispatcher.until(() => door.dispatcher.asked[0]?.cancelled === true);
  assert.equal(door.dispatcher.asked[0]?.sink?.commit(revision(1), ['{}']), false);
});

test('stream: a reader that does not keep up is closed when its unsent bytes pass the limit', async (t) => {
  const door = makeDoor(t, 'limits: {stream_buffer_bytes_max: 65536}');
  door.dispatcher.reply = undefined;
  const socket = await connect(t, door);
  socket.pause();
  socket.write('GET /watch/a?prefix= HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await door.dispatcher.until(() => door.dispatcher.asked.length === 1);
  const sink = door.dispatcher.asked[0]?.sink ?? assert.fail('no stream');
  const event = JSON.stringify('x'.repeat(8000));
  let rev = 0;
  while (sink.commit(revision(++rev), [event])) assert.ok(rev < 100_000, 'it is never closed');
  sink.end();
  socket.resume();
  socket.on('error', () => {});
  await once(socket, 'close');
});

test('while it drains, the server closes connections after its replies', async (t) => {
  const door = makeDoor(t);
  const socket = await connect(t, door);
  door.state = 'draining';
  socket.write(post('/db/a', '{"KVGet":"x"}'));
  assert.match(await everything(socket), /^HTTP\/1\.1 503 [\s\S]*Connection: close[\s\S]*"Code":"draining"/);
});

/** Makes the body of a batch of the given length. */
function value(length: number): string {
  return `{"KVSet":{"Key":"k","Value":"${'x'.repeat(length - 32)}"}}`;
}

const large = JSON.stringify('x'.repeat(16_000_000));

test('a client that reads nothing of its reply is disconnected after write_timeout_ms', async (t) => {
  const door = makeDoor(t, 'http: {write_timeout_ms: 50}');
  door.dispatcher.reply = () => ({ outcome: 'ok', body: large });
  const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
  const socket = await connect(t, door);
  const [served] = await accepted;
  socket.pause();
  socket.write(post('/db/a', '{"KVGet":"x"}'));
  await once(served, 'close');
});

test('over unread_bytes_max the connections that lagged longest are closed, those that read are not', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}\nlimits: {unread_bytes_max: 20000000}');
  door.dispatcher.reply = () => ({ outcome: 'ok', body: large });
  const served: net.Socket[] = [];
  door.app.server.on('connection', (socket: net.Socket) => served.push(socket));
  const first = await connect(t, door);
  first.pause();
  first.write(post('/db/a', '{"KVGet":"x"}'));
  await door.dispatcher.until(() => door.dispatcher.asked.length === 1);
  assert.equal(served[0]?.destroyed, false, 'one alone is within the limit');
  const second = await connect(t, door);
  second.write(post('/db/a', '{"KVGet":"x"}'));
  assert.match(await receive(second, /x"$/), /^HTTP\/1\.1 200/);
  assert.equal(served[0]?.destroyed, true);
  assert.equal(served[1]?.destroyed, false);
});

test('a connection that lagged and caught up many times keeps no listener of each time', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}');
  door.dispatcher.reply = () => ({ outcome: 'ok', body: large });
  const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
  const socket = await connect(t, door);
  const [served] = await accepted;
  const listeners: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    socket.write(post('/db/a', '{"KVGet":"x"}'));
    await receive(socket, /x"$/);
    listeners.push(served.listenerCount('close'));
  }
  assert.equal(new Set(listeners).size, 1, listeners.join());
});

test('a reply that is larger than unread_bytes_max arrives all the same when its client reads', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}\nlimits: {unread_bytes_max: 1000000}');
  door.dispatcher.reply = () => ({ outcome: 'ok', body: large });
  const socket = await connect(t, door);
  socket.write(post('/db/a', '{"KVGet":"x"}'));
  assert.match(await receive(socket, /x"$/), /^HTTP\/1\.1 200/);
});

for (const way of ['', 'fast_lane: false, '])
  test(`such a reply arrives when its client reads late: http: {${way}…}`, async (t) => {
    const door = makeDoor(t, `http: {${way}threads: 1}\nlimits: {unread_bytes_max: 1000000}`);
    door.dispatcher.reply = () => ({ outcome: 'ok', body: large });
    const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
    const socket = await connect(t, door);
    const [served] = await accepted;
    socket.write(post('/db/a', '{"KVGet":"x"}'));
    // The kernel has taken what it takes.
    while (!served.writableNeedDrain && !served.destroyed) await new Promise((resolve) => void setImmediate(resolve));
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => void setImmediate(resolve));
    let bytes = 0;
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length;
      if (bytes > large.length) break;
    }
    assert.ok(bytes > large.length, `${bytes} of ${large.length} bytes`);
  });

const arriving = (length: number): string =>
  `POST /db/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${length}\r\n\r\n`;

test('over arriving_bytes_max the body that has been arriving for longest is 503, the others succeed', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1, request_timeout_ms: 20000}\nlimits: {arriving_bytes_max: 300000}');
  const body = value(200_000);
  const slow = await connect(t, door);
  const replied = everything(slow);
  const begun = once(door.app.server, 'request');
  slow.write(arriving(body.length) + body.slice(0, -1));
  await begun;
  const fast = await connect(t, door);
  fast.write(arriving(body.length) + body.slice(0, 150_000));
  assert.match(await replied, /^HTTP\/1\.1 503 [\s\S]*Connection: close[\s\S]*"Code":"overloaded".*arriving_bytes_max/);
  fast.write(body.slice(150_000));
  assert.match(await receive(fast, /"Rev":7/), /^HTTP\/1\.1 200/);
  assert.equal(door.dispatcher.asked.length, 1, 'the other body was not dispatched');
  // Ended bodies do not count any more: as much again comes through, one after the other.
  for (let i = 0; i < 5; i += 1) {
    fast.write(arriving(body.length) + body.slice(0, 199_000));
    fast.write(body.slice(199_000));
    assert.match(await receive(fast, /"Rev":7/), /^HTTP\/1\.1 200/);
  }
});

/** Two bodies too many of 900 bytes; the first of them is given up. */
async function giveUp(t: TestContext, options: net.SocketConstructorOpts = {}) {
  const door = makeDoor(
    t,
    'http: {threads: 1, request_timeout_ms: 20000, fast_lane: false}\nlimits: {arriving_bytes_max: 1024}',
  );
  const body = value(900);
  const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
  const slow = await connect(t, door, options);
  const [served] = await accepted;
  const begun = once(door.app.server, 'request');
  slow.write(arriving(body.length) + body.slice(0, 700));
  await begun;
  const other = await connect(t, door);
  const answered = once(served, 'finish');
  other.write(arriving(body.length) + body.slice(0, 700));
  await answered;
  other.destroy();
  return { door, slow, served, rest: body.slice(700) };
}

test('a body that is given up is answered once, however short it is, and then its connection is closed', async (t) => {
  const { slow } = await giveUp(t);
  const said = await everything(slow);
  assert.equal(said.match(/HTTP\/1\.1/g)?.length, 1, said);
  assert.match(said, /^HTTP\/1\.1 503 [\s\S]*Connection: close[\s\S]*"Code":"overloaded"[^\n]*}$/);
});

test('a client that goes on sending a given-up body reads its answer before a reset; nothing is done', async (t) => {
  const { door, slow, served, rest } = await giveUp(t);
  const later = rest + post('/db/a', '{"KVGet":"later"}') + post('/db/a', value(300_000));
  const expected = served.bytesRead + later.length;
  const closed = once(served, 'close');
  await new Promise<void>((resolve, reject) => slow.write(later, (error) => (error ? reject(error) : resolve())));
  assert.match(await everything(slow), /^HTTP\/1\.1 503 [^]*"Code":"overloaded"[^\n]*}$/);
  await closed;
  assert.equal(served.bytesRead, expected);
  assert.equal(door.dispatcher.asked.length, 0);
});

test('a client whose body was given up, and that never closes its half, is closed soon', async (t) => {
  const { slow, served } = await giveUp(t, { allowHalfOpen: true });
  assert.match(await receive(slow, /}$/), /^HTTP\/1\.1 503/);
  await once(served, 'close');
});

test('a body that comes in many pieces, with or without a length, is the same as in one', async (t) => {
  const door = makeDoor(t);
  const socket = await connect(t, door);
  socket.setNoDelay(true);
  const body = '{"KVSet":{"Key":"k","Value":"\u{1f600}xyz"}}';
  const bytes = [...Buffer.from(body)].map((byte) => Buffer.of(byte));
  const chunked = bytes.flatMap((byte) => [Buffer.from('1\r\n'), byte, Buffer.from('\r\n')]);
  const heads = [`Content-Length: ${bytes.length}`, 'Transfer-Encoding: chunked'];
  const pieces = [bytes, [...chunked, Buffer.from('0\r\n\r\n')]];
  for (const [i, head] of heads.entries()) {
    socket.write(`POST /db/a HTTP/1.1\r\nHost: localhost\r\n${head}\r\n\r\n`);
    for (const piece of pieces[i]!) await new Promise((resolve) => socket.write(piece, resolve));
    assert.match(await receive(socket, /"Rev":7/), /^HTTP\/1\.1 200/);
  }
  const [first, second] = door.dispatcher.commands;
  assert.deepEqual(first, second);
  assert.match(JSON.stringify(first), /\u{1f600}xyz/u);
});
