/** The door for Redis clients: listens on a port of its own, beside HTTP, and hands each connection over. */
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import type { TokenHolder } from '../access.ts';
import { beginToListen, portOf, type Listen, type ListenOptions } from '../listen.ts';
import type { TlsFiles } from '../tls-schema.ts';
import { tlsOptions, useCertificate } from '../tls-server.ts';
import type { Config } from '../config-schema.ts';
import type { RouteContext } from '../http/route-context.ts';
import { processMs, systemAfter } from '../../shared/clock.ts';
import { tcpKeepAliveMs } from '../../shared/limits.ts';
import { commandTable } from './command-table.ts';
import { Channels } from './channels.ts';
import { KeyNotifications } from './key-notifications.ts';
import type { RespClient, RespContext } from './command.ts';
import { TurnEnd } from '../turn-end.ts';
import { RespConnection } from './connection.ts';
import { ScanCursors } from './scan-cursors.ts';
import { Scripts } from './scripts/scripts.ts';
import { errorText } from './writer.ts';

export interface RespDoorOptions {
  readonly config: Pick<Config, 'http' | 'limits'>;
  /** Absent: no TLS. */
  readonly tls: TlsFiles | undefined;
  /** Shared with HTTP: the same limits, counts and budgets. */
  readonly context: RouteContext;
  readonly cursors: SharedArrayBuffer;
  /** The index of this front end. */
  readonly index: number;
  readonly scriptThread: { readonly url: URL; readonly onFatal: (error: unknown) => void };
}

export class RespDoor {
  readonly server: net.Server;
  readonly #connections = new Set<RespConnection>();
  readonly #context: RespContext;
  readonly #clients = new Set<RespClient>();
  readonly #scripts: Scripts;
  #clientIds = 0;

  constructor(options: RespDoorOptions) {
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
      turnEnd: new TurnEnd(),
      unreadBytesMax: config.limits.unread_bytes_max / config.http.threads,
      loginMsMax: config.http.header_timeout_ms,
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
        : tls.createServer(tlsOptions(options.tls), connection);
  }

  get port(): number {
    return portOf(this.server);
  }

  /** @throws EADDRINUSE and its like */
  async listen(where: Listen, options: ListenOptions): Promise<void> {
    // One server has one socket.
    const place = where.kind === 'fd' ? { kind: 'fd' as const, fd: where.fds[0]! } : where;
    await beginToListen(this.server, place, options);
  }

  /** Gives new connections another certificate. @throws when the files cannot be used */
  useCertificate(files: TlsFiles): void {
    if (this.server instanceof tls.Server) useCertificate(this.server, files);
  }

  /** What a connection too many is told. */
  refusal(message: string): string {
    return errorText(`ERR max number of clients reached: ${message}`);
  }

  /** Listens no more, and closes each connection once its replies are out. Resolves when all are closed. */
  async close(): Promise<void> {
    // Not every front end listens at a Unix socket.
    const closed = this.server.listening ? once(this.server, 'close') : undefined;
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
    const { tokens } = this.#context;
    const holder: TokenHolder = {
      get access() {
        return client.access;
      },
      tokenIsGone: () => connection.destroy(),
    };
    tokens.hold(holder);
    client.onClose(() => {
      tokens.release(holder);
      this.#connections.delete(connection);
      this.#clients.delete(client);
    });
  }
}
