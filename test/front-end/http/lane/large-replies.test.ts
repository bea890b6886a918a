/** Large replies leave slice by slice, so that no turn of the event loop copies sixteen megabytes to a socket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate as immediately } from 'node:timers/promises';
import type { Reply } from '../../../../src/protocol/replies.ts';
import { revision } from '../../../../src/protocol/ids.ts';
import { makeDoor } from '../http-door-under-test.ts';

const get = (key: string): string => `GET /db/a/kv/${key} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const sliceChars = 512 * 1024;
const mib = 1024 * 1024;

interface Exchanged {
  /** Bodies, in order. */
  readonly bodies: string[];
  /** Characters, or bytes, of each write of the server. */
  readonly writes: number[];
}

/** Sends the requests in one write, while the server answers each with the next of the bodies. */
async function exchange(t: TestContext, bodies: readonly string[]): Promise<Exchanged> {
  const door = makeDoor(t, 'http: {threads: 1}');
  const writes: number[] = [];
  const left = [...bodies];
  door.dispatcher.reply = () => ({ rev: revision(1), outcome: 'ok', body: left.shift()! });
  door.app.server.prependListener('connection', (socket: net.Socket) => {
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    socket.write = (...args: [never]): boolean => {
      writes.push((args[0] as string | Buffer).length);
      return write(...args);
    };
  });
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  const socket = net.connect((door.app.server.address() as net.AddressInfo).port, '127.0.0.1');
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(bodies.map((_, i) => get(`k${i}`)).join(''));
  const received: Buffer[] = [];
  const found: string[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received.push(chunk as Buffer);
    const { texts, rest } = bodiesIn(Buffer.concat(received));
    found.push(...texts);
    received.splice(0, Infinity, rest);
    if (found.length === bodies.length) break;
  }
  return { bodies: found, writes };
}

function bodiesIn(bytes: Buffer): { texts: string[]; rest: Buffer } {
  const texts: string[] = [];
  for (;;) {
    const headEnd = bytes.indexOf('\r\n\r\n');
    if (headEnd === -1) return { texts, rest: bytes };
    const length = Number(/content-length: (\d+)/i.exec(bytes.toString('latin1', 0, headEnd))![1]);
    const end = headEnd + 4 + length;
    if (bytes.length < end) return { texts, rest: bytes };
    texts.push(bytes.toString('utf8', headEnd + 4, end));
    bytes = bytes.subarray(end);
  }
}

test('a reply of megabytes leaves in slices, and the ones behind it after it', async (t) => {
  const large = `{"Value":"${'v'.repeat(5 * mib)}"}`;
  const { bodies, writes } = await exchange(t, ['{"n":1}', large, '{"n":2}', large, '{"n":3}']);
  assert.deepEqual(
    bodies.map((body) => body.length),
    ['{"n":1}', large, '{"n":2}', large, '{"n":3}'].map((body) => body.length),
  );
  assert.deepEqual([bodies[0], bodies[2], bodies[4]], ['{"n":1}', '{"n":2}', '{"n":3}']);
  assert.ok(bodies[1] === large && bodies[3] === large);
  assert.ok(writes.length > 20, `${writes.length} writes`);
  assert.ok(Math.max(...writes) <= sliceChars, `the largest write has ${Math.max(...writes)} characters`);
});

test('no slice ends within a character', async (t) => {
  // The emoji lie across each end of a slice, whichever place the first one has.
  for (const before of ['', 'x']) {
    const large = `{"Value":"${before}${'\u{1f600}'.repeat(sliceChars)}é"}`;
    const { bodies } = await exchange(t, [large]);
    assert.ok(bodies[0] === large, 'the reply is as it was');
  }
});

test('many replies that are large together leave in slices', async (t) => {
  const medium = `{"Value":"${'v'.repeat(100_000)}"}`;
  const { bodies, writes } = await exchange(
    t,
    Array.from({ length: 30 }, () => medium),
  );
  assert.ok(bodies.length === 30 && bodies.every((body) => body === medium));
  assert.ok(Math.max(...writes) <= sliceChars, `the largest write has ${Math.max(...writes)} characters`);
});

test('a large reply that waits behind one that the client does not read counts as unread', async (t) => {
  const door = makeDoor(t, 'http: {threads: 1}\nlimits: {unread_bytes_max: 16777216}');
  door.dispatcher.reply = undefined;
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  const client = net.connect((door.app.server.address() as net.AddressInfo).port, '127.0.0.1');
  t.after(() => client.destroy());
  client.pause();
  const [socket] = (await once(door.app.server, 'connection')) as [net.Socket];
  // The kernel takes some of it.
  client.write(['a', 'b', 'c', 'd', 'e', 'f'].map(get).join(''));
  await door.dispatcher.until(() => door.dispatcher.asked.length === 6);
  const reply: Reply = { rev: revision(1), outcome: 'ok', body: `"${'v'.repeat(7 * mib)}"` };
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
  for (const { client: waiting } of door.dispatcher.asked) {
    waiting!.deliver(reply);
    // Its first slices have left, and the rest waits for the client.
    for (let turn = 0; turn < 5 || !(socket.writableNeedDrain || socket.destroyed); turn += 1) await immediately();
  }
  await closed;
});
