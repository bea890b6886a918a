import type { FastifyInstance } from 'fastify';
import { ttlMsMax } from '../../../shared/limits.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import {
  idIn,
  requireNoBody,
  pageAsked,
  queryOf,
  readCall,
  restBatch,
  writeCall,
  type DefineDataRoute,
} from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';
import { jsonText, parseJson } from '../parse/json.ts';
import { mediaType } from '../body.ts';

/** `/db/:acc/kv`: read, set, delete, list. */
export function kvRoutes(app: FastifyInstance, context: RouteContext, call: DefineDataRoute): void {
  app.get<DataRoute>(
    '/db/:acc/kv',
    ...call('kv_list', (request, exchange) => {
      return readCall(context, request, exchange, { kind: 'kv.list', ...pageAsked(request) });
    }),
  );

  app.get<DataRoute>(
    '/db/:acc/kv/*',
    ...call('kv_get', (request, exchange) => {
      queryOf(request);
      return readCall(context, request, exchange, restBatch(request, { format: 'kv.get', get: [idIn(request)] }));
    }),
  );

  app.post<DataRoute>(
    '/db/:acc/kv/*',
    ...call(
      'kv_set',
      (request, exchange) => {
        const query = queryOf(request, 'ver', 'ttl');
        const version = query.integer('ver', 0);
        const ttlMs = query.seconds('ttl', 'zero', ttlMsMax);
        const set = {
          key: idIn(request),
          value: jsonText(bodyValue(request), 'body', context.limits.value_bytes_max, 'limits.value_bytes_max'),
          ...(version !== undefined && { version }),
          ...(ttlMs !== undefined && { ttlMs }),
        };
        return writeCall(context, request, exchange, restBatch(request, { format: 'kv.set', set: [set] }));
      },
      'text',
    ),
  );

  app.delete<DataRoute>(
    '/db/:acc/kv/*',
    ...call('kv_delete', (request, exchange) => {
      requireNoBody(request);
      const version = queryOf(request, 'ver').integer('ver', 0);
      const set = { key: idIn(request), ...(version !== undefined && { version }) };
      return writeCall(context, request, exchange, restBatch(request, { format: 'kv.delete', set: [set] }));
    }),
  );
}

/** JSON as it is, text/plain as a string. */
function bodyValue(request: DataRequest): unknown {
  const text = request.body ?? '';
  return mediaType(request.headers['content-type']) === 'text' ? text : parseJson(text);
}
