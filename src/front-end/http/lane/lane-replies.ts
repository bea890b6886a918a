/**
 * The replies of one connection of the fast lane: they leave in the order of their requests, all those of a turn in one
 * write. What the client has not read is counted, and so is what waits for an earlier reply.
 *
 * More than a slice leaves slice by slice (`slices.ts`), each when it is the account's turn and the client has taken the
 * ones before.
 */
import type { Socket } from 'node:net';
import { sliceChars, Slices } from '../../slices.ts';
import type { TurnEnd, TurnWriter } from '../../turn-end.ts';
import { Disconnects } from '../sockets/disconnects.ts';
import { RequestOrder } from '../sockets/request-order.ts';
import type { UnreadReplies } from '../sockets/unread-replies.ts';
import type { LaneExchange, ReplyLine } from './lane-exchange.ts';
import type { ReplyTexts, ReplyToWrite } from './reply-text.ts';

export interface LaneRepliesOptions {
  readonly texts: ReplyTexts;
  readonly unread: UnreadReplies;
  readonly turnEnd: TurnEnd;
  /** Calls `write` in a later turn of the event loop, when it is the turn of the connection's account. */
  readonly sliceSoon: (write: () => void) => void;
  /** No request is in flight, and all replies are written; some may be unread. */
  readonly onIdle: () => void;
  /** The connection closes after the last request that was taken. */
  readonly closes: () => boolean;
}

/** Of a head, about. */
const headBytes = 256;

export class LaneReplies implements ReplyLine, TurnWriter {
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
  /** To be written before that, slice by slice. */
  readonly #large = new Slices();
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

  reply(exchange: LaneExchange, reply: ReplyToWrite): void {
    const isLast = this.#options.closes() && exchange === this.#last;
    if (exchange !== this.#first) {
      exchange.reply = reply;
      exchange.isLast = isLast;
      this.#heldBytes += heldBytes(reply);
      return this.#countUnread(true);
    }
    this.#put(reply, isLast);
    let next = exchange.following;
    for (; next?.reply !== undefined; next = next.following) {
      this.#put(next.reply, next.isLast);
      this.#heldBytes -= heldBytes(next.reply);
    }
    this.#first = next;
    if (next === undefined) this.#last = undefined;
    // The slices before it wait for the client.
    if (this.#large.chars > 0) this.#countUnread(true);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#options.turnEnd.add(this);
  }

  /** Writes the replies of this turn, or begins to. */
  flush(): void {
    if (this.#large.chars === 0) return this.#writeOut();
    this.#writeSlice();
  }

  #put(reply: ReplyToWrite, isLast: boolean): void {
    const { body, bodyBytes, bodyChars, status } = reply;
    const head = this.#options.texts.head(reply, isLast);
    if (status === 204) return this.#append(head, true);
    const isAscii = bodyBytes === bodyChars;
    if (typeof body !== 'string') {
      this.#append(head, true);
      for (const part of body) this.#append(part, isAscii);
    } else if (body.length <= sliceChars) this.#append(head + body, isAscii);
    else {
      this.#append(head, true);
      this.#append(body, isAscii);
    }
  }

  #append(text: string, isAscii: boolean): void {
    if (this.#out.length + text.length > sliceChars) {
      this.#large.push(this.#out, this.#outIsAscii);
      this.#out = '';
      this.#outIsAscii = true;
      if (text.length > sliceChars) return this.#large.push(text, isAscii);
    }
    this.#out += text;
    this.#outIsAscii &&= isAscii;
  }

  #writeOut(): void {
    const socket = this.#socket;
    const text = this.#out;
    this.#flushing = false;
    this.#out = '';
    if (socket.destroyed || socket.writableEnded) return;
    socket.write(text, this.#outIsAscii ? 'latin1' : 'utf8');
    this.#outIsAscii = true;
    if (socket.writableLength > 0 || this.#unreadBytes > 0) this.#countUnread(true);
    if (this.#first === undefined) this.#options.onIdle();
  }

  readonly #writeSlice = (): void => {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) this.#large.clear();
    const slice = this.#large.take();
    if (slice === undefined) return this.#writeOut();
    socket.write(slice.text, slice.encoding);
    this.#countUnread(false);
    if (socket.writableNeedDrain) socket.once('drain', () => this.#options.sliceSoon(this.#writeSlice));
    else this.#options.sliceSoon(this.#writeSlice);
  };

  /** @param isAnother there is one more reply, see `lags` */
  #countUnread(isAnother: boolean): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const bytes = this.#heldBytes + this.#large.chars + socket.writableLength;
    const more = bytes - this.#unreadBytes;
    this.#unreadBytes = bytes;
    if (more > 0) this.order.unread(more);
    else this.order.read(-more);
    this.#options.unread.lags(socket, bytes, isAnother);
    if (socket.writableLength === 0 || this.#countsWrites || socket.writableEnded) return;
    this.#countsWrites = true;
    // Called when all before it has left.
    socket.write('', 'latin1', () => {
      this.#countsWrites = false;
      this.#countUnread(false);
      if (this.idle) this.#options.onIdle();
    });
  }
}

/** What a reply takes while it waits for those before it. */
function heldBytes({ bodyChars }: ReplyToWrite): number {
  return bodyChars + headBytes;
}
