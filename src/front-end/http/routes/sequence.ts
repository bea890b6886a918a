import type { FastifyInstance } from 'fastify';
import type { DataRoute } from '../data-request.ts';
import { idIn, needNoBody, queryOf, readCall, restBatch, writeCall, type CallMaker } from '../data-route.ts';
import type { Edge } from '../route-context.ts';

/** `/db/:acc/sequence/:id`: read, next (or a block), reset. */
export function sequenceRoutes(app: FastifyInstance, edge: Edge, call: CallMaker): void {
  const path = '/db/:acc/sequence/*';

  app.get<DataRoute>(
    path,
    ...call('sequence_get', (request, exchange) => {
      queryOf(request);
      const sequence = { key: idIn(request), op: 'get', n: 1 } as const;
      return readCall(edge, request, exchange, restBatch(request, { shape: 'sequence.get', sequence }));
    }),
  );

  app.post<DataRoute>(
    path,
    ...call('sequence_next', (request, exchange) => {
      needNoBody(request);
      const n = queryOf(request, 'n').integer('n', 1) ?? 1;
      const sequence = { key: idIn(request), op: 'next', n } as const;
      return writeCall(edge, request, exchange, restBatch(request, { shape: 'sequence.next', sequence }));
    }),
  );

  app.delete<DataRoute>(
    path,
    ...call('sequence_reset', (request, exchange) => {
      needNoBody(request);
      queryOf(request);
      const sequence = { key: idIn(request), op: 'reset', n: 1 } as const;
      return writeCall(edge, request, exchange, restBatch(request, { shape: 'sequence.reset', sequence }));
    }),
  );
}
