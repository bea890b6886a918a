import type { FastifyInstance } from 'fastify';
import { integerMax } from '../../../shared/limits.ts';
import type { DataRoute } from '../data-request.ts';
import { idIn, requireNoBody, queryOf, readCall, restBatch, writeCall, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';

/** `/db/:acc/counter/:id`: read, add, reset. */
export function counterRoutes(app: FastifyInstance, context: RouteContext, call: DefineDataRoute): void {
  const path = '/db/:acc/counter/*';

  app.get<DataRoute>(
    path,
    ...call('counter_get', (request, exchange) => {
      queryOf(request);
      const counter = [{ key: idIn(request), op: 'get', n: 0 }] as const;
      return readCall(context, request, exchange, restBatch(request, { format: 'counter.get', counter }));
    }),
  );

  app.post<DataRoute>(
    path,
    ...call('counter_add', (request, exchange) => {
      requireNoBody(request);
      const n = queryOf(request, 'add').integer('add', -integerMax) ?? 1;
      const counter = [{ key: idIn(request), op: 'add', n }] as const;
      return writeCall(context, request, exchange, restBatch(request, { format: 'counter.add', counter }));
    }),
  );

  app.delete<DataRoute>(
    path,
    ...call('counter_reset', (request, exchange) => {
      requireNoBody(request);
      queryOf(request);
      const counter = [{ key: idIn(request), op: 'reset', n: 0 }] as const;
      return writeCall(context, request, exchange, restBatch(request, { format: 'counter.reset', counter }));
    }),
  );
}
