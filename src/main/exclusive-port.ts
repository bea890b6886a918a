/**
 * With `reusePort` the kernel lets every process of the same user listen on a port, and gives each connection to one of
 * them: two servers with different data would share their clients without notice. So this process first listens without
 * `reusePort`, which fails when another one listens there, then closes that and listens with `reusePort`.
 *
 * Between the two steps another server could do the same. So this process holds a name meanwhile that only one can
 * hold: one of the kernel's abstract socket addresses. It lives in the same network namespace as the port, belongs to
 * no file, and ends with the process. A second server waits for the name; once it has it, the port is either free or in
 * use, and the check is reliable. A server holds the name for milliseconds; whoever holds it for longer is no server,
 * or one that stands still, and a start does not wait for that for ever.
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import net from 'node:net';
import type { TcpListen } from '../front-end/listen.ts';
import { systemAfter, type After } from '../shared/clock.ts';
import { socketHolder } from './socket-holder.ts';

export class PortHeld extends Error {
  override name = 'PortHeld';
}

export interface WaitForPort {
  /** Hears after a second what the start waits for. */
  readonly onWait?: (message: string) => void;
  readonly after?: After;
}

const tellAfterMs = 1000;
const giveUpAfterMs = 10_000;
const lookAgainMs = 20;

/**
 * Runs `listen` while no other server listens there, or can begin to.
 * @throws PortHeld, and EADDRINUSE and its like
 */
export async function withExclusivePort<T>(
  { host, port }: Pick<TcpListen, 'host' | 'port'>,
  listen: () => Promise<T>,
  { onWait, after = systemAfter }: WaitForPort = {},
): Promise<T> {
  // The kernel chooses a free port.
  if (port === 0) return listen();
  const name = await takeName(`dragonlock-port-${port}`, onWait, after);
  try {
    // `localhost` has several addresses. If this machine lacks one, `listen` deals with that.
    for (const { address } of await lookup(host, { all: true })) await tryAddress(address, port);
    return await listen();
  } finally {
    name.release();
  }
}

interface Name {
  release(): void;
}

async function takeName(name: string, onWait: WaitForPort['onWait'], after: After): Promise<Name> {
  const givenUp = new AbortController();
  const ends = [
    after(tellAfterMs, () => onWait?.(`Waiting for ${holderOf(name)}, which holds the socket @${name}`)),
    after(giveUpAfterMs, () => givenUp.abort()),
  ];
  try {
    for (;;) {
      const taken = await tryName(`\0${name}`);
      if (taken !== undefined) return taken;
      if (givenUp.signal.aborted) {
        throw new PortHeld(
          `Cannot listen: ${holderOf(name)} holds the socket @${name}, which a server takes for a moment while it ` +
            `starts, for more than ${giveUpAfterMs / 1000} s. End that process, or choose another port (--listen).`,
        );
      }
      await released(`\0${name}`, givenUp.signal, after);
    }
  } finally {
    for (const end of ends) end();
  }
}

function holderOf(name: string): string {
  return socketHolder(`@${name}`) ?? 'a process of another user';
}

/** @returns undefined while another process holds it */
async function tryName(path: string): Promise<Name | undefined> {
  const waiting = new Set<net.Socket>();
  const holder = net.createServer((socket) => waiting.add(socket.on('error', () => {})));
  try {
    await listening(holder, { path });
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') return undefined;
    throw error;
  }
  return {
    release() {
      holder.close();
      for (const socket of waiting) socket.destroy();
    },
  };
}

/** Resolves when the holder is done, which closes its connections, or dies: then the kernel closes them. */
function released(path: string, givenUp: AbortSignal, after: After): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = net.connect({ path, signal: givenUp });
  // Reset: the name was released in this very moment. Refused, or busy: the holder does not accept, so look again soon.
  socket.on('error', () => after(lookAgainMs, resolve));
  socket.on('close', (failed) => {
    if (!failed) resolve();
  });
  socket.resume();
  return promise;
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
