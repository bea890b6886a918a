/**
 * The fast lane: it stands in front of Node's HTTP server on the same port, and takes the plain requests of data calls
 * off it, which are nearly all. Node's server, with its streams, costs more than all the rest of a request. What is not
 * plain, slow, or in any way special is handed to it, with the connection and for good; it never sees the difference.
 *
 *     accepted ──► LaneConnection ──plain requests──► gate, call, dispatcher, as over Fastify
 *                        └──anything else──► Node's own `connection` listener ──► Fastify
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { assert } from '../../../shared/assert.ts';
import { processMs, systemEvery } from '../../../shared/clock.ts';
import type { Config } from '../../config-schema.ts';
import { TurnEnd } from '../../turn-end.ts';
import type { RouteContext } from '../route-context.ts';
import { LaneConnection, type ConnectionLane } from './lane-connection.ts';
import type { LaneRoutes } from './lane-routes.ts';
import type { ReaderOptions } from './request-reader.ts';
import { ReplyTexts } from './reply-text.ts';

export interface LaneOptions {
  readonly context: RouteContext;
  readonly routes: LaneRoutes;
  readonly http: Pick<Config['http'], 'keep_alive_timeout_ms' | 'header_timeout_ms' | 'request_timeout_ms'>;
  readonly failed: (error: Error, socket: Socket) => void;
}

type AcceptedSocket = Socket & { readonly server: object };

/** A request that is not whole for so long is left to Node's server, which has timeouts for it. */
const slowMsMax = 1000;

export class Lane implements ConnectionLane {
  readonly context: RouteContext;
  readonly #routes: LaneRoutes;
  readonly texts: ReplyTexts;
  readonly failed: LaneOptions['failed'];
  readonly idleMs: number;
  readonly slowMs: number;
  readonly sweepMs: number;
  sweptAt = processMs();
  closing = false;
  readonly #connections = new Set<LaneConnection>();
  readonly #listeners = new Map<object, (socket: Socket) => void>();
  readonly turnEnd = new TurnEnd();
  readonly #endSweeps: () => void;

  constructor({ context, routes, http, failed }: LaneOptions) {
    this.context = context;
    this.#routes = routes;
    this.failed = failed;
    this.texts = new ReplyTexts({ boot: context.boot, keepAliveMs: http.keep_alive_timeout_ms });
    this.idleMs = http.keep_alive_timeout_ms;
    this.slowMs = Math.min(slowMsMax, http.header_timeout_ms, http.request_timeout_ms);
    this.sweepMs = Math.min(this.slowMs, this.idleMs);
    this.#endSweeps = systemEvery(this.sweepMs, () => this.#sweep());
  }

  /** Takes the connections of a server from now on. */
  standBefore(server: Server): void {
    // With TLS these are the connections whose handshake is done.
    const event = server instanceof TlsServer ? 'secureConnection' : 'connection';
    const [listener, ...more] = server.listeners(event) as ((socket: Socket) => void)[];
    assert(listener !== undefined && more.length === 0, 'Node’s HTTP server has one listener for connections');
    server.off(event, listener);
    this.#listeners.set(server, listener.bind(server));
    server.on(event, (socket: Socket) => {
      if (this.closing) listener.call(server, socket);
      else this.#connections.add(new LaneConnection(this, socket));
    });
    const closeAll = server.closeAllConnections.bind(server);
    server.closeAllConnections = () => {
      for (const { socket } of this.#connections) socket.destroy();
      closeAll();
    };
  }

  reading(socket: Socket): ReaderOptions {
    const { limits, cors, checkHead } = this.context;
    return {
      routes: this.#routes,
      bodyMax: limits.body_bytes_max,
      isRefused: (headers) =>
        cors.concerns(headers) ||
        checkHead({ headers, rawHeaders: [], httpVersion: '1.1', url: '/', socket }) !== undefined,
    };
  }

  get serving(): boolean {
    return this.context.lifecycle.state() === 'serving' && !this.closing;
  }

  handOver(socket: Socket, rest: Buffer): void {
    const listener = this.#listeners.get((socket as AcceptedSocket).server);
    assert(listener !== undefined, 'the socket is of a server that the lane stands before');
    listener(socket);
    if (rest.length > 0) socket.emit('data', rest);
  }

  forget(connection: LaneConnection): void {
    this.#connections.delete(connection);
  }

  /** Takes no more requests: Node's server answers the next one of each connection, and closes it. */
  finish(): void {
    this.closing = true;
  }

  /** The server closes: ends idle connections now, the others after their last reply. */
  close(): void {
    this.closing = true;
    this.#endSweeps();
    for (const connection of this.#connections) connection.close();
  }

  #sweep(): void {
    this.sweptAt = processMs();
    for (const connection of this.#connections) connection.sweep();
  }
}
