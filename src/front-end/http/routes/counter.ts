import type { FastifyInstance } from 'fastify';
import { integerMax } from '../../../shared/limits.ts';
import type { DataRoute } from '../data-request.ts';
import { idIn, needNoBody, queryOf, readCall, restBatch, writeCall, type CallMaker } from '../data-route.ts';
import type { Edge } from '../route-context.ts';

/** `/db/:acc/counter/:id`: read, add, reset. */
export function counterRoutes(app: FastifyInstance, edge: Edge, call: CallMaker): void {
  const path = '/db/:acc/counter/*';

  app.get<DataRoute>(
    path,
    ...call('counter_get', (request, exchange) => {
      queryOf(request);
      const atomic = [{ key: idIn(request), op: 'get', n: 0 }] as const;
      return readCall(edge, request, exchange, restBatch(request, { shape: 'counter.get', atomic }));
    }),
  );

  app.post<DataRoute>(
    path,
    ...call('counter_add', (request, exchange) => {
      needNoBody(request);
      const n = queryOf(request, 'add').integer('add', -integerMax) ?? 1;
      const atomic = [{ key: idIn(request), op: 'add', n }] as const;
      return writeCall(edge, request, exchange, restBatch(request, { shape: 'counter.add', atomic }));
    }),
  );

  app.delete<DataRoute>(
    path,
    ...call('counter_reset', (request, exchange) => {
      needNoBody(request);
      queryOf(request);
      const atomic = [{ key: idIn(request), op: 'reset', n: 0 }] as const;
      return writeCall(edge, request, exchange, restBatch(request, { shape: 'counter.reset', atomic }));
    }),
  );
}
