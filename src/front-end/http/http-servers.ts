/**
 * The HTTP servers of one front end: one for each address, all with the same handler. They serve HTTP, or HTTPS when there
 * is a certificate. Fastify makes the first, and knows of no other: this class listens, and closes.
 */
import type { RequestListener, Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { Server as TcpServer } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { assert } from '../../shared/assert.ts';
import { systemAfter } from '../../shared/clock.ts';
import { tcpKeepAliveMs } from '../../shared/limits.ts';
import type { Config } from '../config-schema.ts';
import { beginToListen, portOf, servesAdmin, urlOf, type Listen, type TcpListen, type UnixListen } from '../listen.ts';
import type { TlsFiles } from '../tls-schema.ts';
import { tlsOptions, useCertificate } from '../tls-server.ts';
import type { Cors } from './cors.ts';
import type { Lane } from './lane/lane.ts';
import type { RouteContext } from './route-context.ts';
import { createServer } from './node-http.ts';

export type HttpSettings = Pick<
  Config['http'],
  'threads' | 'tls' | 'socket_mode' | 'request_timeout_ms' | 'keep_alive_timeout_ms' | 'header_timeout_ms'
>;

/** Node checks connections for timeouts only this often. */
const timeoutCheckMs = 1000;

export class HttpServers {
  readonly #http: HttpSettings;
  readonly #cors: Cors;
  readonly #isOpen: boolean;
  readonly #all: Server[] = [];
  #tls: TlsFiles | undefined;
  #handler: RequestListener | undefined;
  #lane: Lane | undefined;
  #finishing = false;
  /** Called with each server that listens. */
  onListening: (server: Server) => void = () => {};

  constructor(http: HttpSettings, { cors, tokens }: Pick<RouteContext, 'cors' | 'tokens'>) {
    this.#http = http;
    this.#tls = http.tls;
    this.#cors = cors;
    this.#isOpen = tokens.isOpen;
  }

  /** Makes a server. The first one is Fastify's. */
  make(handler: RequestListener): Server {
    this.#handler ??= handler;
    const { request_timeout_ms, keep_alive_timeout_ms, header_timeout_ms } = this.#http;
    const options = {
      requestTimeout: request_timeout_ms,
      keepAliveTimeout: keep_alive_timeout_ms,
      keepAlive: true,
      keepAliveInitialDelay: tcpKeepAliveMs,
      headersTimeout: Math.min(header_timeout_ms, request_timeout_ms),
      connectionsCheckingInterval: Math.min(timeoutCheckMs, header_timeout_ms),
      // The server has one site, and Node's own reply to a missing Host has no body.
      requireHostHeader: false,
    };
    const answer = this.#cors.before((request, response) => {
      if (this.#finishing) response.setHeader('Connection', 'close');
      handler(request, response);
    });
    const server =
      this.#tls === undefined
        ? createServer(options, answer)
        : createTlsServer({ ...options, ...tlsOptions(this.#tls) }, answer);
    // Fastify has told its own.
    for (const listener of this.#all[0]?.listeners('clientError') ?? []) server.on('clientError', listener);
    this.#all.push(server);
    // The first server is made before there is a lane.
    this.#lane?.standBefore(server);
    return server;
  }

  standBehind(lane: Lane): void {
    this.#lane = lane;
    for (const server of this.#all) lane.standBefore(server);
  }

  /** @returns the URL, and the port that others may share; 0 without one. @throws EADDRINUSE and its like */
  async listen(where: Listen): Promise<{ url: string; port: number }> {
    const { threads, socket_mode: socketMode } = this.#http;
    const options = { reusePort: threads > 1, socketMode, isOpen: this.#isOpen };
    let first: Server | undefined;
    for (const place of await placesOf(where)) {
      const server = this.#free();
      const one = place.kind === 'tcp' && first !== undefined ? { ...place, port: portOf(first) } : place;
      try {
        await beginToListen(server, one, options);
      } catch (error) {
        // This machine may lack one of the addresses of a name.
        if (first === undefined || place.kind !== 'tcp') throw error;
        this.#all.splice(this.#all.indexOf(server), 1);
        continue;
      }
      if (where.admin) servesAdmin(server);
      this.onListening(server);
      first ??= server;
    }
    assert(first !== undefined, 'a place to listen at is at least one');
    return { url: urlOf(first, this.#tls === undefined ? 'http' : 'https'), port: portOf(first) };
  }

  /** Gives new connections another certificate. @throws when the files cannot be used */
  useCertificate(files: TlsFiles): void {
    this.#tls = files;
    for (const server of this.#all) if (server instanceof TlsServer) useCertificate(server, files);
  }

  /** Accepts no more. Resolves when all connections are closed. */
  async close(): Promise<void> {
    if (this.#finishing) for (const server of this.#all) server.closeIdleConnections();
    const open = this.#all.filter(({ listening }) => listening);
    await Promise.all(
      open.map((server) => {
        const closed = once(server, 'close');
        server.close();
        return closed;
      }),
    );
  }

  /**
   * Accepts no more, and serves on what was accepted: each connection closes after its next reply. Resolves when all are
   * closed, or after `withinMs`, which is for those on which nothing comes. For sockets that stay open without us.
   */
  async finish(withinMs: number): Promise<void> {
    this.#finishing = true;
    this.#lane?.finish();
    const open = this.#all.filter(({ listening }) => listening);
    const { promise, resolve } = Promise.withResolvers<void>();
    const endWait = systemAfter(withinMs, resolve);
    const all = open.map((server) => {
      const closed = once(server, 'close');
      // That of HTTP would close idle connections, whose next request may be under way.
      TcpServer.prototype.close.call(server);
      return closed;
    });
    await Promise.race([promise, Promise.all(all)]);
    endWait();
  }

  closeAllConnections(): void {
    for (const server of this.#all) server.closeAllConnections();
  }

  #free(): Server {
    const [first] = this.#all;
    assert(first !== undefined && this.#handler !== undefined, 'Fastify has made its server');
    return first.listening ? this.make(this.#handler) : first;
  }
}

type Place = TcpListen | UnixListen | { readonly kind: 'fd'; readonly fd: number };

/** `localhost` is all of its addresses. */
async function placesOf(where: Listen): Promise<Place[]> {
  if (where.kind === 'unix') return [where];
  if (where.kind === 'fd') return where.fds.map((fd) => ({ kind: 'fd', fd }));
  if (where.host !== 'localhost') return [where];
  const addresses = await lookup(where.host, { all: true });
  return addresses.map(({ address }) => ({ ...where, host: address }));
}
