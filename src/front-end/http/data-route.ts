/**
 * The common path of all data calls. A route names its operation and turns a request into a command; this file answers
 * what the route refuses. A request creates no promise: its reply comes by callback. Each is taken when the earlier ones
 * of its connection have begun: see `RequestOrder`.
 */
import type {
  FastifyReply,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteShorthandOptions,
} from 'fastify';
import { failure, type Failure } from '../../protocol/errors.ts';
import { accountId, type AccountId } from '../../protocol/ids.ts';
import type { DataRequest, DataRoute, FastifyDataRequest, Gate, RequestBody } from './data-request.ts';
import { InvariantError } from '../../shared/assert.ts';
import type { Cancelable } from '../../router/dispatcher.ts';
import { RequestLoads } from '../../router/request-loads.ts';
import type { RouteContext } from './route-context.ts';
import { clientDisconnectedStatus, type Exchange } from './exchange.ts';
import { HttpExchange } from './http-exchange.ts';
import { largeBodyBytes, type LargeBodies, type Refused } from './large-bodies.ts';
import { contentOfBody, type BodyContent, type BodyGiven, type BodyKind } from './parse/body-kinds.ts';
import { textOfBody } from './parse/body-text.ts';
import { idempotencyFromHeader } from './parse/idempotency.ts';
import { Query } from './parse/query.ts';
import { hasBody, readBody } from './body.ts';
import type { TakesText } from './media-type.ts';
import { RequestOrder } from './sockets/request-order.ts';
import { answerBug, answerError } from './error-replies.ts';
import { HeldStreams } from './held-streams.ts';
import type { Operation } from '../request-metrics.ts';
import { readKey } from '../../protocol/operations/fields.ts';
import type { IdempotencyOptions } from '../../protocol/operations/idempotency.ts';
import { refuse, Refusal } from '../../protocol/refusal.ts';
import type { Limits } from '../../shared/limits.ts';
import { shown } from '../../shared/text.ts';

type DataReply = FastifyReply<DataRoute>;
type DataRouteOptions = RouteShorthandOptions<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  DataRoute
>;
/** The route's options, and a handler. */
type DefinedRoute = readonly [options: DataRouteOptions, handler: () => never];

/** Defines data calls, bound to the app's context and its gate. */
export interface DefineDataRoute {
  call(operation: Operation, start: Start, options?: CallOptions): DefinedRoute;
  /** An event stream. */
  stream(operation: Operation, start: Start<HttpExchange>): DefinedRoute;
}

/** Validates the request, and hands it to the dispatcher. @throws Refusal */
export type Start<Way extends Exchange = Exchange> = (request: DataRequest, exchange: Way) => Cancelable;

export interface CallOptions {
  /** The call takes `text/plain` too, or the source of a script. */
  readonly text?: TakesText;
  /** The call reads its body by `bodyOf`, with just these arguments. Absent: it has none. */
  readonly body?: BodyArguments;
}

/** Returns the kind of the body, and what its reader is given. @throws Refusal */
export type BodyArguments<Kind extends BodyKind = BodyKind> = (
  request: DataRequest,
) => readonly [kind: Kind, given: BodyGiven<Kind>];

/** A call but for streams: what both ways of a request, Fastify and the fast lane, have to know of it. */
export interface DataCall {
  readonly context: RouteContext;
  readonly gate: Gate;
  readonly operation: Operation;
  readonly start: Start;
  /** It takes `text/plain` too, or the source of a script. */
  readonly text: TakesText;
  readonly bodyArguments: BodyArguments | undefined;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly call?: DataCall;
  }
}

/**
 * Serves a call within Fastify's first hook, which never calls back: we read and validate bodies and serialize replies
 * ourselves.
 */
export function dataRouteDefiner(context: RouteContext, gate: Gate): DefineDataRoute {
  return {
    call(operation, start, { text = false, body: bodyArguments } = {}) {
      const call: DataCall = { context, gate, operation, start, text, bodyArguments };
      const onRequest = inOrder(call, (request, reply, order) => takeCall(call, request, reply, order));
      return [{ onRequest, config: { operation, call } }, neverReached];
    },
    stream(operation, start) {
      const held = new HeldStreams(context);
      const takeStream = (request: FastifyDataRequest, reply: DataReply, order: RequestOrder): void => {
        order.enter();
        const exchange = new HttpExchange(context, operation, reply.raw);
        exchange.eventSource = request.headers.accept?.includes('text/event-stream') ?? false;
        const ask = (): Failure | undefined => context.checkHead(request.raw) ?? gate(request);
        if (hasBody(request.raw)) exchange.refuse(noBodyForStreams);
        else held.serve({ exchange, gate: ask, begin: () => begin(context, start, request, exchange) });
        order.leave();
      };
      return [{ onRequest: inOrder({ context, operation }, takeStream), config: { operation } }, neverReached];
    },
  };
}

type Take = (request: FastifyDataRequest, reply: DataReply, order: RequestOrder) => void;

/** Takes each request when it is its turn on its connection. */
function inOrder({ context, operation }: Pick<DataCall, 'context' | 'operation'>, take: Take) {
  return (request: FastifyDataRequest, reply: DataReply): void => {
    const order = RequestOrder.of(request.raw.socket);
    if (order.idle) return take(request, reply, order);
    order.wait({
      take: () => take(request, reply, order),
      drop: () => new HttpExchange(context, operation, reply.raw).finish(clientDisconnectedStatus),
    });
  };
}

function takeCall(call: DataCall, request: FastifyDataRequest, reply: DataReply, order: RequestOrder): void {
  const { context, gate, operation, text } = call;
  order.enter();
  const refused = context.checkHead(request.raw) ?? gate(request);
  if (refused !== undefined) {
    new HttpExchange(context, operation, reply.raw).refuse(refused);
    return order.leave();
  }
  readBody(request.raw, { limits: context.limits, arriving: context.arriving, text }, (error, body) => {
    if (error !== undefined) {
      answerError(context, error, request, reply);
      return order.leave();
    }
    request.body = body;
    beginCall(call, request, new HttpExchange(context, operation, reply.raw), order);
  });
}

/** Begins a call whose body is there, when it is the turn of its account. The gate has let it through. */
export function beginCall(call: DataCall, request: DataRequest, exchange: Exchange, order: RequestOrder): void {
  const { context, start, bodyArguments } = call;
  exchange.request = request;
  const { body } = request;
  if (body !== undefined) exchange.bytes = RequestLoads.bytesOf(body.length);
  const run = (): void => {
    if (request.socket.destroyed) exchange.finish(clientDisconnectedStatus);
    else begin(context, start, request, exchange);
    order.leave();
  };
  if (isLarge(body) && bodyArguments !== undefined && context.largeBodies !== undefined)
    readLarge(context.largeBodies, request, bodyArguments, run);
  else context.turns.run(request.params.acc, run);
}

function isLarge(body: RequestBody | undefined): body is Buffer<ArrayBuffer> {
  return typeof body === 'object' && body.length > largeBodyBytes;
}

/** Has the body thread read the body, and then goes on with `run`. */
function readLarge(bodies: LargeBodies, request: DataRequest, bodyArguments: BodyArguments, run: () => void): void {
  try {
    const [kind, given] = bodyArguments(request);
    const account = request.params.acc;
    const done = (content: BodyContent<BodyKind> | Refused): void => {
      request.content = content;
      run();
    };
    bodies.read({ account, kind, given, bytes: request.body as Buffer<ArrayBuffer>, done });
    request.body = undefined;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    request.content = { refused: error.failure };
    run();
  }
}

/** Reads the body of a request. @throws Refusal */
export function bodyOf<Kind extends BodyKind>(
  request: DataRequest,
  [kind, given]: ReturnType<BodyArguments<Kind>>,
  limits: Limits,
): BodyContent<Kind> {
  const { content, body } = request;
  if (content === undefined) return contentOfBody(kind, body === undefined ? '' : textOfBody(body), given, limits);
  if (typeof content === 'object' && 'refused' in content) throw new Refusal(content.refused);
  return content;
}

const noBodyForStreams = failure('invalid', 'GET takes no body here; expected ?prefix and ?after, or POST');

function neverReached(): never {
  throw new InvariantError('invariant broken: a call is over before its handler');
}

function begin<Way extends Exchange>(
  context: RouteContext,
  start: Start<Way>,
  request: DataRequest,
  exchange: Way,
): void {
  try {
    const cancelable = start(request, exchange);
    // What follows of it is in the command: nobody needs the text while the request waits.
    request.body = undefined;
    exchange.wait(cancelable);
  } catch (error) {
    if (error instanceof Refusal) exchange.refuse(error.failure);
    else answerBug(context, error, request, exchange);
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

/** @param parameters of the call, which take the place of a body */
export function requireNoBody(request: DataRequest, parameters: readonly string[]): void {
  if (request.body === undefined || request.body.length === 0) return;
  const got = `${request.method} takes no body here, got ${shown(textOfBody(request.body))}`;
  if (parameters.length === 0) return refuse('invalid', `${got}; expected none`);
  const names = parameters.map((name) => `?${name}`).join(', ');
  refuse('invalid', `${got}; expected its parameters in the URL (${names})`);
}
