import type { FastifyInstance } from 'fastify';
import { requireScope } from '../../access.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import { accountIn, bodyOf, queryOf, type BodyArguments, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';

/** `POST /watch/:acc`: long polls. */
export function watchRoutes(app: FastifyInstance, context: RouteContext, define: DefineDataRoute): void {
  const { dispatcher } = context;
  app.post<DataRoute>(
    '/watch/:acc',
    ...define.call(
      'watch',
      (request, exchange) => {
        const ask = bodyOf(request, body(request), context.limits);
        requireScope(request.access, 'read', 'Watching');
        if (ask.kind === 'prefix') return exchange.afterReplies(() => dispatcher.watchPrefix(ask.watch, exchange));
        exchange.waits = true;
        return dispatcher.watchKeys(accountIn(request), ask.keys, ask.waitMs, exchange);
      },
      { body },
    ),
  );
}

function body(request: DataRequest): ReturnType<BodyArguments<'watch'>> {
  queryOf(request);
  return ['watch', { account: accountIn(request) }];
}
