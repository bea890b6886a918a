/**
 * Limits for clients that do not read. The part of a reply that the kernel does not accept stays in our memory, and
 * only the client decides for how long. So both have a limit. A connection that reads nothing for `stallMs` while data
 * waits for it is closed. When more than `bytesMax` of replies wait, the connections that have lagged longest are
 * closed (byte-budget.ts). Only the reply is lost: the client asks again, as after any broken connection.
 *
 * Event streams share only the stall limit; each has a limit of its own (`stream_buffer_bytes_max`).
 */
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { ByteBudget } from '../../byte-budget.ts';
import { onSocketClose } from './on-socket-close.ts';

export interface UnreadRepliesOptions {
  readonly bytesMax: number;
  readonly stallMs: number;
}

export class UnreadReplies {
  readonly #stallMs: number;
  /** Of connections that lag. */
  readonly #unread: ByteBudget<Socket>;
  /** Sockets that have lagged once. Each is watched once for its life, not once for each reply that it read slowly. */
  readonly #watched = new WeakSet<Socket>();

  constructor({ bytesMax, stallMs }: UnreadRepliesOptions) {
    this.#stallMs = stallMs;
    this.#unread = new ByteBudget(bytesMax, (socket) => socket.destroy());
  }

  /** Call after a whole reply of `bytes` was written; nearly always the kernel has accepted it already. */
  written(res: ServerResponse, bytes: number): void {
    if (res.writableLength === 0) return;
    const { socket } = res.req;
    // An injected request has none.
    if (!(socket instanceof Socket)) return;
    this.stallEnds(socket);
    if (socket.destroyed) return;
    if (!this.#watched.has(socket)) {
      this.#watched.add(socket);
      onSocketClose(socket, () => this.#unread.release(socket));
    }
    // After `finish`, Node sets the timeout of an idle connection.
    res.once('finish', () => this.#taken(socket, bytes));
    this.#unread.hold(socket, this.#unread.heldFor(socket) + bytes);
  }

  /** Closes the connection from now on when none of the waiting data moves for `stallMs`. */
  stallEnds(socket: Socket): void {
    // Node sees progress within a write too, and destroys the socket if there is no listener for the timeout.
    socket.setTimeout(this.#stallMs);
  }

  #taken(socket: Socket, bytes: number): void {
    const left = this.#unread.heldFor(socket) - bytes;
    if (left > 0) this.#unread.hold(socket, left);
    else this.#unread.release(socket);
  }
}
