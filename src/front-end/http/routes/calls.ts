/** The REST calls, each made from its declaration: one command with a reply format of its own. */
import { hash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { audited } from '../../audited.ts';
import { withIdempotency } from '../../fingerprint.ts';
import { routeOf, type CallSpec, type QueryParameters, type QueryValues } from '../../../protocol/operations/call.ts';
import { revision } from '../../../protocol/ids.ts';
import type { IdempotencyOptions } from '../../../protocol/operations/idempotency.ts';
import { callList, mayWait, type Command } from '../../../protocol/operations/operations.ts';
import { refuse } from '../../../protocol/refusal.ts';
import { newTaskID } from '../../../shared/new-secret.ts';
import { requireScopes } from '../../access.ts';
import { withTargets } from '../../task-targets.ts';
import { operationOfCall } from '../../request-metrics.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import {
  accountIn,
  bodyOf,
  idempotencyOf,
  idIn,
  requireNoBody,
  type BodyArguments,
  type DefineDataRoute,
} from '../data-route.ts';
import { readQuery } from '../parse/query.ts';
import type { RouteContext } from '../route-context.ts';
import { storeScript } from './scripts.ts';
import { UsageReply } from '../usage-reply.ts';

export function callRoutes(app: FastifyInstance, context: RouteContext, define: DefineDataRoute): void {
  for (const [name, spec] of callList) {
    const [options, handler] = define.call(
      operationOfCall(name),
      (request, exchange) => {
        const command = commandOf(spec, request, context);
        if (command.kind === 'account.export' && command.changes !== undefined) {
          const { account, limit, changes } = command;
          const watch = {
            account,
            prefix: '',
            limit,
            after: revision(changes.from),
            changesTo: revision(changes.target),
          };
          return exchange.afterReplies(() => context.dispatcher.watchPrefix({ ...watch, waitMs: 0 }, exchange));
        }
        if (command.kind === 'batch' && command.script?.source !== undefined)
          return storeScript(context, command, exchange);
        exchange.waits = mayWait(command);
        const sink = command.kind === 'account.usage' ? new UsageReply(exchange, command.account, context) : exchange;
        return context.dispatcher.request(command, sink);
      },
      bodyOptions(spec, context.clock),
    );
    const method = spec.method === 'GET' ? ['GET', 'HEAD'] : spec.method;
    app.route<DataRoute>({ method, url: routeOf(spec), ...options, handler });
  }
}

/** A retry under an idempotency id makes the same one. */
function newID(idempotency: IdempotencyOptions | undefined): string {
  if (idempotency === undefined) return newTaskID();
  return hash('sha256', JSON.stringify(idempotency.ids), 'buffer').subarray(0, 15).toString('base64url');
}

function commandOf(spec: CallSpec<QueryParameters, Command>, request: DataRequest, context: RouteContext): Command {
  if (spec.body === undefined) requireNoBody(request, Object.keys(spec.query));
  const query = queryIn(spec, request);
  const given = spec.command({
    account: accountIn(request),
    id: spec.path.endsWith('*') ? idIn(request) : '',
    query,
    value: bodyText(spec, request, query, context),
    secret: context.newSecret,
    newID: () => newID(idempotencyOf(request)),
  });
  const scopes = requireScopes(request.access, given);
  const mayHaveSent = request.access.scopes.has('task');
  const command = given.kind === 'batch' ? withTargets(given, context.targets, mayHaveSent) : given;
  // A read is idempotent anyway.
  if (command.kind === 'flow.get') return command;
  if (!scopes.write && !scopes.force && !scopes.admin && !scopes.task && !scopes.script) return command;
  const idempotency = idempotencyOf(request);
  if (command.kind === 'batch') {
    if (command.wipe !== undefined && idempotency !== undefined)
      return refuse('invalid', 'Idempotency-Key: not for the deletion of the account, which deletes the key, too');
    const once = withIdempotency(command, idempotency);
    return scopes.force || scopes.admin ? audited(once, request.access, request.socket.remoteAddress) : once;
  }
  if (idempotency === undefined) return command;
  // A replay would need a record on disk.
  return refuse('invalid', 'Idempotency-Key: not for what lives in memory only; expected ?owner= instead');
}

function bodyOptions(
  spec: CallSpec<QueryParameters, Command>,
  clock: SharedArrayBuffer,
): Parameters<DefineDataRoute['call']>[2] {
  if (spec.body === 'task') return { body: () => ['task', { clock }] };
  if (spec.body === 'value') return { text: true, body: (request) => valueArguments(spec, request) };
  const { body } = spec;
  if (body === 'source') return { text: 'source', body: () => [body, {}] };
  return body === undefined ? {} : { body: () => [body, {}] };
}

function bodyText(
  spec: CallSpec<QueryParameters, Command>,
  request: DataRequest,
  query: QueryValues<QueryParameters>,
  { limits, clock }: RouteContext,
): string {
  if (spec.body === undefined) return '';
  if (spec.body === 'task') return bodyOf(request, ['task', { clock }], limits);
  if (spec.body !== 'value') return bodyOf(request, [spec.body, {}], limits);
  return bodyOf(request, valueArguments(spec, request, query), limits);
}

function valueArguments(
  spec: CallSpec<QueryParameters, Command>,
  request: DataRequest,
  query = queryIn(spec, request),
): ReturnType<BodyArguments<'value'>> {
  return ['value', { contentType: request.headers['content-type'], asText: query['as'] === 'text' }];
}

function queryIn(spec: CallSpec<QueryParameters, Command>, request: DataRequest): QueryValues<QueryParameters> {
  return readQuery(request.query, spec, (name) => takenByAnother(spec, name));
}

/** Returns a hint if the same path knows the parameter with another method: who takes a lock may forget `-X POST`. */
function takenByAnother({ path, method }: CallSpec<QueryParameters, Command>, name: string): string | undefined {
  const other = callList.find(([, spec]) => spec.path === path && spec.method !== method && name in spec.query)?.[1];
  if (other === undefined) return undefined;
  return `unknown parameter of ${method}; did you mean ${other.method}? (curl -X ${other.method})`;
}
