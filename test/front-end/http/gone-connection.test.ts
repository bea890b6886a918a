import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { makeContext } from './edge-under-test.ts';

test('a client is gone from the moment in which the end of its connection was read, before it closes', async (t) => {
  const edge = makeContext(t);
  const { dispatcher } = edge;
  dispatcher.reply = undefined;
  await edge.app.listen({ port: 0, host: '127.0.0.1' });
  const accepted = once(edge.app.server, 'connection') as Promise<[net.Socket]>;
  const socket = net.connect((edge.app.server.address() as net.AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  const [served] = await accepted;
  socket.write('POST /db/a/lock/l?wait=60 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
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
