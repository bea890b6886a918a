/**
 * One front end: a router with its own ports to every shard, and Fastify in front of it. It listens from the first
 * moment, so that /livez and /readyz tell about a long recovery; data calls are answered 503 until it serves.
 */
import type { FastifyInstance } from 'fastify';
import { JournalDirectory } from '../journal/journal-directory.ts';
import type { DurableMessage } from '../journal/journal-wire.ts';
import type { JournalStats } from '../protocol/stats.ts';
import { ReplyCredit } from '../protocol/reply-credit.ts';
import { SharedRevisions } from '../protocol/revisions.ts';
import type { Dispatcher } from '../router/dispatcher.ts';
import { PrefixWatches } from '../router/prefix-watches.ts';
import { Router } from '../router/router.ts';
import { ThreadShardLink } from '../router/shard-link.ts';
import { assert } from '../shared/assert.ts';
import { systemAfter } from '../shared/clock.ts';
import { realDisk } from '../shared/disk.ts';
import { buildApp } from './app.ts';
import type { Config } from './config-schema.ts';
import type { EdgeLog } from './edge.ts';
import type { FrontEndPorts } from './threads.ts';

export interface FrontEndOptions {
  readonly index: number;
  readonly config: Config;
  /** Changes with every start. */
  readonly boot: string;
  readonly version: string;
  readonly log: EdgeLog;
}

export interface Backend {
  readonly ports: FrontEndPorts;
  readonly revisions: SharedArrayBuffer;
  readonly journalDirectory: string;
  readonly journalStats: () => Promise<JournalStats>;
}

/** How long replies may take to leave once the server drains. */
const closeMsMax = 5000;

export class FrontEnd {
  readonly #options: FrontEndOptions;
  readonly #app: FastifyInstance;
  #router: Router | undefined;
  #state: 'starting' | 'serving' | 'draining' = 'starting';

  constructor(options: FrontEndOptions) {
    this.#options = options;
    const { config, boot, version, log } = options;
    this.#app = buildApp({
      config,
      boot,
      version,
      log,
      dispatcher: this.#lateDispatcher(),
      lifecycle: { state: () => this.#state },
    });
  }

  /** @returns where it listens, as a URL. @throws EADDRINUSE and its like */
  async listen(): Promise<string> {
    const { host, port } = this.#options.config.listen;
    return this.#app.listen({
      host,
      port,
      backlog: 4096,
      ...(this.#options.config.http.threads > 1 ? { reusePort: true } : {}),
    });
  }

  serve({ ports, revisions: memory, journalDirectory, journalStats }: Backend): void {
    const revisions = new SharedRevisions(memory);
    const { index, config } = this.#options;
    const { limits } = config;
    const prefixWatches = new PrefixWatches({
      directory: new JournalDirectory(realDisk, journalDirectory),
      durable: () => revisions.durable(),
      limits,
      defer: setImmediate,
      after: systemAfter,
    });
    const router = new Router({
      index,
      links: ports.shards.map((port, shard) => {
        return new ThreadShardLink(port, new ReplyCredit(ports.credit, index * ports.shards.length + shard));
      }),
      durable: revisions.durable(),
      limits,
      prefixWatches,
      journalStats,
      defer: setImmediate,
      after: systemAfter,
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

  /** After `drain`: every shard commits and checkpoints. */
  async closeShards(): Promise<void> {
    await this.#router?.close();
  }

  async close(): Promise<void> {
    const { server } = this.#app;
    const deadline = setTimeout(() => server.closeAllConnections(), closeMsMax);
    await this.#app.close();
    clearTimeout(deadline);
  }

  /** The edge is built before there is a router; until then its gate lets nothing through that would need one. */
  #lateDispatcher(): Dispatcher {
    const router = (): Router => {
      assert(this.#router !== undefined, 'data calls are refused until the server serves');
      return this.#router;
    };
    return {
      request: (command, client) => router().request(command, client),
      watchKeys: (account, keys, waitMs, client) => router().watchKeys(account, keys, waitMs, client),
      watchPrefix: (watch, client) => router().watchPrefix(watch, client),
      streamPrefix: (watch, sink) => router().streamPrefix(watch, sink),
      stats: () => router().stats(),
    };
  }
}
