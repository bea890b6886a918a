/**
 * The one way in for data calls. A route says which operation it is and how a request becomes a command; whatever it
 * refuses while doing so is answered here. No promise is made for a request: its reply comes by callback.
 */
import type {
  FastifyReply,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteGenericInterface,
  RouteShorthandOptions,
} from 'fastify';
import type { Batch, Command, KvList } from '../protocol/commands.ts';
import { accountId, type AccountId } from '../protocol/ids.ts';
import { pageLimitDefault, pageLimitMax } from '../shared/limits.ts';
import type { Pending } from '../router/dispatcher.ts';
import { needScope } from './access.ts';
import type { Edge } from './edge.ts';
import { Exchange } from './exchange.ts';
import { keyOf, prefixOf } from './parse/fields.ts';
import { headerWish, withIdempotency, type IdempotencyWish } from './parse/idempotency.ts';
import { Query, type QueryText } from './parse/query.ts';
import { refuse, Refusal } from './parse/refusal.ts';
import type { Operation } from './request-metrics.ts';

/** What Fastify hands over of a data call, for `app.get<DataRoute>(…)`. */
export interface DataRoute extends RouteGenericInterface {
  Params: { readonly acc: string; readonly '*': string };
  Querystring: QueryText;
  /** Text, see `plugins/body.ts`; undefined without a body. */
  Body: string | undefined;
}

export type DataRequest = FastifyRequest<DataRoute>;
type Handler = (request: DataRequest, reply: FastifyReply<DataRoute>) => void;
type DataRouteOptions = RouteShorthandOptions<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  DataRoute
>;
/** A handler, and the options of its route. */
export type Call = readonly [options: DataRouteOptions, handler: Handler];
/** Wraps calls: bound to the app's edge and its gate. */
export type CallMaker = (operation: Operation, start: Start, text?: 'text') => Call;
/** Validates the request, and hands it to the dispatcher. Throws `Refusal`. */
export type Start = (request: DataRequest, exchange: Exchange) => Pending;

export function callMaker(edge: Edge, gate: NonNullable<DataRouteOptions['onRequest']>): CallMaker {
  return (operation, start, text) => [
    { onRequest: gate, config: { operation, text: text === 'text' } },
    (request, reply) => {
      const exchange = new Exchange(edge, operation, reply.raw);
      try {
        exchange.wait(start(request, exchange));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        exchange.refuse(error.failure);
      }
    },
  ];
}

/** The account in the path; the gate has checked it. */
export function accountIn(request: DataRequest): AccountId {
  return accountId(request.params.acc);
}

/** The rest of the path: `kv/app/config` and `kv/app%2Fconfig` are the same key. */
export function idIn(request: DataRequest): string {
  return keyOf(request.params['*'], 'id');
}

export function queryOf(request: DataRequest, ...known: readonly string[]): Query {
  return new Query(request.query, known);
}

/** The ids of the header `Idempotency-Key`, if any. */
export function wishOf(request: DataRequest): IdempotencyWish | undefined {
  return headerWish(request.headers['idempotency-key']);
}

export function needNoBody(request: DataRequest): void {
  if (request.body !== undefined && request.body !== '') {
    refuse('invalid', 'This call takes no body; wanted what it needs in the query, e.g. ?add=5');
  }
}

/** A REST call as a batch of one operation: `part` is that operation. */
export function restBatch(request: DataRequest, part: Omit<Batch, 'kind' | 'account'>): Batch {
  return { kind: 'batch', account: accountIn(request), ...part };
}

/** REST reads: no body, the scope `read`. */
export function readCall(edge: Edge, request: DataRequest, exchange: Exchange, command: Command): Pending {
  needScope(request.access, 'read', 'Reading');
  return edge.dispatcher.request(command, exchange);
}

/** REST writes: the header `Idempotency-Key` counts, the scope `write`. */
export function writeCall(edge: Edge, request: DataRequest, exchange: Exchange, batch: Batch): Pending {
  needScope(request.access, 'write', 'Writing');
  return edge.dispatcher.request(withIdempotency(batch, wishOf(request)), exchange);
}

/** Which page of a list: `?prefix=&after=&limit=`. */
export function pageAsked(request: DataRequest): Pick<KvList, 'account' | 'prefix' | 'after' | 'limit'> {
  const query = queryOf(request, 'prefix', 'after', 'limit');
  const after = query.text('after');
  return {
    account: accountIn(request),
    prefix: prefixOf(query.text('prefix') ?? '', '?prefix'),
    ...(after !== undefined && { after: keyOf(after, '?after') }),
    limit: query.integer('limit', 1, pageLimitMax) ?? pageLimitDefault,
  };
}
