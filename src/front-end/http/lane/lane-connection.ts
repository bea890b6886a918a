/**
 * One connection of the fast lane. It reads requests, begins them, and writes their replies in order, all those of a
 * turn at once.
 *
 *     open ──a request that is not plain, or late, or the server does not serve──► leaving ──all replies written──► Node's
 *       └──end, error, hang-up, the server closes──► closed
 *
 * A connection that leaves is Node's for good, with every byte from the first request on that the lane has not taken.
 * While requests may not begin (`RequestOrder`), and while the client does not read, the bytes of later ones are kept
 * and the socket is not read. A turn of the event loop begins only so many requests of one connection: a chunk of 64 KiB
 * may hold 1,600 of them.
 */
import type { Socket } from 'node:net';
import { beginCall } from '../data-route.ts';
import { refusedMedia } from '../media-type.ts';
import { onSocketClose } from '../sockets/on-socket-close.ts';
import type { RequestOrder } from '../sockets/request-order.ts';
import type { HandOver } from '../../request-metrics.ts';
import { LaneExchange } from './lane-exchange.ts';
import type { TurnEnd } from '../../turn-end.ts';
import { LaneReplies } from './lane-replies.ts';
import type { LaneRequest } from './lane-request.ts';
import type { ReplyTexts } from './reply-text.ts';
import { RequestReader, type ReaderOptions } from './request-reader.ts';
import type { RouteContext } from '../route-context.ts';

/** What a connection has of the lane that it is in. Times are in milliseconds. */
export interface ConnectionLane {
  readonly context: RouteContext;
  readonly texts: ReplyTexts;
  readonly idleMs: number;
  readonly slowMs: number;
  readonly sweepMs: number;
  /** When the last sweep was. */
  readonly sweptAt: number;
  /** Requests are taken; if not, Node's server has to answer them. */
  readonly serving: boolean;
  /** The server closes. */
  readonly closing: boolean;
  /** Answers a connection that is broken. */
  readonly failed: (error: Error, socket: Socket) => void;
  readonly turnEnd: TurnEnd;
  /** Gives a socket to Node's server, with bytes that were read from it already. */
  handOver(socket: Socket, rest: Buffer): void;
  forget(connection: LaneConnection): void;
  /** How requests of this connection are read. */
  reading(socket: Socket): ReaderOptions;
}

/** Requests of one connection that a turn of the event loop takes. */
const takenMax = 16;
/** A connection that leaves is read until it keeps so much; only so is a hang-up noticed while a request waits. */
const keptBytesMax = 64 * 1024;

export class LaneConnection {
  readonly socket: Socket;
  readonly replies: LaneReplies;
  readonly #lane: ConnectionLane;
  readonly #reader: RequestReader;
  readonly #order: RequestOrder;
  #state: 'open' | 'leaving' | 'closed' = 'open';
  #whyLeaving: HandOver = 'head';
  #advancing = false;
  /** A later turn goes on with what is kept. */
  #deferred = false;
  #paused = false;
  #holds = false;
  #hasRequested = false;
  /** By the clock of the lane's sweep: since when it is idle, or has kept a request that is not whole. */
  #since: number;

  constructor(lane: ConnectionLane, socket: Socket) {
    this.#lane = lane;
    this.socket = socket;
    const { texts, context } = lane;
    this.replies = new LaneReplies(socket, {
      texts,
      unread: context.unread,
      turnEnd: lane.turnEnd,
      sliceSoon: (write) => setImmediate(() => context.turns.run(this.replies.disconnects.account ?? '', write)),
      onIdle: () => this.#onIdle(),
      closes: () => lane.closing && this.#reader.keptBytes === 0,
    });
    this.#order = this.replies.order;
    this.#reader = new RequestReader(socket, lane.reading(socket));
    this.#since = lane.sweptAt;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('drain', this.#advance);
    socket.on('error', this.#onError);
    socket.on('timeout', this.#onTimeout);
    onSocketClose(socket, () => this.#onClose());
  }

  /** The bytes that are not whole requests are too many for the server (`limits.arriving_bytes_max`). */
  giveUp(): void {
    this.#holds = false;
    if (!this.replies.idle) return void this.socket.destroy();
    // Not within the count of bytes that has chosen this one.
    process.nextTick(() => this.#leave('slow'));
  }

  /** Once a second or more often. */
  sweep(): void {
    const { socket } = this;
    // Another may have taken its input: it is one connection too many, and is being refused.
    if (this.#state !== 'open' || socket.listenerCount('data', this.#onData) === 0) return;
    if (!this.replies.idle || !this.replies.read || this.#deferred) return;
    const { sweptAt, slowMs, idleMs, sweepMs } = this.#lane;
    // What happened after a sweep has the time of that sweep.
    const ms = sweptAt - this.#since - sweepMs;
    if (this.#reader.keptBytes > 0 || !this.#hasRequested) {
      if (ms >= slowMs) this.#leave('slow');
    } else if (ms >= idleMs) {
      socket.destroySoon();
    }
  }

  /** The server closes: an idle connection at once, one at work after its last reply. */
  close(): void {
    if (this.replies.idle) this.socket.destroySoon();
  }

  readonly #onData = (chunk: Buffer<ArrayBuffer>): void => {
    if (this.#reader.keptBytes === 0) this.#since = this.#lane.sweptAt;
    this.#reader.give(chunk);
    if (this.#state === 'open') this.#advance();
    else this.#keep(this.#reader.keptBytes >= keptBytesMax);
  };

  readonly #onEnd = (): void => {
    const { socket } = this;
    // Node's parser says what is wrong with half a request.
    if (this.#reader.keptBytes > 0 && !this.#lane.closing) this.#leave('head');
    if (this.#state !== 'closed') socket.end();
    else if (!socket.destroyed) socket.emit('end');
  };

  readonly #onError = (error: Error): void => this.#lane.failed(error, this.socket);

  readonly #onTimeout = (): void => void this.socket.destroy();

  #onClose(): void {
    if (this.#state !== 'closed') this.#forget();
  }

  /** Takes the requests that are kept, as far as they may begin now. */
  readonly #advance = (): void => {
    if (this.#advancing || this.#deferred || this.#state !== 'open') return;
    this.#advancing = true;
    let taken = 0;
    let more = this.#reader.keptBytes > 0;
    let waits = false;
    while (more) {
      if (this.socket.destroyed || this.socket.readableEnded) break;
      waits = !this.#order.idle || this.socket.writableNeedDrain || taken === takenMax;
      if (waits) break;
      const request = this.#lane.serving ? this.#reader.next() : 'state';
      if (typeof request === 'string') {
        if (request !== 'incomplete') this.#leave(request);
        break;
      }
      taken += 1;
      this.#take(request);
      more = this.#reader.keptBytes > 0;
    }
    this.#advancing = false;
    if (this.#state !== 'open') return;
    if (more || this.#holds || this.#paused) this.#keep(waits);
    if (!waits) return;
    if (!this.#order.idle) this.#order.onceIdle(this.#advance);
    else if (!this.socket.writableNeedDrain) this.#defer();
  };

  #take(request: LaneRequest): void {
    const { call } = request;
    const order = this.#order;
    order.enter();
    this.#hasRequested = true;
    const exchange = new LaneExchange(call.context, call.operation, this.replies);
    exchange.request = request;
    this.replies.add(exchange);
    const refused =
      call.gate(request) ?? (request.body === undefined ? undefined : refusedMedia(request.headers, call.text));
    if (refused === undefined) return beginCall(call, request, exchange, order);
    exchange.refuse(refused);
    order.leave();
  }

  #defer(): void {
    this.#deferred = true;
    setImmediate(() => {
      this.#deferred = false;
      this.#advance();
    });
  }

  /** Counts the bytes that are kept. @param pause whether to read no more for now */
  #keep(pause: boolean): void {
    const { keptBytes } = this.#reader;
    const { arriving } = this.#lane.context;
    this.#holds = keptBytes > 0;
    if (this.#holds) arriving.hold(this, keptBytes, this.replies.disconnects.account);
    else arriving.release(this);
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.socket.pause();
    else this.socket.resume();
  }

  #leave(why: HandOver): void {
    if (this.#state !== 'open') return;
    this.#state = 'leaving';
    this.#whyLeaving = why;
    if (!this.#handsOver()) this.#keep(this.#reader.keptBytes >= keptBytesMax);
  }

  /** All replies are written. */
  #onIdle(): void {
    this.#since = this.#lane.sweptAt;
    if (this.#state === 'leaving') this.#handsOver();
    else if (this.#state === 'open' && this.#lane.closing && this.#reader.keptBytes === 0) this.socket.destroySoon();
  }

  /** Hands the socket over, if all earlier replies are written and read. */
  #handsOver(): boolean {
    if (!this.replies.idle || !this.replies.read) return false;
    const { socket } = this;
    this.#forget();
    if (socket.destroyed) return true;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('drain', this.#advance);
    socket.off('error', this.#onError);
    socket.off('timeout', this.#onTimeout);
    this.#lane.context.metrics.countHandOver(this.#whyLeaving);
    this.#lane.handOver(socket, this.#reader.takeRest());
    if (this.#paused) socket.resume();
    return true;
  }

  #forget(): void {
    this.#state = 'closed';
    this.#lane.forget(this);
    this.#lane.context.arriving.release(this);
  }
}
