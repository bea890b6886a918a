import { Exchange, type ReplyContext } from '../exchange.ts';
import type { Operation } from '../../request-metrics.ts';
import type { Disconnects } from '../sockets/disconnects.ts';
import type { RequestOrder } from '../sockets/request-order.ts';
import type { ReplyToWrite } from './reply-text.ts';

/** Where the replies of a connection are written. */
export interface ReplyLine {
  readonly disconnects: Disconnects;
  readonly order: RequestOrder;
  /** Writes the reply in its turn. */
  reply(exchange: LaneExchange, reply: Omit<ReplyToWrite, 'last'>): void;
}

/** An exchange of the fast lane. Those of a connection form a list, in the order in which their replies must leave. */
export class LaneExchange extends Exchange {
  /** The exchange of the next request. */
  following: LaneExchange | undefined = undefined;
  /** The reply, while it waits for those before it. */
  reply: string | undefined = undefined;
  replyIsAscii = true;
  readonly #line: ReplyLine;

  constructor(context: ReplyContext, operation: Operation, line: ReplyLine) {
    super(context, operation, line.disconnects, line.order);
    this.#line = line;
  }

  protected override write(status: number, body: string, replayed: true | undefined): void {
    this.#line.reply(this, {
      status,
      body,
      bodyBytes: Buffer.byteLength(body),
      replayed,
      retryAfter: this.retryAfterOf(status),
    });
  }
}
