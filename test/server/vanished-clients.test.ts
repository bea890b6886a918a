/** Clients that vanish: they leave every line at once, and a lock granted to one of them goes to the next. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { ReplyBody } from '../support/reply-body.ts';
import { isPending, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

/** Sends a call over a bare connection, and leaves it open. `atOnce` runs in the moment it was written. */
async function sendRaw(call: string, atOnce?: () => void): Promise<Socket> {
  const socket = server.connect();
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(`${call} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
  atOnce?.();
  return socket;
}

const ways = [
  ['the connection is closed', (socket: Socket) => socket.end()],
  ['the connection is destroyed', (socket: Socket) => socket.destroy()],
  ['the connection is reset', (socket: Socket) => socket.resetAndDestroy()],
] as const;

for (const kind of ['lock', 'mlock'] as const) {
  for (const [how, vanish] of ways) {
    test(`${kind}: ${how} while it waits: it leaves the line, and the next is granted without delay`, async () => {
      const path = `/db/acc/${kind}/${encodeURIComponent(how)}`;
      const held = await server.ok('POST', `${path}?dur=60`);
      const dead = await sendRaw(`POST ${path}?dur=60&wait=60`);
      await server.waiters(1);
      const next = server.ok('POST', `${path}?dur=60&wait=60`).then((granted) => ({ granted, at: performance.now() }));
      await server.waiters(2);
      vanish(dead);
      await server.waiters(1);
      const unlockedAt = performance.now();
      const unlock =
        kind === 'lock' ? (['DELETE', path] as const) : (['POST', path.replace('mlock', 'munlock')] as const);
      await server.ok(unlock[0], `${unlock[1]}?lock=${held.Lock}`);
      const { granted, at } = await next;
      assert(granted.Lock > held.Lock);
      assert(at - unlockedAt < 500, `granted after ${at - unlockedAt} ms`);
      dead.destroy();
    });
  }

  test(`${kind}: a grant that meets a closed connection goes to the next in the same moment, however they race`, async (t) => {
    const path = `/db/race/${kind}/l`;
    const unlockOf = (handle: number): string =>
      kind === 'lock' ? `DELETE ${path}?lock=${handle}` : `POST /db/race/munlock/l?lock=${handle}`;
    const rounds = 60;
    let keptByTheDead = 0;
    for (let round = 0; round < rounds; round += 1) {
      const held = await server.ok('POST', `${path}?dur=60`);
      const dead = await sendRaw(`POST ${path}?dur=60&wait=60`);
      await server.waiters(1);
      const next = server.ok('POST', `${path}?dur=60&wait=60`);
      await server.waiters(2);
      // The unlock is on its way when the connection closes, or the other way round; both are, before the grant is.
      if (round % 3 === 0) dead.destroy();
      const unlocking = await sendRaw(unlockOf(held.Lock), () => {
        if (round % 3 === 1) dead.destroy();
        if (round % 3 === 2) dead.resetAndDestroy();
      });
      await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 500))]);
      if (await isPending(next)) {
        // What was written before the connection's end arrived is the client's, and no server can tell. But the end that
        // was sent first arrives first.
        assert(round % 3 !== 0, 'a lock was granted to a connection that had closed before');
        keptByTheDead += 1;
        await call(kind === 'lock' ? `DELETE ${path}` : 'POST /db/race/munlock/l');
      }
      const granted = await next;
      unlocking.destroy();
      await call(unlockOf(granted.Lock));
    }
    t.diagnostic(`${keptByTheDead} of ${rounds} grants were written before the end of the connection arrived`);
    assert(keptByTheDead < rounds / 2, 'that must stay the exception');
    await server.waiters(0);
  });
}

function call(methodAndTarget: string): Promise<ReplyBody> {
  const [method, target] = methodAndTarget.split(' ') as ['DELETE' | 'POST', string];
  return server.ok(method, target);
}

test('a dead waiter costs nobody anything: a hundred of them leave at once', async () => {
  const held = await server.ok('POST', '/db/acc/lock/crowd?dur=60');
  const dead = await Promise.all(Array.from({ length: 100 }, () => sendRaw('POST /db/acc/lock/crowd?dur=60&wait=60')));
  await server.waiters(100);
  const next = server.ok('POST', '/db/acc/lock/crowd?dur=60&wait=60');
  await server.waiters(101);
  for (const socket of dead) socket.destroy();
  await server.waiters(1);
  await server.ok('DELETE', `/db/acc/lock/crowd?lock=${held.Lock}`);
  assert.equal((await next).Recover, undefined, 'it follows the one that released, not a dead one');
});
