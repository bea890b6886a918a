/**
 * The HTTP front end: it authenticates, parses and authorizes requests. It hands validated commands to the dispatcher,
 * and gets finished replies back. It holds no data, and it never listens: the composition root does, and tests inject
 * requests instead.
 *
 *     routes/       one file for each kind of call: how a request becomes a command
 *     parse/        bodies and queries to commands; refuses everything that a client can get wrong
 *     sockets/      connections: lingering close, disconnects, replies that clients do not read
 *     auth.ts, body.ts, error-replies.ts    for all calls: tokens, accounts and rates; bodies; failures
 *     data-route.ts, exchange.ts, event-stream.ts    a data call, one request and its reply, a stream
 */
import { fastify, LogController, type FastifyInstance } from 'fastify';
import type { Dispatcher } from '../../router/dispatcher.ts';
import { processMs } from '../../shared/clock.ts';
import { dataRouteDefiner } from './data-route.ts';
import type { Config } from '../config-schema.ts';
import type { RouteContext, FrontEndLog, Lifecycle } from './route-context.ts';
import { AccountCounts } from '../../router/account-counts.ts';
import { ownLimitsOf, ratesOf, type SharedCounters } from '../shared-counters.ts';
import type { QueryText } from './parse/query.ts';
import { authGate } from './auth.ts';
import { arrivingBodies } from './body.ts';
import { answerBrokenConnection, answerError, answerFailures } from './error-replies.ts';
import { RateLimiter } from '../rate-limiter.ts';
import { RequestMetrics } from '../request-metrics.ts';
import { UnreadReplies } from './sockets/unread-replies.ts';
import { batchRoutes } from './routes/batch.ts';
import { callRoutes } from './routes/calls.ts';
import { healthRoutes } from './routes/health.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { watchStreamRoutes } from './routes/watch-stream.ts';
import { watchRoutes } from './routes/watch.ts';

export interface AppOptions {
  readonly config: Pick<Config, 'http' | 'limits' | 'accounts' | 'tokens'>;
  readonly dispatcher: Dispatcher;
  /** The index of this front end. */
  readonly index: number;
  readonly counters: Pick<SharedCounters, 'metrics' | 'rates' | 'accounts'>;
  /** Of this thread, if it counts already. */
  readonly accounts?: AccountCounts;
  /** Identifies this start of the server; sent with every reply, and the first part of every RequestID. */
  readonly boot: string;
  readonly version: string;
  readonly log: FrontEndLog;
  readonly lifecycle: Lifecycle;
  /** Returns milliseconds of a monotonic clock, for durations and rates; by default the machine's. */
  readonly now?: () => number;
}

/** Node checks connections for timeouts only this often. */
const timeoutCheckMs = 1000;
/** Exceeds any valid path, so that an account or id that is too long gets its own message. */
const paramLengthMax = 16 * 1024;

export function buildApp(options: AppOptions): FastifyInstance {
  const context = makeContext(options);
  const { http, limits, tokens } = options.config;
  const app = fastify({
    // Not even a null logger's children: the front end logs what is worth a line itself.
    logger: false,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.body_bytes_max,
    exposeHeadRoutes: false,
    // While the server closes, calls still get our own reply.
    return503OnClosing: false,
    requestTimeout: http.request_timeout_ms,
    keepAliveTimeout: http.keep_alive_timeout_ms,
    http: {
      headersTimeout: Math.min(http.header_timeout_ms, http.request_timeout_ms),
      connectionsCheckingInterval: Math.min(timeoutCheckMs, http.header_timeout_ms),
      // The server has one site, and Node's own reply to a missing Host has no body.
      requireHostHeader: false,
    },
    routerOptions: { maxParamLength: paramLengthMax, querystringParser: keepQuery },
    // A RequestID is made only for an error.
    genReqId: () => '',
    frameworkErrors: (error, request, reply) => answerError(context, error, request, reply),
    clientErrorHandler: (error, socket) => answerBrokenConnection(context, error, socket),
  });
  app.decorateRequest('access');
  app.removeAllContentTypeParsers();
  answerFailures(app, context);

  const call = dataRouteDefiner(
    context,
    authGate(context, tokens),
    arrivingBodies(limits.arriving_bytes_max / http.threads),
  );
  batchRoutes(app, context, call);
  callRoutes(app, context, call);
  watchRoutes(app, context, call);
  watchStreamRoutes(app, context, call);
  healthRoutes(app, context);
  metricsRoutes(app, context);
  return app;
}

function makeContext(options: AppOptions): RouteContext {
  const { dispatcher, index, counters, boot, version, log, lifecycle, now } = options;
  const { limits, http, accounts } = options.config;
  let requestIds = 0;
  return {
    dispatcher,
    boot,
    version,
    log,
    lifecycle,
    limits,
    accounts: options.accounts ?? new AccountCounts(counters.accounts, ownLimitsOf(accounts)),
    rateLimiter: new RateLimiter(
      counters.rates,
      limits.account_requests_per_second,
      now ?? processMs,
      ratesOf(accounts),
    ),
    metrics: new RequestMetrics(counters.metrics, index, now ?? (() => performance.now())),
    unread: new UnreadReplies({ bytesMax: limits.unread_bytes_max / http.threads, stallMs: http.write_timeout_ms }),
    nextRequestId() {
      requestIds += 1;
      return `${boot}-${index}-${requestIds}`;
    },
    draining: () => lifecycle.state() === 'draining',
  };
}

const noQuery: QueryText = { text: '' };

/** Keeps the text: the call knows its parameters, and refuses what Fastify's parser would ignore; see `Query`. */
function keepQuery(text: string): QueryText {
  return text === '' ? noQuery : { text };
}
