/**
 * The replies of one connection of the fast lane: they leave in the order of their requests, all those of a turn in one
 * write. What the client has not read is counted, and so is what waits for an earlier reply.
 */
import type { Socket } from 'node:net';
import { Disconnects } from '../sockets/disconnects.ts';
import { RequestOrder } from '../sockets/request-order.ts';
import type { UnreadReplies } from '../sockets/unread-replies.ts';
import type { LaneExchange, ReplyLine } from './lane-exchange.ts';
import type { ReplyTexts, ReplyToWrite } from './reply-text.ts';

export interface LaneRepliesOptions {
  readonly texts: ReplyTexts;
  readonly unread: UnreadReplies;
  /** Has `flush` called after the event that is being handled. */
  readonly flushSoon: () => void;
  /** No request is in flight, and all replies are written; some may be unread. */
  readonly onIdle: () => void;
  /** The connection closes after the last request that was taken. */
  readonly closes: () => boolean;
}

export class LaneReplies implements ReplyLine {
  readonly disconnects: Disconnects;
  readonly order: RequestOrder;
  readonly #socket: Socket;
  readonly #options: LaneRepliesOptions;
  /** In flight, in the order of their replies. */
  #first: LaneExchange | undefined;
  #last: LaneExchange | undefined;
  /** To be written in this turn. */
  #out = '';
  #outIsAscii = true;
  #flushing = false;
  /** Of replies that wait for earlier ones. */
  #heldBytes = 0;
  /** That are counted. */
  #unreadBytes = 0;
  #countsWrites = false;

  constructor(socket: Socket, options: LaneRepliesOptions) {
    this.#socket = socket;
    this.#options = options;
    this.disconnects = Disconnects.of(socket);
    this.order = RequestOrder.of(socket);
  }

  /** No request is in flight, and all replies are written. */
  get idle(): boolean {
    return this.#first === undefined && !this.#flushing;
  }

  /** The client has read all replies, as far as the kernel knows. */
  get read(): boolean {
    return this.#unreadBytes === 0;
  }

  /** The next request. */
  add(exchange: LaneExchange): void {
    if (this.#last === undefined) this.#first = exchange;
    else this.#last.following = exchange;
    this.#last = exchange;
  }

  reply(exchange: LaneExchange, reply: Omit<ReplyToWrite, 'last'>): void {
    const { texts, closes, flushSoon } = this.#options;
    const { bodyBytes, body } = reply;
    const text = texts.make({ ...reply, last: closes() && exchange === this.#last });
    const isAscii = bodyBytes === body.length;
    if (exchange !== this.#first) {
      exchange.reply = text;
      exchange.replyIsAscii = isAscii;
      this.#heldBytes += text.length;
      return this.#countUnread();
    }
    this.#out += text;
    this.#outIsAscii &&= isAscii;
    let next = exchange.following;
    for (; next?.reply !== undefined; next = next.following) {
      this.#out += next.reply;
      this.#outIsAscii &&= next.replyIsAscii;
      this.#heldBytes -= next.reply.length;
    }
    this.#first = next;
    if (next === undefined) this.#last = undefined;
    if (this.#flushing) return;
    this.#flushing = true;
    flushSoon();
  }

  /** Writes the replies of this turn. */
  flush(): void {
    const socket = this.#socket;
    const text = this.#out;
    this.#flushing = false;
    this.#out = '';
    if (socket.destroyed || socket.writableEnded) return;
    socket.write(text, this.#outIsAscii ? 'latin1' : 'utf8');
    this.#outIsAscii = true;
    if (socket.writableLength > 0 || this.#unreadBytes > 0) this.#countUnread();
    if (this.#first === undefined) this.#options.onIdle();
  }

  #countUnread(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const bytes = this.#heldBytes + socket.writableLength;
    const more = bytes - this.#unreadBytes;
    this.#unreadBytes = bytes;
    if (more > 0) this.order.unread(more);
    else this.order.read(-more);
    this.#options.unread.lags(socket, bytes);
    if (socket.writableLength === 0 || this.#countsWrites || socket.writableEnded) return;
    this.#countsWrites = true;
    // Called when all before it has left.
    socket.write('', 'latin1', () => {
      this.#countsWrites = false;
      this.#countUnread();
      if (this.idle) this.#options.onIdle();
    });
  }
}
