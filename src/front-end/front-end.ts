/**
 * One front end: a router with its own ports to every shard, and Fastify in front of it. It listens from the first
 * moment, so that /livez and /readyz tell about a long recovery; data calls are answered 503 until it serves.
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
import { RouterCounts } from '../router/router-counts.ts';
import { Router } from '../router/router.ts';
import { ThreadShardLink } from '../router/shard-link.ts';
import { assert } from '../shared/assert.ts';
import { processMs, systemAfter } from '../shared/clock.ts';
import { realDisk } from '../shared/disk.ts';
import { buildApp } from './http/app.ts';
import type { Config } from './config-schema.ts';
import type { FrontEndLog } from './http/route-context.ts';
import type { SharedCounters } from './shared-counters.ts';
import { RequestMetrics } from './request-metrics.ts';
import { onSocketClose } from './http/sockets/on-socket-close.ts';
import type { FrontEndPorts } from './ports.ts';

export interface FrontEndOptions {
  readonly index: number;
  readonly config: Config;
  /** Changes with every start. */
  readonly boot: string;
  readonly version: string;
  readonly memory: SharedCounters;
  readonly log: FrontEndLog;
}

export interface Backend {
  readonly ports: FrontEndPorts;
  readonly revisions: SharedArrayBuffer;
  readonly journalDirectory: string;
  readonly journalStats: () => Promise<JournalStats>;
}

/** How long replies may take to leave once the server drains. */
const closeMsMax = 5000;
/** How often it says how long its event loop was idle. */
const loopReportMs = 1000;

export class FrontEnd {
  readonly #options: FrontEndOptions;
  readonly #app: FastifyInstance;
  #router: Router | undefined;
  #state: 'starting' | 'serving' | 'draining' = 'starting';

  constructor(options: FrontEndOptions) {
    this.#options = options;
    this.#app = buildApp({
      ...options,
      dispatcher: this.#lateDispatcher(),
      lifecycle: { state: () => this.#state },
    });
    this.#reportLoad();
  }

  /** Resolves when nothing is left to be done before it listens. */
  async ready(): Promise<void> {
    await this.#app.ready();
  }

  /** @returns where it listens, as a URL. @throws EADDRINUSE and its like */
  async listen(port: number): Promise<string> {
    const { http, listen } = this.#options.config;
    const shared = http.threads > 1 ? { reusePort: true } : {};
    return this.#app.listen({ host: listen.host, port, backlog: 4096, ...shared });
  }

  serve({ ports, revisions: sharedRevisions, journalDirectory, journalStats }: Backend): void {
    const revisions = new SharedRevisions(sharedRevisions);
    const { index, config, memory } = this.#options;
    const common = {
      durable: () => revisions.durable(),
      limits: config.limits,
      counts: new RouterCounts(memory.routers, config.shards),
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

  /** Refuses new requests, answers everyone who waits, lets replies leave. */
  async drain(): Promise<void> {
    this.#state = 'draining';
    await this.#router?.drain();
  }

  /** After every front end has drained: every shard commits and checkpoints. */
  async closeShards(): Promise<void> {
    await this.#router?.close();
  }

  async close(): Promise<void> {
    const { server } = this.#app;
    const deadline = setTimeout(() => server.closeAllConnections(), closeMsMax);
    await this.#app.close();
    clearTimeout(deadline);
  }

  /** Into the memory that `/metrics` reads: how many connections this thread has, and how busy it is. */
  #reportLoad(): void {
    const { index, memory } = this.#options;
    const metrics = new RequestMetrics(memory.metrics, index, processMs);
    // Of every server of this thread: for `localhost` Fastify makes one for each of its addresses.
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

  /** The edge is built before there is a router; until then its gate lets nothing through that would need one. */
  #lateDispatcher(): Dispatcher {
    const router = (): Router => {
      assert(this.#router !== undefined, 'data calls are refused until the server serves');
      return this.#router;
    };
    return {
      request: (command, client) => router().request(command, client),
      requestAll: (batches, client) => router().requestAll(batches, client),
      watchKeys: (account, keys, waitMs, client) => router().watchKeys(account, keys, waitMs, client),
      watchPrefix: (watch, client) => router().watchPrefix(watch, client),
      streamPrefix: (watch, sink) => router().streamPrefix(watch, sink),
      stats: () => router().stats(),
    };
  }
}
