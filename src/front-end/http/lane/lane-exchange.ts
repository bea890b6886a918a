import { Exchange, type ReplyBody, type ReplyContext } from '../exchange.ts';
import type { Operation } from '../../request-metrics.ts';
import type { Disconnects } from '../sockets/disconnects.ts';
import type { RequestOrder } from '../sockets/request-order.ts';
import type { ReplyToWrite } from './reply-text.ts';

/** Where the replies of a connection are written. */
export interface ReplyLine {
  readonly disconnects: Disconnects;
  readonly order: RequestOrder;
  /** Writes the reply in its turn. */
  reply(exchange: LaneExchange, reply: ReplyToWrite): void;
}

/** An exchange of the fast lane. Those of a connection form a list, in the order in which their replies must leave. */
export class LaneExchange extends Exchange {
  /** The exchange of the next request. */
  following: LaneExchange | undefined = undefined;
  /** The reply, while it waits for those before it. */
  reply: ReplyToWrite | undefined = undefined;
  /** The connection closes after the reply. */
  isLast = false;
  readonly #line: ReplyLine;

  constructor(context: ReplyContext, operation: Operation, line: ReplyLine) {
    super(context, operation, line.disconnects, line.order);
    this.#line = line;
  }

  protected override write(status: number, body: ReplyBody, replayed: true | undefined): void {
    const isText = typeof body === 'string';
    this.#line.reply(this, {
      status,
      body: isText ? body : body.parts,
      bodyBytes: isText ? Buffer.byteLength(body) : body.bytes,
      bodyChars: isText ? body.length : body.chars,
      replayed,
      retryAfter: this.retryAfterOf(status),
      refusalHeaders: this.refusalHeaders,
    });
  }
}
