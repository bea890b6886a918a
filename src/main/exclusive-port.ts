/**
 * With `reusePort` the kernel lets every process of the same user listen on a port, and gives each connection to one of
 * them: two servers with different data would share their clients without notice. So this process first listens without
 * `reusePort`, which fails when another one listens there, then closes that and listens with `reusePort`.
 *
 * Between the two steps another server could do the same. So this process holds a name meanwhile that only one can
 * hold: one of the kernel's abstract socket addresses. It lives in the same network namespace as the port, belongs to
 * no file, and ends with the process. A second server waits for the name; once it has it, the port is either free or in
 * use, and the check is reliable.
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net from 'node:net';
import type { Listen } from '../front-end/config-schema.ts';

/** Runs `listen` while no other server listens there, or can begin to. @throws EADDRINUSE and its like */
export async function withExclusivePort<T>({ host, port }: Listen, listen: () => Promise<T>): Promise<T> {
  // The kernel chooses a free port.
  if (port === 0) return listen();
  const name = await takeName(`\0dragonlock-port-${port}`);
  try {
    // `localhost` has several addresses. If this machine lacks one, `listen` deals with that.
    for (const { address } of await lookup(host, { all: true })) await tryAddress(address, port);
    return await listen();
  } finally {
    name.release();
  }
}

async function takeName(path: string): Promise<{ release(): void }> {
  for (;;) {
    const waiting = new Set<net.Socket>();
    const holder = net.createServer((socket) => waiting.add(socket));
    try {
      await listening(holder, { path });
      return {
        release() {
          holder.close();
          for (const socket of waiting) socket.destroy();
        },
      };
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE') throw error;
      await released(path);
    }
  }
}

/** Resolves when the holder is done, which closes its connections, or dies: then the kernel closes them. */
function released(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    // Refused, or reset: the name was released in this very moment.
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.resume();
  });
}

async function tryAddress(host: string, port: number): Promise<void> {
  const server = net.createServer();
  try {
    await listening(server, { host, port });
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') throw error;
    return;
  }
  server.close();
  await once(server, 'close');
}

async function listening(server: net.Server, where: net.ListenOptions): Promise<void> {
  // Rejects with an `error` event.
  const listens = once(server, 'listening');
  server.listen(where);
  await listens;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
