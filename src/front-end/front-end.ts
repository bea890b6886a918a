/**
 * One front end: a router with its own ports to every shard, and Fastify in front of it. It listens from the start, so
 * that /livez and /readyz report a long recovery. It answers data calls with 503 until it serves.
 */
import diagnostics from 'node:diagnostics_channel';
import type { Server, Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { FileJournalSource } from '../journal/file/file-journal-source.ts';
import type { DurableMessage } from '../journal/journal-wire.ts';
import type { AuditOperation } from '../protocol/operations/audit.ts';
import type { Revision } from '../protocol/ids.ts';
import type { JournalStats } from '../protocol/stats.ts';
import { ReplyCredit } from '../protocol/wire/reply-credit.ts';
import { SharedRevisions } from '../protocol/wire/revisions.ts';
import type { Dispatcher } from '../router/dispatcher.ts';
import { PrefixWatches } from '../router/watch/prefix-watches.ts';
import { AccountCounts } from '../router/account-counts.ts';
import { RouterCounts } from '../router/router-counts.ts';
import { Router } from '../router/router.ts';
import { ThreadShardLink } from '../router/shard-link.ts';
import { assert } from '../shared/assert.ts';
import { processMs, systemAfter } from '../shared/clock.ts';
import { realDisk } from '../shared/disk.ts';
import { buildApp, frontEndContext, type AppOptions } from './http/app.ts';
import type { Config } from './config-schema.ts';
import type { Listen } from './listen.ts';
import type { LiveSettings } from './live-settings.ts';
import { HttpServers } from './http/http-servers.ts';
import type { FrontEndLog, RouteContext } from './http/route-context.ts';
import { ownLimitsOf, ownQuotasOf, ratesOf, scriptCpuOf, type SharedCounters } from './shared-counters.ts';
import { rawErrorReply } from './http/error-replies.ts';
import { ConnectionLimits } from './http/sockets/connection-limits.ts';
import { RequestMetrics } from './request-metrics.ts';
import { onSocketClose } from './http/sockets/on-socket-close.ts';
import { auditServer } from './audited.ts';
import type { ServerActions } from './server-actions.ts';
import { serverOf } from './server-of.ts';
import type { FrontEndFiles, FrontEndPorts } from './ports.ts';
import { ScriptClient } from '../scripts/threads/script-client.ts';
import type { ScriptConnection } from '../scripts/threads/script-threads.ts';
import { RespDoor } from './resp/door.ts';

export interface FrontEndOptions extends FrontEndFiles {
  readonly index: number;
  readonly config: Config;
  /** Changes with every start. */
  readonly boot: string;
  readonly version: string;
  readonly counters: SharedCounters;
  /** To the threads that run scripts; absent: they are not run. */
  readonly scripts: ScriptConnection | undefined;
  readonly log: FrontEndLog;
  /** Of the log of requests. @returns false: they are lost */
  readonly writeLines: (text: string, lines: number) => boolean;
}

export interface Backend {
  readonly ports: FrontEndPorts;
  readonly revisions: SharedArrayBuffer;
  readonly journalDirectory: string;
  /** See `PrefixWatchesOptions`. */
  readonly restoredTo: Revision | undefined;
  readonly journalStats: () => Promise<JournalStats>;
}

/** How long replies may take to leave after the server has drained. */
const closeMsMax = 5000;
/** For requests on connections that were accepted. */
const finishMs = 1000;
/** How often a front end reports how long its event loop was idle. */
const loopReportMs = 1000;
const acceptToldEveryMs = 10_000;

export class FrontEnd {
  readonly #options: FrontEndOptions;
  readonly #app: FastifyInstance;
  readonly #servers: HttpServers;
  readonly #accounts: AccountCounts;
  readonly #context: RouteContext;
  /** Absent: there is no door for Redis clients. */
  readonly #resp: RespDoor | undefined;
  #router: Router | undefined;
  #actions: ServerActions | undefined;
  /** Those whose errors are heard. */
  readonly #survived = new WeakSet<Server>();
  #acceptToldMs = -Infinity;
  /** All connections for HTTP are closed. */
  #closed = Promise.resolve();
  #state: 'starting' | 'serving' | 'draining' = 'starting';
  /** Run once when the server is not starting any more. */
  readonly #whenStarted = new Set<() => void>();

  constructor(options: FrontEndOptions) {
    this.#options = options;
    this.#accounts = new AccountCounts(options.counters.accounts, ownLimitsOf(options.config.accounts));
    const appOptions: AppOptions = {
      ...options,
      accounts: this.#accounts,
      dispatcher: this.#lateDispatcher(),
      actions: () => this.#actions,
      scriptPool: options.scripts && new ScriptClient(options.scripts),
      bodyThread: { url: new URL(options.bodyThread), onFatal: endThread },
      lifecycle: {
        state: () => this.#state,
        onceStarted: (run) => {
          this.#whenStarted.add(run);
          return () => this.#whenStarted.delete(run);
        },
      },
    };
    const context = frontEndContext(appOptions);
    this.#context = context;
    this.#servers = new HttpServers(options.config.http, context);
    this.#servers.onListening = (server) => this.#survive(server);
    this.#app = buildApp(appOptions, context, this.#servers);
    this.#app.addHook('preClose', (done) => {
      this.#closed = this.#servers.close();
      done();
    });
    const { listen, tls } = options.config.resp;
    if (listen !== undefined) {
      const { config, counters, index } = options;
      const scriptThread = { url: new URL(options.scriptThread), onFatal: endThread };
      this.#resp = new RespDoor({ config, tls, context, cursors: counters.cursors, index, scriptThread });
    }
    this.#watchLoad();
  }

  /** Resolves when the front end is ready to listen. */
  async ready(): Promise<void> {
    await this.#app.ready();
  }

  /** Listens at one more place. @returns URL and port. @throws EADDRINUSE and its like */
  listen(where: Listen): Promise<{ url: string; port: number }> {
    return this.#servers.listen(where);
  }

  /** @returns the port at which Redis clients are served, 0 without one. @throws EADDRINUSE and its like */
  async listenForRedis(where: Listen): Promise<number> {
    assert(this.#resp !== undefined, 'there is a door for Redis clients');
    const { threads, socket_mode } = this.#options.config.http;
    const { isOpen } = this.#context.tokens;
    await this.#resp.listen(where, { reusePort: threads > 1, socketMode: socket_mode, isOpen });
    this.#survive(this.#resp.server);
    return this.#resp.port;
  }

  serve({ ports, revisions: sharedRevisions, journalDirectory, restoredTo, journalStats }: Backend): void {
    const revisions = new SharedRevisions(sharedRevisions);
    const { index, config, counters, log } = this.#options;
    const common = {
      ...revisions.ofRouter(index),
      limits: config.limits,
      counts: new RouterCounts(counters.routers, config.shards, this.#accounts),
      frontEnds: config.http.threads,
      defer: setImmediate,
      after: systemAfter,
    };
    const source = new FileJournalSource(realDisk, journalDirectory, (place) => {
      if (!common.counts.historyDamage.found(place)) return;
      log.error(place, 'History cannot be read here; watches that come to it are answered 410, all else is served');
    });
    const router = new Router({
      ...common,
      index,
      links: ports.shards.map((port, shard) => {
        return new ThreadShardLink(port, new ReplyCredit(ports.credit, index * ports.shards.length + shard));
      }),
      prefixWatches: new PrefixWatches({ ...common, source, ...(restoredTo !== undefined && { restoredTo }) }),
      journalStats,
    });
    ports.journal?.on('message', ({ durable }: DurableMessage) => router.advance(durable));
    this.#router = router;
    this.#enter('serving');
  }

  /** Takes other settings over, from the next request, login and connection on. */
  reload(settings: LiveSettings): void {
    const { tokens, accounts, limits, corsOrigins, httpTls, respTls, log } = settings;
    this.#context.inForce.replace(settings);
    this.#context.quotas.replace(limits, ownQuotasOf(accounts));
    Object.assign(this.#options.config.limits, limits); // where whoever needs a limit looks it up
    this.#context.rateLimiter.replace(limits.account_requests_per_second, ratesOf(accounts));
    this.#accounts.replace(ownLimitsOf(accounts));
    this.#context.scripts?.replaceBudgets(scriptCpuOf(accounts));
    this.#context.cors.replace(corsOrigins);
    this.#context.requestLog.replace(log);
    if (httpTls !== undefined) this.#servers.useCertificate(httpTls);
    if (respTls !== undefined) this.#resp?.useCertificate(respTls);
    this.#context.tokens.replace(tokens);
  }

  /** Says what is done to the server as a whole; only the first front end is asked. */
  takeActions(actions: ServerActions): void {
    this.#actions = actions;
  }

  audit(entry: AuditOperation): void {
    if (this.#state === 'serving') auditServer(this.#context.dispatcher, entry);
  }

  /** Before a drain, if the sockets stay open without us: lets nobody find that it was accepted in vain. */
  async finishConnections(): Promise<void> {
    if (this.#options.config.listen.some(({ kind }) => kind === 'fd')) await this.#servers.finish(finishMs);
  }

  /** Refuses new requests, answers every waiting client, lets replies leave. */
  async drain(): Promise<void> {
    this.#enter('draining');
    this.#context.scripts?.drain();
    await this.#router?.drain();
  }

  #enter(state: 'serving' | 'draining'): void {
    this.#state = state;
    for (const run of this.#whenStarted) run();
  }

  /** Makes every shard commit and checkpoint. Call after every front end has drained. */
  async closeShards(): Promise<void> {
    await this.#router?.close();
  }

  async close(): Promise<void> {
    const deadline = setTimeout(() => {
      this.#servers.closeAllConnections();
      this.#resp?.closeAllConnections();
    }, closeMsMax);
    await Promise.all([this.#app.close().then(() => this.#closed), this.#resp?.close()]);
    clearTimeout(deadline);
  }

  /** Limits connections, counts them for `/metrics`, and how busy this thread is. */
  #watchLoad(): void {
    const { index, boot, config, counters } = this.#options;
    const metrics = new RequestMetrics(counters.metrics, index, processMs);
    let refusals = 0;
    const limits = new ConnectionLimits(counters.connections, {
      limits: config.limits,
      reply: (refused, socket) => {
        const server = serverOf(socket);
        // Before the handshake there is nothing that a client could read.
        if (server instanceof TlsServer) return '';
        return this.#resp !== undefined && server === this.#resp.server
          ? this.#resp.refusal(refused.message)
          : rawErrorReply(boot, `${boot}-${index}-c${++refusals}`, refused);
      },
    });
    // Hears of every server of this thread: for `localhost` Fastify makes one for each of its addresses.
    diagnostics.subscribe('net.server.socket', (message) => {
      const { socket } = message as { socket: Socket };
      const server = serverOf(socket);
      if (server !== undefined) this.#survive(server);
      metrics.connections(1);
      onSocketClose(socket, () => metrics.connections(-1));
      limits.admit(socket);
    });
    const report = (): void => {
      const { idle, active } = performance.eventLoopUtilization();
      if (idle + active > 0) metrics.loop(processMs() - idle - active, idle);
    };
    setInterval(report, loopReportMs).unref();
  }

  /** Without a free file the kernel keeps a connection waiting; that is no reason to go down. */
  #survive(server: Server): void {
    if (this.#survived.has(server)) return;
    this.#survived.add(server);
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.syscall !== 'accept') throw error;
      if (processMs() < this.#acceptToldMs + acceptToldEveryMs) return;
      this.#acceptToldMs = processMs();
      this.#options.log.warn({ err: error }, 'A connection could not be accepted');
    });
  }

  /** The HTTP door is built before there is a router; until then its gate lets no request through that needs one. */
  #lateDispatcher(): Dispatcher {
    const router = (): Router => {
      assert(this.#router !== undefined, 'data calls are refused until the server serves');
      return this.#router;
    };
    return {
      request: (command, sink) => router().request(command, sink),
      requestAll: (batches, sink) => router().requestAll(batches, sink),
      watchKeys: (account, keys, waitMs, sink) => router().watchKeys(account, keys, waitMs, sink),
      watchPrefix: (watch, sink) => router().watchPrefix(watch, sink),
      streamPrefix: (watch, sink) => router().streamPrefix(watch, sink),
      watches: (of, limit) => router().watches(of, limit),
      stats: () => router().stats(),
    };
  }
}

/** Thrown outside of any call, it ends this thread, and with it the process. */
function endThread(error: unknown): void {
  throw error;
}
