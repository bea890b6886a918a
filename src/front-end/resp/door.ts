/** The door for Redis clients: listens on a port of its own, beside HTTP, and hands each connection over. */
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import type { Config, Listen } from '../config-schema.ts';
import type { RouteContext } from '../http/route-context.ts';
import { processMs, systemAfter } from '../../shared/clock.ts';
import { tcpKeepAliveMs } from '../../shared/limits.ts';
import { commandTable } from './command-table.ts';
import { Channels } from './channels.ts';
import { KeyNotifications } from './key-notifications.ts';
import type { RespClient, RespContext } from './command.ts';
import { RespConnection } from './connection.ts';
import { ScanCursors } from './scan-cursors.ts';
import { Scripts } from './scripts/scripts.ts';
import { errorText } from './writer.ts';

export interface RespDoorOptions {
  readonly config: Pick<Config, 'http' | 'limits'>;
  readonly listen: Listen;
  /** PEM; absent: no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Shared with HTTP: the same limits, counts and budgets. */
  readonly context: RouteContext;
  readonly cursors: SharedArrayBuffer;
  /** The index of this front end. */
  readonly index: number;
  readonly scriptThread: { readonly url: URL; readonly onFatal: (error: unknown) => void };
}

export class RespDoor {
  readonly server: net.Server;
  readonly #options: RespDoorOptions;
  readonly #connections = new Set<RespConnection>();
  readonly #context: RespContext;
  readonly #clients = new Set<RespClient>();
  readonly #scripts: Scripts;
  #clientIds = 0;

  constructor(options: RespDoorOptions) {
    this.#options = options;
    const { config, context, cursors, index } = options;
    const channels = new Channels(context.boot, index, config.http.threads);
    this.#scripts = new Scripts({
      ...options.scriptThread,
      limits: config.limits,
      boot: context.boot,
      index,
      frontEnds: config.http.threads,
      micros: () => processMs() * 1000,
      after: systemAfter,
    });
    this.#context = {
      ...context,
      scripts: this.#scripts,
      channels,
      keyNotifications: new KeyNotifications(context.dispatcher, channels),
      commands: commandTable,
      clients: this.#clients,
      cursors: new ScanCursors(cursors),
      unreadBytesMax: config.limits.unread_bytes_max / config.http.threads,
      port: () => this.port,
      nextClientId: () => {
        this.#clientIds += 1;
        return this.#clientIds * config.http.threads + index;
      },
    };
    const connection = (socket: net.Socket): void => this.#take(socket);
    const half = { allowHalfOpen: true };
    this.server =
      options.tls === undefined
        ? net.createServer(half, connection)
        : tls.createServer({ ...half, ...options.tls }, connection);
  }

  get port(): number {
    const address = this.server.address();
    return address === null || typeof address === 'string' ? 0 : address.port;
  }

  /** @throws EADDRINUSE and its like */
  async listen(port: number, reusePort: boolean): Promise<void> {
    // Rejects with an `error` event.
    const listening = once(this.server, 'listening');
    this.server.listen({ host: this.#options.listen.host, port, backlog: 4096, reusePort });
    await listening;
  }

  /** What a connection too many is told. With TLS nothing that it could read. */
  refusal(message: string): string {
    if (this.#options.tls !== undefined) return '';
    return errorText(`ERR max number of clients reached: ${message}`);
  }

  /** Listens no more, and closes each connection once its replies are out. Resolves when all are closed. */
  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const connection of this.#connections) connection.drain();
    await closed;
    this.#context.channels.close();
    await this.#scripts.close();
  }

  closeAllConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #take(socket: net.Socket): void {
    socket.setKeepAlive(true, tcpKeepAliveMs);
    const connection = new RespConnection(this.#context, socket);
    const { client } = connection;
    this.#connections.add(connection);
    this.#clients.add(client);
    client.onClose(() => {
      this.#connections.delete(connection);
      this.#clients.delete(client);
    });
  }
}
