/** Back-pressure for pipelined requests: they are begun only as fast as their replies are read. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { makeDoor, type HttpDoorUnderTest } from './http-door-under-test.ts';

const get = 'GET /db/a/kv/k HTTP/1.1\r\nHost: x\r\n\r\n';

async function connect(t: TestContext, door: HttpDoorUnderTest): Promise<{ socket: net.Socket; served: net.Socket }> {
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
  const socket = net.connect((door.app.server.address() as net.AddressInfo).port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  return { socket, served: (await accepted)[0] };
}

/** Counts replies until there are so many. */
async function replies(socket: net.Socket, count: number): Promise<void> {
  let text = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    text += chunk.toString('latin1').replaceAll(/x{10,}/g, '');
    if (text.split('HTTP/1.1 200').length > count) return;
  }
  assert.fail(`the connection ended before ${count} replies: ${text.slice(-300)}`);
}

test('of 200 pipelined requests with large replies few are begun before the first is read; all are answered', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}\nlimits: {unread_bytes_max: 1000000000}');
  door.dispatcher.reply = () => ({ outcome: 'ok', body: `"${'x'.repeat(1_000_000)}"` });
  const { socket } = await connect(t, door);
  socket.pause();
  socket.write(get.repeat(200));
  await door.dispatcher.until(() => door.dispatcher.asked.length > 0);
  await new Promise((resolve) => setImmediate(resolve));
  const begun = door.dispatcher.asked.length;
  assert.ok(begun <= 40, `${begun} were begun`);
  await replies(socket, 200);
  assert.equal(door.dispatcher.asked.length, 200);
});

test('requests that wait keep no later one from being begun', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const { socket } = await connect(t, door);
  socket.write('POST /db/a/lock/l?wait=60 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'.repeat(300));
  await door.dispatcher.until(() => door.dispatcher.asked.length === 300);
  socket.destroy();
});

test('a body behind requests that are held back is read to its end', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}\nlimits: {unread_bytes_max: 1000000000}');
  door.dispatcher.reply = () => ({ outcome: 'ok', body: `"${'x'.repeat(300_000)}"` });
  const { socket } = await connect(t, door);
  socket.pause();
  const body = JSON.stringify({ KVSet: { Key: 'k', Value: 'y'.repeat(200_000) } });
  socket.write(get.repeat(100));
  socket.write(`POST /db/a HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  socket.write(get.repeat(10));
  await door.dispatcher.until(() => door.dispatcher.asked.length > 0);
  await replies(socket, 111);
  assert.equal(door.dispatcher.asked.length, 111);
});

test('those who scrape /metrics at once share one text', async (t) => {
  const door = makeDoor(t);
  const { served, socket } = await connect(t, door);
  const texts = new Set<unknown>();
  const end = served.write.bind(served);
  served.write = ((data: unknown, ...more: never[]) => {
    if (Buffer.isBuffer(data)) texts.add(data);
    return end(data as never, ...more);
  }) as typeof served.write;
  socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(16));
  await replies(socket, 16);
  assert.ok(texts.size <= 3, `${texts.size} texts for 16 readers`);
});
