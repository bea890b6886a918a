/** `POST /db/:acc`: one batch, or an array of them. */
import type { FastifyInstance } from 'fastify';
import { revision } from '../../../protocol/ids.ts';
import { isFailure, type Reply } from '../../../protocol/replies.ts';
import { assert } from '../../../shared/assert.ts';
import { statusOf } from '../status.ts';
import type { BatchReplySink, Cancelable } from '../../../router/dispatcher.ts';
import { requireScopes } from '../../access.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import { accountIn, bodyOf, queryOf, idempotencyOf, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';
import { withRequestId, type Exchange } from '../exchange.ts';
import { waitsForLock, type Batch } from '../../../protocol/operations/operations.ts';

export function batchRoutes(app: FastifyInstance, context: RouteContext, call: DefineDataRoute): void {
  const body = (request: DataRequest) => {
    queryOf(request);
    return ['batch', { account: accountIn(request), header: idempotencyOf(request) }] as const;
  };
  app.post<DataRoute>(
    '/db/:acc',
    ...call(
      'batch',
      (request, exchange) => {
        const content = bodyOf(request, body(request), context.limits);
        if (!('kind' in content)) return startArray(context, content, request, exchange);
        requireScopes(request.access, content);
        exchange.waits = waitsForLock(content);
        return context.dispatcher.request(content, exchange);
      },
      { body },
    ),
  );
}

/**
 * Hands each item over as a request of its own, with its own reply and status. One that is not allowed refuses the
 * whole array, and nothing is done.
 */
function startArray(
  context: RouteContext,
  batches: readonly Batch[],
  request: DataRequest,
  exchange: Exchange,
): Cancelable {
  exchange.operation = 'batch_array';
  for (const batch of batches) requireScopes(request.access, batch);
  context.rateLimiter.charge(accountIn(request), batches.length - 1);
  return context.dispatcher.requestAll(batches, new ArrayReplies(context, exchange, batches.length));
}

/** Collects the replies to the items of one array, and delivers them together. */
class ArrayReplies implements BatchReplySink {
  readonly #context: RouteContext;
  readonly #exchange: Exchange;
  readonly #texts: string[];
  #missing: number;
  #highest = 0;

  constructor(context: RouteContext, exchange: Exchange, items: number) {
    this.#context = context;
    this.#exchange = exchange;
    this.#texts = Array.from({ length: items }, () => '');
    this.#missing = items;
  }

  get disconnected(): boolean {
    return this.#exchange.disconnected;
  }

  deliver(item: number, reply: Reply): void {
    this.#texts[item] = itemText(reply, this.#context);
    if (reply.rev > this.#highest) this.#highest = reply.rev;
    this.#missing -= 1;
    if (this.#missing > 0) return;
    this.#exchange.deliver({ rev: revision(this.#highest), outcome: 'ok', body: `[${this.#texts.join(',')}]` });
  }
}

/** Renders one item: `{"Status":200, …the members of the reply}`. */
function itemText(reply: Reply, context: RouteContext): string {
  const { outcome } = reply;
  assert(outcome !== 'registered', 'a batch is answered with what came of it');
  const body = isFailure(outcome) ? withRequestId(reply.body, context.nextRequestId()) : reply.body;
  const members = body.slice(1);
  return `{"Status":${statusOf(outcome)}${members === '}' ? '' : ','}${members}`;
}
