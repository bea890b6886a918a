/**
 * Limits for clients that do not read. The part of a reply that the kernel does not accept stays in our memory, and
 * only the client decides for how long. So both have a limit. A connection that reads nothing for `stallMs` while data
 * waits for it is closed. When more than `bytesMax` wait, connections are closed: those that have lagged longest, of the
 * account that has the most unread (byte-budget.ts). Only the reply is lost: the client asks again, as after any broken
 * connection; a stream resumes from its last event.
 *
 * Counted are replies, blocks of event streams (a block that many streams have not sent is one copy, and counts once),
 * and replies to arrays of batches that are not complete.
 */
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { ByteBudget } from '../../byte-budget.ts';
import { Disconnects } from './disconnects.ts';
import { onSocketClose } from './on-socket-close.ts';
import { RequestOrder } from './request-order.ts';

export interface UnreadRepliesOptions {
  readonly bytesMax: number;
  readonly stallMs: number;
}

/** Something in memory that waits for clients. */
export interface UnreadOwner {
  /** Frees it: closes the connections that it waits for. */
  evict(): void;
}

/** What an unread reply costs besides its body: response, head, exchange. */
const replyOverheadBytes = 4 * 1024;

export class UnreadReplies {
  readonly #bytesMax: number;
  readonly #stallMs: number;
  /** Of connections that lag. */
  readonly #unread: ByteBudget<Socket | UnreadOwner>;
  /** Sockets that have lagged once. Each is watched once for its life, not once for each reply that it read slowly. */
  readonly #watched = new WeakSet<Socket>();

  constructor({ bytesMax, stallMs }: UnreadRepliesOptions) {
    this.#bytesMax = bytesMax;
    this.#stallMs = stallMs;
    this.#unread = new ByteBudget(bytesMax, (owner) => (owner instanceof Socket ? owner.destroy() : owner.evict()));
  }

  /** Call after a whole reply of `bodyBytes` was written; nearly always the kernel has accepted it already. */
  written(res: ServerResponse, bodyBytes: number): void {
    if (res.writableLength === 0) return;
    const { socket } = res.req;
    // An injected request has none.
    if (!(socket instanceof Socket)) return;
    this.stallEnds(socket);
    if (socket.destroyed) return;
    const bytes = bodyBytes + replyOverheadBytes;
    // After `finish`, Node sets the timeout of an idle connection.
    res.once('finish', () => {
      RequestOrder.of(socket).read(bodyBytes);
      this.#set(socket, this.#unread.heldFor(socket) - bytes, false);
    });
    RequestOrder.of(socket).unread(bodyBytes);
    this.#set(socket, this.#unread.heldFor(socket) + bytes, true);
  }

  /**
   * Sets how much of all replies of a connection is unread, or waits for a reply before it.
   *
   * @param isAnother there is one more reply. A reply alone may grow for a while: its text is kept until its last slice
   *   has left, and a slice that waits for the client is there twice.
   */
  lags(socket: Socket, bytes: number, isAnother: boolean): void {
    socket.setTimeout(socket.writableLength > 0 ? this.#stallMs : 0);
    this.#set(socket, bytes === 0 ? 0 : bytes + replyOverheadBytes, isAnother);
  }

  /** Counts what waits for clients and is no whole reply. */
  hold(owner: UnreadOwner, bytes: number, account: string | undefined): void {
    this.#unread.hold(owner, bytes, account);
  }

  release(owner: UnreadOwner): void {
    this.#unread.release(owner);
  }

  /** Closes the connection from now on when none of the waiting data moves for `stallMs`. */
  stallEnds(socket: Socket): void {
    // Node sees progress within a write too, and destroys the socket if there is no listener for the timeout.
    socket.setTimeout(this.#stallMs);
  }

  #set(socket: Socket, bytes: number, isAnother: boolean): void {
    if (bytes <= 0) return this.#unread.release(socket);
    if (!this.#watched.has(socket)) {
      this.#watched.add(socket);
      onSocketClose(socket, () => this.#unread.release(socket));
    }
    const before = this.#unread.heldFor(socket);
    // The limit of a connection alone: one reply may be larger, several may not.
    if (isAnother && before > 0 && bytes > before && bytes > this.#bytesMax) return void socket.destroy();
    this.#unread.hold(socket, bytes, Disconnects.of(socket).account);
  }
}
