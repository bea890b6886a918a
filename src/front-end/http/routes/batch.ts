/** `POST /db/:acc`: one batch, or an array of them. */
import type { FastifyInstance } from 'fastify';
import { isFailure, type Reply } from '../../../protocol/replies.ts';
import { assert } from '../../../shared/assert.ts';
import { statusOf } from '../status.ts';
import type { BatchReplySink, Cancelable } from '../../../router/dispatcher.ts';
import { requireScopes } from '../../access.ts';
import { audited } from '../../audited.ts';
import { withTargets } from '../../task-targets.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import { accountIn, bodyOf, queryOf, idempotencyOf, type BodyArguments, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';
import { withRequestId, type Exchange } from '../exchange.ts';
import { mayWait, type Batch } from '../../../protocol/operations/operations.ts';
import type { UnreadOwner } from '../sockets/unread-replies.ts';

export function batchRoutes(app: FastifyInstance, context: RouteContext, define: DefineDataRoute): void {
  const given = (request: DataRequest): ReturnType<BodyArguments<'batch'>> => body(request, context.clock);
  app.post<DataRoute>(
    '/db/:acc',
    ...define.call(
      'batch',
      (request, exchange) => {
        const content = bodyOf(request, given(request), context.limits);
        if (!('kind' in content)) return startArray(context, content, request, exchange);
        const batch = allowed(content, request, context);
        exchange.waits = mayWait(batch);
        return context.dispatcher.request(batch, exchange);
      },
      { body: given },
    ),
  );
}

/** Checks scopes; what forces or administers is noted. @throws Refusal */
function allowed(batch: Batch, { access, socket }: DataRequest, { targets }: RouteContext): Batch {
  const { force, admin } = requireScopes(access, batch);
  const asked = withTargets(batch, targets, access.scopes.has('task'));
  return force || admin ? audited(asked, access, socket.remoteAddress) : asked;
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
  const asked = batches.map((batch) => allowed(batch, request, context));
  context.rateLimiter.charge(accountIn(request), batches.length - 1);
  const replies = new ArrayReplies(context, exchange, batches.length);
  const cancelable = context.dispatcher.requestAll(asked, replies);
  return {
    cancel: () => {
      replies.cancel();
      cancelable.cancel();
    },
  };
}

/** Fewer bytes of a reply are not counted while it is collected. */
const countedBytes = 64 * 1024;

/** Collects the replies to the items of one array, and delivers them together. */
class ArrayReplies implements BatchReplySink, UnreadOwner {
  readonly #context: RouteContext;
  readonly #exchange: Exchange;
  readonly #texts: string[];
  #missing: number;
  #bytes = 0;
  #chars = 0;

  constructor(context: RouteContext, exchange: Exchange, items: number) {
    this.#context = context;
    this.#exchange = exchange;
    this.#texts = Array.from({ length: items }, () => '');
    this.#missing = items;
  }

  get disconnected(): boolean {
    return this.#exchange.disconnected;
  }

  get bytes(): number {
    return this.#exchange.bytes;
  }

  deliver(item: number, reply: Reply): void {
    const text = (item === 0 ? '[' : ',') + itemText(reply, this.#context);
    this.#texts[item] = text;
    this.#missing -= 1;
    this.#bytes += Buffer.byteLength(text);
    this.#chars += text.length;
    if (this.#missing > 0) return this.#count();
    this.#context.unread.release(this);
    this.#exchange.deliverParts({ parts: [...this.#texts, ']'], bytes: this.#bytes + 1, chars: this.#chars + 1 });
  }

  /** The client has disconnected. */
  cancel(): void {
    this.#context.unread.release(this);
    this.#texts.length = 0;
  }

  /** Other clients leave too much unread. Some of the batches may be done: their replies are lost with the connection. */
  evict(): void {
    this.#exchange.disconnect();
  }

  /** Counts what is collected, once it is worth it. */
  #count(): void {
    if (this.#bytes < countedBytes || this.disconnected) return;
    this.#context.unread.hold(this, this.#bytes, this.#exchange.account);
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

function body(request: DataRequest, clock: SharedArrayBuffer): ReturnType<BodyArguments<'batch'>> {
  queryOf(request);
  return ['batch', { account: accountIn(request), header: idempotencyOf(request), clock }];
}
