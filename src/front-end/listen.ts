/** Where a door listens, and how it begins to. */
import { once } from 'node:events';
import net from 'node:net';
import { isLoopback } from '../shared/loopback.ts';
import { listenOnUnixSocket } from './unix-socket.ts';

/** Without tokens, others can connect. */
export class OpenToOthers extends Error {
  override name = 'OpenToOthers';
}

export type Listen = (TcpListen | UnixListen | FdListen) & {
  /** For the admin page, its calls and `/metrics`, which are then served nowhere else. */
  readonly admin?: true;
};

export interface TcpListen {
  readonly kind: 'tcp';
  /** Without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface UnixListen {
  readonly kind: 'unix';
  readonly path: string;
}

/** Sockets that another process listens on, and has passed: each is for one front end. */
export interface FdListen {
  readonly kind: 'fd';
  readonly fds: readonly number[];
}

export interface ListenOptions {
  /** Other front ends listen on the same port. */
  readonly reusePort: boolean;
  /** Of a Unix socket. */
  readonly socketMode: number;
  /** There are no tokens: everybody who can connect may do everything. */
  readonly isOpen: boolean;
}

const backlog = 4096;
const unixServers = new WeakSet<object>();
const adminServers = new WeakSet<object>();

/** Begins to listen at one place: a socket that was passed, a path, or an address. @throws EADDRINUSE and its like */
export async function beginToListen(
  server: net.Server,
  where: TcpListen | UnixListen | { readonly kind: 'fd'; readonly fd: number },
  { reusePort, socketMode, isOpen }: ListenOptions,
): Promise<void> {
  if (where.kind === 'unix') {
    unixServers.add(server);
    return listenOnUnixSocket(server, where.path, { backlog, mode: socketMode });
  }
  // Rejects with an `error` event.
  const listening = once(server, 'listening');
  if (where.kind === 'fd') server.listen({ fd: where.fd });
  else server.listen({ host: where.host, port: where.port, backlog, ...(reusePort && { reusePort }) });
  await listening;
  const address = server.address();
  if (typeof address === 'string') return void unixServers.add(server);
  // Where a socket that was passed listens is seen only now.
  if (!isOpen || where.kind !== 'fd' || address === null || isLoopback(address.address)) return;
  server.close();
  throw new OpenToOthers(
    `Cannot listen on ${address.address}:${address.port}: other machines can reach it, and no tokens are configured. ` +
      'Configure tokens, or give systemd a loopback address (ListenStream=127.0.0.1:8081).',
  );
}

/** Returns whether a connection came by a Unix socket, whose mode says who may connect. */
export function cameByUnixSocket(socket: net.Socket): boolean {
  const { server } = socket as { readonly server?: object | null };
  return server != null && unixServers.has(server);
}

/** Its connections may ask for the admin page. */
export function servesAdmin(server: net.Server): void {
  adminServers.add(server);
}

export function cameByAdminAddress(socket: net.Socket): boolean {
  const { server } = socket as { readonly server?: object | null };
  return server != null && adminServers.has(server);
}

/** What a front end of several serves of a list: sockets that were passed are shared out, a path has one server. */
export function shareOf(listen: Listen, index: number, frontEnds: number): Listen | undefined {
  if (listen.kind === 'tcp') return listen;
  if (listen.kind === 'unix') return index === 0 ? listen : undefined;
  const fds = listen.fds.filter((_, i) => i % frontEnds === index);
  return fds.length === 0 ? undefined : { ...listen, fds };
}

/** An address as people write it. */
export function listenText(listen: Listen): string {
  if (listen.kind === 'unix') return `unix:${listen.path}`;
  if (listen.kind === 'fd') return `fd ${listen.fds.join(', ')}`;
  return `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`;
}

/** Where a server listens, as clients write it. */
export function urlOf(server: net.Server, scheme: 'http' | 'https'): string {
  const address = server.address();
  if (address === null || typeof address === 'string') return `unix:${address ?? ''}`;
  const host = anyAddress[address.address] ?? address.address;
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}

/** Of all addresses of the machine one that everybody has. */
const anyAddress: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

export function portOf(server: net.Server): number {
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}
