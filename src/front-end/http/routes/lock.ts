import type { FastifyInstance } from 'fastify';
import type { LockOperation, UnlockOperation } from '../../../protocol/commands.ts';
import { lockDurMsMax, lockMetaBytesMax, waitMsMax } from '../../../shared/limits.ts';
import { requireScope } from '../../access.ts';
import type { DataRoute } from '../data-request.ts';
import {
  accountIn,
  idIn,
  requireNoBody,
  pageAsked,
  queryOf,
  readCall,
  restBatch,
  idempotencyOf,
  writeCall,
  type DefineDataRoute,
} from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';
import { keyOf } from '../parse/fields.ts';
import { withIdempotency } from '../parse/idempotency.ts';
import { jsonText } from '../parse/json.ts';
import type { Query } from '../parse/query.ts';
import { refuse } from '../../refusal.ts';

/** `/db/:acc/lock`: inspect, take or extend, give back, list. */
export function lockRoutes(app: FastifyInstance, context: RouteContext, call: DefineDataRoute): void {
  app.get<DataRoute>(
    '/db/:acc/lock',
    ...call('lock_list', (request, exchange) => {
      return readCall(context, request, exchange, { kind: 'lock.list', ...pageAsked(request) });
    }),
  );

  app.get<DataRoute>(
    '/db/:acc/lock/*',
    ...call('lock_get', (request, exchange) => {
      const fence = queryOf(request, 'fence').integer('fence', 1);
      return readCall(context, request, exchange, {
        kind: 'lock.inspect',
        account: accountIn(request),
        id: idIn(request),
        ...(fence !== undefined && { fence }),
      });
    }),
  );

  app.post<DataRoute>(
    '/db/:acc/lock/*',
    ...call('lock_acquire', (request, exchange) => {
      requireNoBody(request);
      const lock = lockFrom(queryOf(request, ...lockParameters), idIn(request));
      return writeCall(context, request, exchange, restBatch(request, { format: 'lock.acquire', lock }));
    }),
  );

  app.delete<DataRoute>(
    '/db/:acc/lock/*',
    ...call('lock_release', (request, exchange) => {
      requireNoBody(request);
      const unlock = unlockFrom(queryOf(request, ...unlockParameters), idIn(request));
      const batch = restBatch(request, { format: 'lock.release', unlock });
      if (!isForcing(unlock)) return writeCall(context, request, exchange, batch);
      requireScope(request.access, 'force', 'Unlocking without ?id= or ?lock=');
      return context.dispatcher.request(withIdempotency(batch, idempotencyOf(request)), exchange);
    }),
  );
}

const lockDurMsDefault = 30 * 1000;

/** `id` is the owner: chosen by the client for one lock instance, so that a lost reply can be asked for again. */
export const lockParameters = ['id', 'dur', 'wait', 'meta'] as const;
export const unlockParameters = ['id', 'lock'] as const;

export function lockFrom(query: Query, id: string): LockOperation {
  const owner = query.text('id');
  const meta = query.text('meta');
  return {
    id,
    durMs: query.seconds('dur', 'zero', lockDurMsMax) ?? lockDurMsDefault,
    waitMs: query.seconds('wait', 'or zero', waitMsMax) ?? 0,
    ...(owner !== undefined && { owner: keyOf(owner, '?id') }),
    // In a query there are no types: it is kept as the string that it is.
    ...(meta !== undefined && { meta: jsonText(meta, '?meta', lockMetaBytesMax, 'the limit of LockMeta') }),
  };
}

export function unlockFrom(query: Query, id: string): UnlockOperation {
  const owner = query.text('id');
  const handle = query.integer('lock', 1);
  if (owner !== undefined && handle !== undefined)
    return refuse('invalid', '?id and ?lock: expected only one of the two');
  if (owner !== undefined) return { id, owner: keyOf(owner, '?id') };
  return handle === undefined ? { id } : { id, handle };
}

export function isForcing(unlock: UnlockOperation): boolean {
  return unlock.handle === undefined && unlock.owner === undefined;
}
