/** Clients that disconnect leave every wait queue at once, and a lock granted to one of them goes to the next. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { ReplyBody } from '../support/reply-body.ts';
import { eventually, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

/** Opens a bare connection, and sends a call over it. */
async function sendRaw(call?: string): Promise<Socket> {
  const socket = server.connect();
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (call !== undefined) socket.write(bytesOf(call));
  return socket;
}

function bytesOf(call: string): string {
  return `${call} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`;
}

const ways = [
  ['the connection is closed', (socket: Socket) => socket.end()],
  ['the connection is destroyed', (socket: Socket) => socket.destroy()],
  ['the connection is reset', (socket: Socket) => socket.resetAndDestroy()],
] as const;

for (const kind of ['lock', 'mlock'] as const) {
  for (const [how, vanish] of ways) {
    test(`${kind}: ${how} while it waits: it leaves the wait queue, and the next is granted without delay`, async () => {
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

  test(`${kind}: a grant that meets a closed connection goes to the next in the same moment`, async () => {
    const path = `/db/race/${kind}/l`;
    const unlockOf = (fence: number): string =>
      kind === 'lock' ? `DELETE ${path}?lock=${fence}` : `POST /db/race/munlock/l?lock=${fence}`;
    for (let round = 0; round < 20; round += 1) {
      const held = await server.ok('POST', `${path}?dur=60`);
      const dead = await sendRaw(`POST ${path}?dur=60&wait=60`);
      await server.waiters(1);
      const next = server.ok('POST', `${path}?dur=60&wait=60`);
      await server.waiters(2);
      const unlocking = await sendRaw();
      // The server reads both at once: first the unlock, whose grant is for the connection that closed right after it.
      await whileStopped(server.pid, () => {
        unlocking.write(bytesOf(unlockOf(held.Lock)));
        if (round % 2 === 0) dead.destroy();
        else dead.resetAndDestroy();
      });
      const { Lock } = await next;
      await call(unlockOf(Lock));
      unlocking.destroy();
    }
    await server.waiters(0);
  });
}

/** Does something while the server's process stands still. */
async function whileStopped(pid: number, act: () => void): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const status = `/proc/${pid}/status`;
  if (fs.existsSync(status)) {
    await eventually('the process is stopped', async () => /^State:\tT/m.test(fs.readFileSync(status, 'utf8')));
  }
  act();
  process.kill(pid, 'SIGCONT');
}

function call(methodAndTarget: string): Promise<ReplyBody> {
  const [method, target] = methodAndTarget.split(' ') as ['DELETE' | 'POST', string];
  return server.ok(method, target);
}

test('dead waiters delay no other client: a hundred of them leave at once', async () => {
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

test('a connection on which nothing comes is probed, so that a machine that is gone leaves its wait queue', async () => {
  for (const call of [undefined, 'POST /db/acc/lock/probed?dur=60&wait=60', 'GET /db/%61cc/kv']) {
    const socket = await sendRaw(call);
    await eventually(`a keep-alive timer runs behind ${call ?? 'an idle connection'}`, async () => probed(socket));
    socket.destroy();
  }
});

function inHex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}

/** Whether the kernel has a keep-alive timer for the server's end: `02` in the sixth column. */
function probed(socket: Socket): boolean {
  const ends = `:${inHex(server.port)} [0-9A-F]+:${inHex(socket.localPort!)}`;
  return new RegExp(`${ends} \\w+ \\w+:\\w+ 02:`).test(fs.readFileSync('/proc/net/tcp', 'utf8'));
}
