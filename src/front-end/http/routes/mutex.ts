import type { FastifyInstance } from 'fastify';
import { needScope } from '../../access.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import { accountIn, idIn, needNoBody, queryOf, wishOf, type CallMaker } from '../data-route.ts';
import type { Edge } from '../route-context.ts';
import { refuse } from '../../refusal.ts';
import { isForcing, lockFrom, lockParameters, unlockFrom, unlockParameters } from './lock.ts';

/** `/db/:acc/mlock/:id` and `munlock/:id`: locks that live in memory only. */
export function mutexRoutes(app: FastifyInstance, edge: Edge, call: CallMaker): void {
  app.post<DataRoute>(
    '/db/:acc/mlock/*',
    ...call('mutex_lock', (request, exchange) => {
      needNoBody(request);
      needNoIdempotency(request);
      const lock = lockFrom(queryOf(request, ...lockParameters), idIn(request));
      needScope(request.access, 'write', 'Locking');
      return edge.dispatcher.request({ kind: 'mutex.lock', account: accountIn(request), lock }, exchange);
    }),
  );

  app.post<DataRoute>(
    '/db/:acc/munlock/*',
    ...call('mutex_unlock', (request, exchange) => {
      needNoBody(request);
      needNoIdempotency(request);
      const unlock = unlockFrom(queryOf(request, ...unlockParameters), idIn(request));
      if (isForcing(unlock)) needScope(request.access, 'force', 'Unlocking without ?lock=');
      else needScope(request.access, 'write', 'Unlocking');
      return edge.dispatcher.request({ kind: 'mutex.unlock', account: accountIn(request), unlock }, exchange);
    }),
  );
}

/** A replay would need a record on disk, and a mutex has none; ?id= makes asking again safe. */
function needNoIdempotency(request: DataRequest): void {
  if (wishOf(request) !== undefined) refuse('invalid', 'Idempotency-Key: not for mutexes; wanted ?id= instead');
}
