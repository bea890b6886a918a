/**
 * The common path of all data calls. A route names its operation and turns a request into a command; this file answers
 * what the route refuses. A request creates no promise: its reply comes by callback.
 */
import type {
  FastifyReply,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteShorthandOptions,
} from 'fastify';
import { accountId, type AccountId } from '../../protocol/ids.ts';
import type { DataRequest, DataRoute, Gate } from './data-request.ts';
import { InvariantError } from '../../shared/assert.ts';
import type { Cancelable } from '../../router/dispatcher.ts';
import { RequestLoads } from '../../router/request-loads.ts';
import type { RouteContext } from './route-context.ts';
import { Exchange } from './exchange.ts';
import { idempotencyFromHeader } from './parse/idempotency.ts';
import { Query } from './parse/query.ts';
import { readBody, type ArrivingBodies } from './body.ts';
import { answerError } from './error-replies.ts';
import { Pipeline } from './sockets/pipeline.ts';
import type { Operation } from '../request-metrics.ts';
import { readKey } from '../../protocol/operations/fields.ts';
import type { IdempotencyOptions } from '../../protocol/operations/idempotency.ts';
import { refuse, Refusal } from '../../protocol/refusal.ts';

type DataReply = FastifyReply<DataRoute>;
type DataRouteOptions = RouteShorthandOptions<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  DataRoute
>;
/** The route's options, and a handler. */
export type Call = readonly [options: DataRouteOptions, handler: () => never];
/** Defines data calls, bound to the app's context and its gate. */
export type DefineDataRoute = (operation: Operation, start: Start, text?: 'text') => Call;
/** Validates the request, and hands it to the dispatcher. @throws Refusal */
export type Start = (request: DataRequest, exchange: Exchange) => Cancelable;

/**
 * Serves a call within Fastify's first hook, which never calls back: we read and validate bodies and serialize replies
 * ourselves.
 */
export function dataRouteDefiner(context: RouteContext, gate: Gate, arriving: ArrivingBodies): DefineDataRoute {
  return (operation, start, text) => {
    const call = { context, operation, start };
    const bodyOptions = { limits: context.limits, arriving, text: text === 'text' };
    const onRequest = (request: DataRequest, reply: DataReply): void => {
      const pipeline = Pipeline.of(request.raw.socket);
      if (pipeline.enter()) serve(request, reply);
      else pipeline.wait(() => serve(request, reply));
    };
    const serve = (request: DataRequest, reply: DataReply): void => {
      const refused = gate(request);
      if (refused !== undefined) return new Exchange(context, operation, reply.raw).refuse(refused);
      readBody(request.raw, bodyOptions, (error, body) => {
        if (error !== undefined) return answerError(context, error, request, reply);
        request.body = body;
        begin(call, request, reply);
      });
    };
    return [{ onRequest, config: { operation } }, neverReached];
  };
}

function neverReached(): never {
  throw new InvariantError('invariant broken: a call is over before its handler');
}

function begin(
  { context, operation, start }: { context: RouteContext; operation: Operation; start: Start },
  request: DataRequest,
  reply: DataReply,
): void {
  const exchange = new Exchange(context, operation, reply.raw);
  if (request.body !== undefined) exchange.bytes = RequestLoads.bytesOf(request.body.length);
  try {
    const cancelable = start(request, exchange);
    // What follows of it is in the command: nobody needs the text while the request waits.
    request.body = undefined;
    exchange.wait(cancelable);
  } catch (error) {
    if (error instanceof Refusal) exchange.refuse(error.failure);
    else answerError(context, error as Error, request, reply);
  }
}

/** Returns the account in the path; the gate has checked it. */
export function accountIn(request: DataRequest): AccountId {
  return accountId(request.params.acc);
}

/** Returns the rest of the path: `kv/app/config` and `kv/app%2Fconfig` are the same key. */
export function idIn(request: DataRequest): string {
  return readKey(request.params['*'], 'id');
}

export function queryOf(request: DataRequest, ...known: readonly string[]): Query {
  return new Query(request.query, known);
}

/** Returns the id of the header `Idempotency-Key`, if there is one. */
export function idempotencyOf(request: DataRequest): IdempotencyOptions | undefined {
  return idempotencyFromHeader(request.headers['idempotency-key']);
}

export function requireNoBody(request: DataRequest): void {
  if (request.body !== undefined && request.body !== '') {
    refuse('invalid', 'This call takes no body; expected what it needs in the query, e.g. ?add=5');
  }
}
