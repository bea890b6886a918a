/** What leaves on a connection of a Redis client: large replies slice by slice, whole and in order. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as immediately } from 'node:timers/promises';
import { Output, type OutputOptions } from '../../../src/front-end/resp/output.ts';
import { TurnEnd } from '../../../src/front-end/turn-end.ts';
import { sliceChars } from '../../../src/front-end/slices.ts';
import { UnreadReplies } from '../../../src/front-end/http/sockets/unread-replies.ts';

/** Both ends of a connection. */
async function connected(t: TestContext): Promise<{ client: net.Socket; socket: net.Socket }> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  t.after(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  return { client, socket };
}

function outputTo(socket: net.Socket, options: Partial<OutputOptions> = {}): Output {
  return new Output({
    socket,
    unread: new UnreadReplies({ bytesMax: 2 ** 30, stallMs: 60_000 }),
    bytesMax: 2 ** 30,
    account: () => 'a',
    turnEnd: new TurnEnd(),
    onFree: () => {},
    sliceSoon: (run) => setImmediate(run),
    ...options,
  });
}

test('replies of megabytes leave in slices, and nothing else of the client is begun meanwhile', async (t) => {
  const { client, socket } = await connected(t);
  const writes: number[] = [];
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (...args: [never]): boolean => {
    writes.push((args[0] as string).length);
    return write(...args);
  };
  let frees = 0;
  let freed = 0;
  const output = outputTo(socket, { onFree: () => (frees += 1) });
  const replies = [
    '+A\r\n',
    `$1\r\n${'\xff'.repeat(5 * 1024 * 1024)}\r\n`,
    '+B\r\n',
    'v'.repeat(sliceChars + 1),
    '+C\r\n',
  ];
  for (const reply of replies) output.write(reply);
  output.whenFree(() => (freed += 1));
  assert.ok(output.lags);
  assert.equal(output.bytes, replies.join('').length);
  output.close();
  const chunks: Buffer[] = [];
  for await (const chunk of client) chunks.push(chunk as Buffer);
  assert.ok(Buffer.concat(chunks).toString('latin1') === replies.join(''), 'every byte, in order');
  assert.ok(Math.max(...writes) <= sliceChars, `the largest write has ${Math.max(...writes)} characters`);
  assert.equal(frees, 1);
  assert.equal(output.bytes, 0);
  assert.ok(freed <= 1);
});

test('a client that was behind is free again when all slices are written', async (t) => {
  const { client, socket } = await connected(t);
  client.resume();
  const { promise, resolve } = Promise.withResolvers<void>();
  const output = outputTo(socket);
  output.write('x'.repeat(20 * 1024 * 1024));
  output.whenFree(resolve);
  await promise;
  assert.equal(output.lags, false);
});

test('a large reply that waits behind one that the client does not read counts as unread', async (t) => {
  const { client, socket } = await connected(t);
  client.pause();
  const mib = 1024 * 1024;
  const output = outputTo(socket, { bytesMax: 16 * mib });
  // The kernel takes some of it.
  for (let n = 0; n < 6 && !socket.destroyed; n += 1) {
    output.write('x'.repeat(7 * mib));
    while (!(socket.writableNeedDrain || socket.destroyed)) await immediately();
  }
  assert.equal(socket.destroyed, true);
});
