/**
 * With `reusePort` the kernel lets every process of the same user join in on a port, and gives each connection to one of
 * them: two servers with different data would share their clients, and nobody would be told. So the address is first
 * taken the plain way, which fails when anybody listens there, and given up for the way with `reusePort`.
 *
 * Between the two, another server could do the same. Therefore it all happens while this process holds a name that only
 * one can hold: one of the kernel's abstract socket addresses, which lives in the same network namespace as the port,
 * belongs to no file, and ends with the process. Whoever does not get the name waits until its holder is done, and then
 * finds the address in use, or free.
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net from 'node:net';
import type { Listen } from '../front-end/config-schema.ts';

/** Runs `listen` when nobody else listens there, or can begin to before it is done. @throws EADDRINUSE and its like */
export async function withExclusivePort<T>({ host, port }: Listen, listen: () => Promise<T>): Promise<T> {
  // Any free one: the kernel gives one that nobody has.
  if (port === 0) return listen();
  const name = await takeName(`\0dragonlock-port-${port}`);
  try {
    // `localhost` is several; one that this machine does not have is the listener's matter.
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

/** The holder closes what connects to it when it is done, and so does the kernel when it dies. */
function released(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    // Refused, or reset: it was released in this very moment.
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
