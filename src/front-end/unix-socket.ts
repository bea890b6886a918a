/**
 * Listens on a Unix socket. Its file stays behind when a process is killed; it is removed only if nobody answers there, so
 * that two servers never share a path. Who may connect is up to the mode of the file, and of its directory.
 */
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';

export interface UnixSocketOptions {
  readonly backlog: number;
  readonly mode: number;
}

/** Only the owner, until the file has its mode. */
const strictMask = 0o177;

/** @throws EADDRINUSE when a server answers there, and other errors of the file system */
export async function listenOnUnixSocket(
  server: net.Server,
  path: string,
  { backlog, mode }: UnixSocketOptions,
): Promise<void> {
  try {
    await bind(server, path, backlog);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isAbandoned(path))) throw error;
    fs.unlinkSync(path);
    await bind(server, path, backlog);
  }
  fs.chmodSync(path, mode);
}

async function bind(server: net.Server, path: string, backlog: number): Promise<void> {
  const listening = once(server, 'listening');
  const before = process.umask(strictMask);
  // The file is made within this call.
  server.listen({ path, backlog });
  process.umask(before);
  await listening;
}

async function isAbandoned(path: string): Promise<boolean> {
  if (!fs.statSync(path, { throwIfNoEntry: false })?.isSocket()) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect(path);
  socket.on('connect', () => resolve(false));
  socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
  const abandoned = await promise;
  socket.destroy();
  return abandoned;
}
