import type { FastifyInstance } from 'fastify';
import { pageLimitDefault, pageLimitMax, ttlMsMax } from '../../shared/limits.ts';
import {
  accountIn,
  idIn,
  needNoBody,
  queryOf,
  readCall,
  restBatch,
  writeCall,
  type CallMaker,
  type DataRequest,
  type DataRoute,
} from '../call.ts';
import type { Edge } from '../edge.ts';
import { keyOf, prefixOf } from '../parse/fields.ts';
import { jsonText, parseJson } from '../parse/json.ts';
import { mediaType } from '../plugins/body.ts';

/** `/db/:acc/kv`: read, set, delete, list. */
export function kvRoutes(app: FastifyInstance, edge: Edge, call: CallMaker): void {
  app.get<DataRoute>(
    '/db/:acc/kv',
    ...call('kv_list', (request, exchange) => {
      const query = queryOf(request, 'prefix', 'after', 'limit');
      const after = query.text('after');
      return readCall(edge, request, exchange, {
        kind: 'kv.list',
        account: accountIn(request),
        prefix: prefixOf(query.text('prefix') ?? '', '?prefix'),
        ...(after !== undefined && { after: keyOf(after, '?after') }),
        limit: query.integer('limit', 1, pageLimitMax) ?? pageLimitDefault,
      });
    }),
  );

  app.get<DataRoute>(
    '/db/:acc/kv/*',
    ...call('kv_get', (request, exchange) => {
      queryOf(request);
      return readCall(edge, request, exchange, restBatch(request, { shape: 'kv.get', get: [idIn(request)] }));
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
          value: jsonText(bodyValue(request), 'body', edge.limits.value_bytes_max, 'limits.value_bytes_max'),
          ...(version !== undefined && { version }),
          ...(ttlMs !== undefined && { ttlMs }),
        };
        return writeCall(edge, request, exchange, restBatch(request, { shape: 'kv.set', set: [set] }));
      },
      'text',
    ),
  );

  app.delete<DataRoute>(
    '/db/:acc/kv/*',
    ...call('kv_delete', (request, exchange) => {
      needNoBody(request);
      const version = queryOf(request, 'ver').integer('ver', 0);
      const set = { key: idIn(request), ...(version !== undefined && { version }) };
      return writeCall(edge, request, exchange, restBatch(request, { shape: 'kv.delete', set: [set] }));
    }),
  );
}

/** JSON as it is, text/plain as a string. */
function bodyValue(request: DataRequest): unknown {
  const text = request.body ?? '';
  return mediaType(request.headers['content-type']) === 'text' ? text : parseJson(text);
}
