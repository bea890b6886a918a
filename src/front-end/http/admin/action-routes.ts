/** Calls that change the server as a whole. The main thread does them, and the first front end asks it. */
import type { FastifyInstance } from 'fastify';
import { failure } from '../../../protocol/errors.ts';
import { logLevelMsDefault } from '../../../protocol/operations/admin-calls.ts';
import { unreachable } from '../../../shared/assert.ts';
import type { LogLevel } from '../../../shared/log-levels.ts';
import type { AskedBy, ServerActions } from '../../server-actions.ts';
import type { RouteContext } from '../route-context.ts';
import type { HttpExchange } from '../http-exchange.ts';
import { adminRoute, answerJson, type AdminRequest } from './admin-route.ts';
import type { Peers } from './peers.ts';

type Ask = { readonly by: AskedBy } & (
  | { readonly kind: 'reload' }
  | { readonly kind: 'logLevel'; readonly level: LogLevel; readonly forMs: number }
  | { readonly kind: 'drain' }
);

export function actionRoutes(
  app: FastifyInstance,
  context: RouteContext,
  peers: Peers,
  actions: () => ServerActions | undefined,
): void {
  peers.answer('action', (ask) => {
    const known = actions();
    return known && replyOf(known, ask as Ask);
  });
  adminRoute(app, context, 'admin.reload', (request, exchange) => ask(exchange, { kind: 'reload', by: byOf(request) }));
  adminRoute(app, context, 'admin.logLevel', (request, exchange) => {
    const { level, for: forMs = logLevelMsDefault } = request.query;
    ask(exchange, { kind: 'logLevel', level: level as LogLevel, forMs: Number(forMs), by: byOf(request) });
  });
  adminRoute(app, context, 'admin.drain', (request, exchange) => ask(exchange, { kind: 'drain', by: byOf(request) }));

  function ask(exchange: HttpExchange, what: Ask): void {
    exchange.wait({ cancel: () => {} });
    void peers.askFirst('action', what).then((reply) => {
      if (reply === undefined) exchange.refuse(silent);
      else answerJson(exchange, reply as object);
    });
  }
}

const silent = failure('overloaded', 'The main thread did not answer in time; the log says whether it was done');

function byOf({ access, from }: AdminRequest): AskedBy {
  return { who: access.name, from };
}

function replyOf(actions: ServerActions, ask: Ask): object {
  switch (ask.kind) {
    case 'reload': {
      const report = actions.reload(ask.by);
      if ('problems' in report) return { Reloaded: false, Problems: report.problems };
      return { Reloaded: true, Changed: report.changed, NeedRestart: report.restart };
    }
    case 'logLevel': {
      const { configured, untilMs } = actions.setLogLevel(ask, ask.by);
      return { Level: ask.level, UntilMs: untilMs, Configured: configured };
    }
    case 'drain':
      actions.drain(ask.by);
      return { Draining: true };
    default:
      return unreachable(ask);
  }
}
