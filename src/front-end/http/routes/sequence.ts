import type { FastifyInstance } from 'fastify';
import type { DataRoute } from '../data-request.ts';
import { idIn, requireNoBody, queryOf, readCall, restBatch, writeCall, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';

/** `/db/:acc/sequence/:id`: read, next (or a block), reset. */
export function sequenceRoutes(app: FastifyInstance, context: RouteContext, call: DefineDataRoute): void {
  const path = '/db/:acc/sequence/*';

  app.get<DataRoute>(
    path,
    ...call('sequence_get', (request, exchange) => {
      queryOf(request);
      const sequence = { key: idIn(request), op: 'get', n: 1 } as const;
      return readCall(context, request, exchange, restBatch(request, { format: 'sequence.get', sequence }));
    }),
  );

  app.post<DataRoute>(
    path,
    ...call('sequence_next', (request, exchange) => {
      requireNoBody(request);
      const n = queryOf(request, 'n').integer('n', 1) ?? 1;
      const sequence = { key: idIn(request), op: 'next', n } as const;
      return writeCall(context, request, exchange, restBatch(request, { format: 'sequence.next', sequence }));
    }),
  );

  app.delete<DataRoute>(
    path,
    ...call('sequence_reset', (request, exchange) => {
      requireNoBody(request);
      queryOf(request);
      const sequence = { key: idIn(request), op: 'reset', n: 1 } as const;
      return writeCall(context, request, exchange, restBatch(request, { format: 'sequence.reset', sequence }));
    }),
  );
}
