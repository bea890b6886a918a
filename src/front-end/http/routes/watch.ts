import type { FastifyInstance } from 'fastify';
import { requireScope } from '../../access.ts';
import type { DataRoute } from '../data-request.ts';
import { accountIn, queryOf, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';
import { parseWatch, watchAsk } from '../parse/watch.ts';

/** `POST /watch/:acc`: long polls. */
export function watchRoutes(app: FastifyInstance, context: RouteContext, call: DefineDataRoute): void {
  const { dispatcher } = context;
  app.post<DataRoute>(
    '/watch/:acc',
    ...call('watch', (request, exchange) => {
      queryOf(request);
      const account = accountIn(request);
      const ask = watchAsk(parseWatch(request.body ?? ''), account, context.limits);
      requireScope(request.access, 'read', 'Watching');
      if (ask.kind === 'prefix') return exchange.afterReplies(() => dispatcher.watchPrefix(ask.watch, exchange));
      exchange.waits = true;
      return dispatcher.watchKeys(account, ask.keys, ask.waitMs, exchange);
    }),
  );
}
