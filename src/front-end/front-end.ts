/**
 * One front end: a router with its own ports to every shard, and Fastify in front of it. It listens from the start, so
 * that /livez and /readyz report a long recovery. It answers data calls with 503 until it serves.
 */
import diagnostics from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { FileJournalSource } from '../journal/file/file-journal-source.ts';
import type { DurableMessage } from '../journal/journal-wire.ts';
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
import { buildApp } from './http/app.ts';
import type { Config } from './config-schema.ts';
import type { FrontEndLog } from './http/route-context.ts';
import { ownLimitsOf, type SharedCounters } from './shared-counters.ts';
import { RequestMetrics } from './request-metrics.ts';
import { onSocketClose } from './http/sockets/on-socket-close.ts';
import type { FrontEndPorts } from './ports.ts';

export interface FrontEndOptions {
  readonly index: number;
  readonly config: Config;
  /** Changes with every start. */
  readonly boot: string;
  readonly version: string;
  readonly counters: SharedCounters;
  readonly log: FrontEndLog;
}

export interface Backend {
  readonly ports: FrontEndPorts;
  readonly revisions: SharedArrayBuffer;
  readonly journalDirectory: string;
  readonly journalStats: () => Promise<JournalStats>;
}

/** How long replies may take to leave after the server has drained. */
const closeMsMax = 5000;
/** How often a front end reports how long its event loop was idle. */
const loopReportMs = 1000;

export class FrontEnd {
  readonly #options: FrontEndOptions;
  readonly #app: FastifyInstance;
  readonly #accounts: AccountCounts;
  #router: Router | undefined;
  #state: 'starting' | 'serving' | 'draining' = 'starting';

  constructor(options: FrontEndOptions) {
    this.#options = options;
    this.#accounts = new AccountCounts(options.counters.accounts, ownLimitsOf(options.config.accounts));
    this.#app = buildApp({
      ...options,
      accounts: this.#accounts,
      dispatcher: this.#lateDispatcher(),
      lifecycle: { state: () => this.#state },
    });
    this.#reportLoad();
  }

  /** Resolves when the front end is ready to listen. */
  async ready(): Promise<void> {
    await this.#app.ready();
  }

  /** @returns the URL at which it listens. @throws EADDRINUSE and its like */
  async listen(port: number): Promise<string> {
    const { http, listen } = this.#options.config;
    const shared = http.threads > 1 ? { reusePort: true } : {};
    return this.#app.listen({ host: listen.host, port, backlog: 4096, ...shared });
  }

  serve({ ports, revisions: sharedRevisions, journalDirectory, journalStats }: Backend): void {
    const revisions = new SharedRevisions(sharedRevisions);
    const { index, config, counters } = this.#options;
    const common = {
      durable: () => revisions.durable(),
      limits: config.limits,
      counts: new RouterCounts(counters.routers, config.shards, this.#accounts),
      frontEnds: config.http.threads,
      defer: setImmediate,
      after: systemAfter,
    };
    const source = new FileJournalSource(realDisk, journalDirectory);
    const router = new Router({
      ...common,
      index,
      links: ports.shards.map((port, shard) => {
        return new ThreadShardLink(port, new ReplyCredit(ports.credit, index * ports.shards.length + shard));
      }),
      prefixWatches: new PrefixWatches({ ...common, source }),
      journalStats,
    });
    ports.journal?.on('message', ({ durable }: DurableMessage) => router.advance(durable));
    this.#router = router;
    this.#state = 'serving';
  }

  /** Refuses new requests, answers every waiting client, lets replies leave. */
  async drain(): Promise<void> {
    this.#state = 'draining';
    await this.#router?.drain();
  }

  /** Makes every shard commit and checkpoint. Call after every front end has drained. */
  async closeShards(): Promise<void> {
    await this.#router?.close();
  }

  async close(): Promise<void> {
    const { server } = this.#app;
    const deadline = setTimeout(() => server.closeAllConnections(), closeMsMax);
    await this.#app.close();
    clearTimeout(deadline);
  }

  /** Counts for `/metrics` how many connections this thread has, and how busy it is. */
  #reportLoad(): void {
    const { index, counters } = this.#options;
    const metrics = new RequestMetrics(counters.metrics, index, processMs);
    // Counts every server of this thread: for `localhost` Fastify makes one for each of its addresses.
    diagnostics.subscribe('net.server.socket', (message) => {
      const { socket } = message as { socket: Socket };
      metrics.connections(1);
      onSocketClose(socket, () => metrics.connections(-1));
    });
    const report = (): void => {
      const { idle, active } = performance.eventLoopUtilization();
      if (idle + active > 0) metrics.loop(processMs() - idle - active, idle);
    };
    setInterval(report, loopReportMs).unref();
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
      stats: () => router().stats(),
    };
  }
}
