/** The REST calls, each made from its declaration: one command with a reply format of its own. */
import type { FastifyInstance } from 'fastify';
import type { CallSpec, QueryParameters } from '../../../protocol/operations/call.ts';
import { jsonText } from '../../../protocol/operations/fields.ts';
import { callList, waitsForLock, type Command } from '../../../protocol/operations/operations.ts';
import { refuse } from '../../../protocol/refusal.ts';
import type { Limits } from '../../../shared/limits.ts';
import { requireScopes } from '../../access.ts';
import { operationOfCall } from '../../request-metrics.ts';
import { mediaType } from '../body.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import { accountIn, idempotencyOf, idIn, requireNoBody, type DefineDataRoute } from '../data-route.ts';
import { withIdempotency } from '../parse/idempotency.ts';
import { parseJson } from '../parse/json.ts';
import { readQuery } from '../parse/query.ts';
import type { RouteContext } from '../route-context.ts';

export function callRoutes(app: FastifyInstance, context: RouteContext, dataRoute: DefineDataRoute): void {
  for (const [name, spec] of callList) {
    const [options, handler] = dataRoute(
      operationOfCall(name),
      (request, exchange) => {
        const command = commandOf(spec, request, context.limits);
        exchange.waits = waitsForLock(command);
        return context.dispatcher.request(command, exchange);
      },
      spec.body === 'value' ? 'text' : undefined,
    );
    app.route<DataRoute>({ method: spec.method, url: `/db/:acc/${spec.path}`, ...options, handler });
  }
}

function commandOf(spec: CallSpec<QueryParameters, Command>, request: DataRequest, limits: Limits): Command {
  if (spec.body === undefined && spec.method !== 'GET') requireNoBody(request);
  const command = spec.command({
    account: accountIn(request),
    id: spec.path.endsWith('*') ? idIn(request) : '',
    query: readQuery(request.query, spec),
    value: spec.body === undefined ? '' : bodyValue(request, limits),
  });
  const scopes = requireScopes(request.access, command);
  // A read is idempotent anyway.
  if (!scopes.write && !scopes.force) return command;
  const idempotency = idempotencyOf(request);
  if (command.kind === 'batch') return withIdempotency(command, idempotency);
  if (idempotency === undefined) return command;
  // A replay would need a record on disk.
  return refuse('invalid', 'Idempotency-Key: not for what lives in memory only; expected ?id= instead');
}

/** Returns the body as the JSON text to store: JSON as it is, text/plain as a string. */
function bodyValue(request: DataRequest, limits: Limits): string {
  const text = request.body ?? '';
  const value = mediaType(request.headers['content-type']) === 'text' ? text : parseJson(text);
  return jsonText(value, 'body', { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' });
}
