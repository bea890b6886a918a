import { Exchange, type ReplyContext } from '../exchange.ts';
import type { Operation } from '../../request-metrics.ts';
import type { LaneConnection } from './lane-connection.ts';

/** An exchange of the fast lane. Those of a connection form a list, in the order in which their replies must leave. */
export class LaneExchange extends Exchange {
  /** The exchange of the next request. */
  following: LaneExchange | undefined = undefined;
  /** The reply, while it waits for those before it. */
  reply: string | undefined = undefined;
  replyIsAscii = true;
  readonly #lane: LaneConnection;

  constructor(context: ReplyContext, operation: Operation, lane: LaneConnection) {
    super(context, operation, lane.disconnects, lane.order);
    this.#lane = lane;
  }

  protected override write(status: number, body: string, replayed: true | undefined): void {
    this.#lane.reply(this, { status, body, bodyBytes: Buffer.byteLength(body), replayed });
  }
}
