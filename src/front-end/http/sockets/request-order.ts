/**
 * Begins the requests of one connection in the order in which they were sent. A request begins when its message is
 * handed to the router, which keeps the order from there on. Node does not keep it up to there: it parses as many heads
 * as one read brings, and a body ends some ticks after its last byte. So a request without a body would begin before
 * one with a body that was sent first.
 *
 *   idle ──enter──► taken: checked, its body read ──leave──► begun: the next of those that wait is taken, or idle
 *
 * While one is taken, those that follow wait here, unread and unchecked. They never wait for a client: by HTTP's framing
 * they came after the last byte of every earlier body. Nor do they wait for the reply to a request that has begun, with
 * one exception. Watches of a prefix read the journal, not the shards, and so cannot be ordered by the router: they
 * begin when the earlier requests are answered (`afterReplies`), but for those that wait for a lock or a change.
 *
 * When the connection has closed, none of those that wait begins: what has begun is a prefix of what was sent.
 */
import type { Socket } from 'node:net';
import { Disconnects } from './disconnects.ts';

/**
 * Requests of one connection that may wait. One read of 64 KiB brings some two thousand at most, and a body is never
 * waited for longer than that; only behind a watch of a prefix may this be met. Those beyond it are refused, and once
 * Node has enough replies that cannot leave yet, it reads the connection no further.
 */
const waitingMax = 4096;

/** A request that waits for its turn. */
export interface WaitingRequest {
  /** It is its turn: takes it, as if it came now. */
  take(): void;
  /** The connection has closed before its turn came. */
  drop(): void;
}

const orderKey = Symbol('order');
type OrderedSocket = Socket & { [orderKey]?: RequestOrder };

export class RequestOrder {
  readonly #socket: Socket;
  /** Reasons why the next request may not be taken yet. */
  #taken = 0;
  #waiting: WaitingRequest[] = [];
  #advancing = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static of(socket: Socket): RequestOrder {
    const ordered = socket as OrderedSocket;
    return (ordered[orderKey] ??= new RequestOrder(socket));
  }

  /** A request that comes now is taken at once. */
  get idle(): boolean {
    return this.#taken === 0 && !this.#advancing;
  }

  /** Waits for the earlier requests to begin. Returns false when too many already do. */
  wait(request: WaitingRequest): boolean {
    if (this.#waiting.length >= waitingMax) return false;
    this.#waiting.push(request);
    return true;
  }

  /** A request is taken. Call `leave` when it has begun, or was refused. */
  enter(): void {
    this.#taken += 1;
  }

  leave(): void {
    this.#taken -= 1;
    if (this.#waiting.length > 0 && !this.#advancing) this.#advance();
  }

  /**
   * Runs `begin` once every earlier request of the connection is answered, but for those that wait. Until then no later
   * one begins.
   */
  afterReplies(begin: () => void): void {
    const earlier = Disconnects.of(this.#socket);
    if (!earlier.awaitsReply) return begin();
    this.enter();
    earlier.onLeave = () => {
      if (earlier.awaitsReply) return;
      earlier.onLeave = undefined;
      // Not within the router's call that has brought the reply.
      process.nextTick(() => {
        begin();
        this.leave();
      });
    };
  }

  /** Takes what waits, until one of them waits for its body, or for replies. */
  #advance(): void {
    this.#advancing = true;
    let next = 0;
    while (this.#taken === 0 && next < this.#waiting.length) {
      const request = this.#waiting[next]!;
      next += 1;
      if (this.#socket.destroyed) request.drop();
      else request.take();
    }
    this.#waiting.splice(0, next);
    this.#advancing = false;
  }
}
