import type { FastifyInstance } from 'fastify';
import { requireScope } from '../../access.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import { accountIn, idIn, requireNoBody, queryOf, idempotencyOf, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';
import { refuse } from '../../refusal.ts';
import { isForcing, lockFrom, lockParameters, unlockFrom, unlockParameters } from './lock.ts';

/** `/db/:acc/mlock/:id` and `munlock/:id`: locks that live in memory only. */
export function mutexRoutes(app: FastifyInstance, context: RouteContext, call: DefineDataRoute): void {
  app.post<DataRoute>(
    '/db/:acc/mlock/*',
    ...call('mutex_lock', (request, exchange) => {
      requireNoBody(request);
      requireNoIdempotency(request);
      const lock = lockFrom(queryOf(request, ...lockParameters), idIn(request));
      requireScope(request.access, 'write', 'Locking');
      return context.dispatcher.request({ kind: 'mutex.lock', account: accountIn(request), lock }, exchange);
    }),
  );

  app.post<DataRoute>(
    '/db/:acc/munlock/*',
    ...call('mutex_unlock', (request, exchange) => {
      requireNoBody(request);
      requireNoIdempotency(request);
      const unlock = unlockFrom(queryOf(request, ...unlockParameters), idIn(request));
      if (isForcing(unlock)) requireScope(request.access, 'force', 'Unlocking without ?lock=');
      else requireScope(request.access, 'write', 'Unlocking');
      return context.dispatcher.request({ kind: 'mutex.unlock', account: accountIn(request), unlock }, exchange);
    }),
  );
}

/** A replay would need a record on disk, and a mutex has none; ?id= makes asking again safe. */
function requireNoIdempotency(request: DataRequest): void {
  if (idempotencyOf(request) !== undefined)
    refuse('invalid', 'Idempotency-Key: not for mutexes; expected ?id= instead');
}
