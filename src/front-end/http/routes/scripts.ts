/** `POST /db/:acc/call/*` and `POST /db/:acc/eval`: runs a script, and commits what it does. */
import type { FastifyInstance } from 'fastify';
import { failure } from '../../../protocol/errors.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { refuseField } from '../../../protocol/refusal.ts';
import type { Cancelable } from '../../../router/dispatcher.ts';
import type { ScriptCallRequest } from '../../../scripts/script-call.ts';
import { requireScope } from '../../access.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import {
  accountIn,
  bodyOf,
  idempotencyOf,
  idIn,
  queryOf,
  type BodyArguments,
  type DefineDataRoute,
} from '../data-route.ts';
import type { Exchange } from '../exchange.ts';
import type { RouteContext } from '../route-context.ts';

export function scriptRoutes(app: FastifyInstance, context: RouteContext, define: DefineDataRoute): void {
  const start = (request: DataRequest, exchange: Exchange, stored: boolean): Cancelable => {
    requireScope(request.access, 'script', 'Running a script');
    const { cpu_ms_max } = context.inForce.config.scripts;
    const content = bodyOf(request, body(request, stored, context), context.limits);
    if (content.cpuMs !== undefined && content.cpuMs > cpu_ms_max)
      return refuseField('CPU', `expected at most ${cpu_ms_max} ms (scripts.cpu_ms_max), got ${content.cpuMs}`);
    const call: ScriptCallRequest = {
      ...content,
      account: accountIn(request),
      ...(stored && { name: idIn(request) }),
      sends: request.access.scopes.has('task'),
    };
    if (context.scripts === undefined) return refuseScripts(exchange);
    exchange.holdConnection();
    return context.scripts.call(call, exchange);
  };
  const route = (stored: boolean) =>
    define.call(stored ? 'script_call' : 'script_eval', (request, exchange) => start(request, exchange, stored), {
      body: (request) => body(request, stored, context),
    });
  app.post<DataRoute>('/db/:acc/call/*', ...route(true));
  app.post<DataRoute>('/db/:acc/eval', ...route(false));
}

function body(request: DataRequest, stored: boolean, { clock }: RouteContext): ReturnType<BodyArguments<'call'>> {
  queryOf(request);
  return ['call', { stored, header: idempotencyOf(request), clock }];
}

/** Compiles the source of a batch that stores one, and hands it over if it is right. */
export function storeScript(context: RouteContext, batch: Batch, exchange: Exchange): Cancelable {
  const { scripts, dispatcher } = context;
  if (scripts === undefined) return refuseScripts(exchange);
  exchange.holdConnection();
  let asked: Cancelable | undefined;
  let cancelled = false;
  const compiled = scripts.check(batch.account, batch.script!.source!);
  void compiled.then((refused) => {
    if (cancelled) return;
    if (refused === undefined) asked = dispatcher.request(batch, exchange);
    else exchange.refuse(refused);
  });
  return {
    cancel: () => {
      cancelled = true;
      asked?.cancel();
    },
  };
}

function refuseScripts(exchange: Exchange): Cancelable {
  exchange.refuse(failure('not_found', 'This server runs no scripts (scripts.threads is 0)'));
  return { cancel: () => {} };
}
