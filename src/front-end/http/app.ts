/**
 * The HTTP front end: it authenticates, parses and authorizes requests. It hands validated commands to the dispatcher,
 * and gets finished replies back. It holds no data, and it never listens: the composition root does, and tests inject
 * requests instead.
 *
 *     routes/       one file for each kind of call: how a request becomes a command
 *     parse/        bodies and queries to commands; refuses everything that a client can get wrong
 *     lane/         in front of Node's HTTP server: serves plain requests without it
 *     sockets/      connections: lingering close, disconnects, replies that clients do not read
 *     head-check.ts, auth.ts, body.ts, error-replies.ts    for all calls: hosts and headers; tokens, accounts and rates;
 *                   bodies; failures
 *     data-route.ts, exchange.ts, event-stream.ts    a data call, one request and its reply, a stream
 */
import { fastify, LogController, type FastifyInstance, type FastifyServerFactory } from 'fastify';
import { failure } from '../../protocol/errors.ts';
import { Quotas } from '../../protocol/quotas.ts';
import type { Dispatcher } from '../../router/dispatcher.ts';
import { newWebhookSecret } from '../../shared/new-secret.ts';
import { TargetPolicy } from '../../shared/target-policy.ts';
import { processMs, readClock, threadMicros, startTimer } from '../../shared/clock.ts';
import { SharedCount } from '../../shared/shared-count.ts';
import { dataRouteDefiner } from './data-route.ts';
import type { Config } from '../config-schema.ts';
import { cameByAdminAddress } from '../listen.ts';
import type { RouteContext, FrontEndLog, Lifecycle } from './route-context.ts';
import { AccountCounts } from '../../router/account-counts.ts';
import { SharedTaskCounts } from '../shared-task-counts.ts';
import { ownLimitsOf, ownQuotasOf, ratesOf, type SharedCounters } from '../shared-counters.ts';
import type { QueryText } from './parse/query.ts';
import { TokenTable } from '../access.ts';
import { authGate } from './auth.ts';
import { Machines } from '../machines.ts';
import { Cors } from './cors.ts';
import { headCheck } from './head-check.ts';
import { HttpServers } from './http-servers.ts';
import { arrivingBodies } from './body.ts';
import { LargeBodies, type LargeBodiesOptions } from './large-bodies.ts';
import { RequestTurns } from './request-turns.ts';
import { HttpExchange } from './http-exchange.ts';
import { answerBrokenConnection, answerError, answerFailures } from './error-replies.ts';
import { scriptExecutor } from '../script-executor.ts';
import type { ScriptPool } from '../../scripts/script-run.ts';
import { RateLimiter } from '../rate-limiter.ts';
import { BusyAccounts } from '../busy-accounts.ts';
import { InForce } from '../in-force.ts';
import { ReloadCell } from '../reload-cell.ts';
import type { ServerActions } from '../server-actions.ts';
import { RequestLog } from '../request-log.ts';
import { RequestMetrics } from '../request-metrics.ts';
import { pathsOf } from './paths.ts';
import { Lane } from './lane/lane.ts';
import { LaneRoutes } from './lane/lane-routes.ts';
import { UnreadReplies } from './sockets/unread-replies.ts';
import { BackupCells } from '../../backup/backup-cells.ts';
import { adminRoutes } from './admin/admin-routes.ts';
import { pageRoutes } from './admin/page-routes.ts';
import { backupRoutes } from './routes/backups.ts';
import { batchRoutes } from './routes/batch.ts';
import { callRoutes } from './routes/calls.ts';
import { healthRoutes } from './routes/health.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { openApiRoutes } from './routes/openapi.ts';
import { scriptRoutes } from './routes/scripts.ts';
import { watchStreamRoutes } from './routes/watch-stream.ts';
import { watchRoutes } from './routes/watch.ts';

export interface AppOptions {
  readonly config: Config;
  readonly dispatcher: Dispatcher;
  /** The index of this front end. */
  readonly index: number;
  readonly counters: Pick<
    SharedCounters,
    | 'metrics'
    | 'rates'
    | 'accounts'
    | 'clock'
    | 'lostLogLines'
    | 'backup'
    | 'adminViewers'
    | 'reload'
    | 'scriptBudgets'
    | 'scriptCounts'
    | 'taskCounts'
  >;
  /** Of this thread, if it counts already. */
  readonly accounts?: AccountCounts;
  /** Identifies this start of the server; sent with every reply, and the first part of every RequestID. */
  readonly boot: string;
  readonly version: string;
  readonly log: FrontEndLog;
  /** Of the log of requests. Absent: nobody reads it. @returns false: they are lost */
  readonly writeLines?: (text: string, lines: number) => boolean;
  readonly lifecycle: Lifecycle;
  /** Absent: requests read large bodies in this thread. */
  readonly bodyThread?: Pick<LargeBodiesOptions, 'url' | 'onFatal'>;
  /** What is done to the server as a whole, once it serves; only the first front end is asked. */
  readonly actions?: () => ServerActions | undefined;
  /** The URL of the directory with the admin page's files; absent: no page. */
  readonly pageFiles?: string;
  /** Runs scripts; absent: they are not run. */
  readonly scriptPool?: ScriptPool | undefined;
  /** Returns milliseconds of a monotonic clock, for durations and rates; by default the machine's. */
  readonly now?: () => number;
}

/** Exceeds any valid path, so that an account or id that is too long gets its own message. */
const paramLengthMax = 16 * 1024;

/** @param context shared with another door @param servers of the one who listens */
export function buildApp(
  options: AppOptions,
  context = frontEndContext(options),
  servers = new HttpServers(options.config.http, context),
): FastifyInstance {
  const { http, limits } = options.config;
  const serverFactory: FastifyServerFactory = (handler) => servers.make(handler);
  const app = fastify({
    // Not even a null logger's children: the front end logs what is worth a line itself.
    logger: false,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.body_bytes_max,
    exposeHeadRoutes: false,
    // While the server closes, calls still get our own reply.
    return503OnClosing: false,
    serverFactory,
    routerOptions: { maxParamLength: paramLengthMax, querystringParser: keepQuery },
    // Bodies are checked by our own parsers, so Fastify's compilers of schemas are not even loaded.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    // A RequestID is made only for an error.
    genReqId: () => '',
    frameworkErrors(error, request, reply) {
      const refused = context.checkHead(request.raw);
      if (refused !== undefined) return new HttpExchange(context, 'unknown', reply.raw).refuse(refused);
      answerError(context, error, request, reply);
    },
    clientErrorHandler: (error, socket) => answerBrokenConnection(context, error, socket),
  });
  app.decorateRequest('access');
  app.decorateRequest('content');
  app.removeAllContentTypeParsers();
  const paths = pathsOf(app);
  answerFailures(app, context, paths);
  if (options.config.listen.some(({ admin }) => admin === true)) adminElsewhere(app, context);

  app.addHook('onClose', async () => context.largeBodies?.close());
  app.addHook('onClose', async () => context.scripts?.close());
  app.addHook('onClose', async () => context.requestLog.flush());

  if (http.fast_lane) {
    const lane = new Lane({
      context,
      routes: LaneRoutes.of(app),
      http,
      failed: (error, socket) => answerBrokenConnection(context, error, socket),
    });
    servers.standBehind(lane);
    app.addHook('preClose', (done) => {
      lane.close();
      done();
    });
  }
  const define = dataRouteDefiner(context, authGate(context));
  batchRoutes(app, context, define);
  callRoutes(app, context, define);
  scriptRoutes(app, context, define);
  watchRoutes(app, context, define);
  watchStreamRoutes(app, context, define);
  healthRoutes(app, context);
  metricsRoutes(app, context);
  backupRoutes(app, context);
  const { config, counters, index } = options;
  if (options.pageFiles !== undefined && config.ui) pageRoutes(app, context, options.pageFiles);
  adminRoutes(app, context, {
    frontEnds: http.threads,
    index,
    viewers: new SharedCount(counters.adminViewers, 0),
    actions: options.actions ?? (() => undefined),
  });
  openApiRoutes(app, context, paths);
  return app;
}

const ofAdmin = /^\/(ui|admin|metrics)(\/|$)/;

/** Refuses what is served at `admin.listen` only, by the route: a path can be written in many ways. */
function adminElsewhere(app: FastifyInstance, context: RouteContext): void {
  app.addHook('onRequest', (request, reply, next) => {
    const { url = '' } = request.routeOptions;
    if (!ofAdmin.test(url) || cameByAdminAddress(request.socket)) return next();
    new HttpExchange(context, 'admin', reply.raw).refuse(atAdminAddress);
  });
}

const atAdminAddress = failure('not_found', 'The admin page, /admin and /metrics are served at admin.listen only');

/** Makes what the doors of one front end share. */
export function frontEndContext(options: AppOptions): RouteContext {
  const { dispatcher, index, counters, boot, version, log, lifecycle, now, bodyThread } = options;
  const { limits, http, accounts } = options.config;
  const inForce = new InForce(options.config);
  const backup = new BackupCells(counters.backup);
  const lostLogLines = new SharedCount(counters.lostLogLines, 0);
  const arriving = arrivingBodies(limits.arriving_bytes_max / http.threads);
  const meter = threadMicros;
  const accountCounts = options.accounts ?? new AccountCounts(counters.accounts, ownLimitsOf(accounts));
  let requestIds = 0;
  return {
    dispatcher,
    boot,
    version,
    log,
    lifecycle,
    limits,
    quotas: new Quotas(limits, ownQuotasOf(accounts)),
    checkHead: headCheck(options.config),
    cors: new Cors(http.cors_origins, boot),
    tokens: new TokenTable(options.config.tokens),
    machines: new Machines(options.config.machines),
    accounts: accountCounts,
    scripts: scriptExecutor({ ...options, accounts: accountCounts }),
    rateLimiter: new RateLimiter(
      counters.rates,
      limits.account_requests_per_second,
      now ?? processMs,
      ratesOf(accounts),
    ),
    metrics: new RequestMetrics(counters.metrics, index, now ?? (() => performance.now())),
    unread: new UnreadReplies({ bytesMax: limits.unread_bytes_max / http.threads, stallMs: http.write_timeout_ms }),
    serverTime: () => readClock(counters.clock),
    clock: counters.clock,
    lostLogLines,
    reload: new ReloadCell(counters.reload),
    taskCounts: new SharedTaskCounts(counters.taskCounts),
    dataDirectory: options.config.data_dir,
    busy: new BusyAccounts(now ?? processMs),
    requestLog: new RequestLog({
      settings: options.config.log,
      trustedProxies: http.trusted_proxies,
      write: options.writeLines ?? (() => true),
      onLost: (lines) => lostLogLines.add(lines),
      after: (delayMs, run) => startTimer(delayMs, run, true),
    }),
    inForce,
    // A reload may start and stop them.
    get backup() {
      return inForce.config.backup.url === '' ? undefined : backup;
    },
    nextRequestId() {
      requestIds += 1;
      return `${boot}-${index}-${requestIds}`;
    },
    draining: () => lifecycle.state() === 'draining',
    arriving,
    turns: new RequestTurns({ meter, defer: setImmediate }),
    targets: new TargetPolicy(options.config.tasks.allow),
    newSecret: newWebhookSecret,
    largeBodies: bodyThread && new LargeBodies({ ...bodyThread, limits, arriving, meter }),
  };
}

const noQuery: QueryText = { text: '' };

/** Keeps the text: the call knows its parameters, and refuses what Fastify's parser would ignore; see `Query`. */
/** Fastify asks for a compiler once a route has a schema, and none has. */
function noSchemas(): never {
  throw new Error('A route has a schema of Fastify; bodies are checked by http/parse/');
}

function keepQuery(text: string): QueryText {
  return text === '' ? noQuery : { text };
}
