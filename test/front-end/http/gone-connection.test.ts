import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { makeDoor } from './http-door-under-test.ts';

test('a client counts as disconnected once the end of its connection was read, before it closes', async (t) => {
  const door = makeDoor(t);
  const { dispatcher } = door;
  dispatcher.reply = undefined;
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  const accepted = once(door.app.server, 'connection') as Promise<[net.Socket]>;
  const socket = net.connect((door.app.server.address() as net.AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  const [served] = await accepted;
  socket.write('POST /db/a/lock/l?wait=60 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n');
  await dispatcher.until(() => dispatcher.asked.length === 1);
  const [asked] = dispatcher.asked;
  assert.equal(asked?.client?.disconnected, false);
  const seen = new Promise<{ gone: boolean | undefined; closed: boolean }>((resolve) => {
    served.prependOnceListener('end', () => resolve({ gone: asked?.client?.disconnected, closed: served.closed }));
  });
  socket.end();
  assert.deepEqual(await seen, { gone: true, closed: false });
  await dispatcher.until(() => dispatcher.asked.every(({ cancelled }) => cancelled));
});
