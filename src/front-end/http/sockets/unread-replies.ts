/**
 * Clients that do not read. What the kernel does not take of a reply stays in our memory, and only the client decides for
 * how long. So both have an end: a connection that takes nothing of what waits for it for `stallMs` is closed; and when
 * more than `bytesMax` of replies wait, those connections are closed that are behind for longest (byte-budget.ts). Nothing
 * is lost with the connection but the reply: a client that comes back asks again, as after any broken connection.
 *
 * Event streams have a limit of their own, for each stream (`stream_buffer_bytes_max`), and only the stall in common.
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
  /** Of connections that are behind. */
  readonly #kept: ByteBudget<Socket>;
  /** Once behind: one listener for the connection's life, not one for each reply that it was slow to take. */
  readonly #heard = new WeakSet<Socket>();

  constructor({ bytesMax, stallMs }: UnreadRepliesOptions) {
    this.#stallMs = stallMs;
    this.#kept = new ByteBudget(bytesMax, (socket) => socket.destroy());
  }

  /** A whole reply of so many bytes was written; nearly always the kernel has taken it already. */
  written(res: ServerResponse, bytes: number): void {
    if (res.writableLength === 0) return;
    const { socket } = res.req;
    // A request that was injected has none.
    if (!(socket instanceof Socket)) return;
    this.stallEnds(socket);
    if (socket.destroyed) return;
    if (!this.#heard.has(socket)) {
      this.#heard.add(socket);
      onSocketClose(socket, () => this.#kept.forget(socket));
    }
    // Behind `finish`, Node sets the timeout of an idle connection.
    res.once('finish', () => this.#taken(socket, bytes));
    this.#kept.keeps(socket, this.#kept.of(socket) + bytes);
  }

  /** From now on the connection is closed when none of what waits for its client moves for `stallMs`. */
  stallEnds(socket: Socket): void {
    // Node sees progress within a write too, and destroys the socket if nobody listens for the timeout.
    socket.setTimeout(this.#stallMs);
  }

  #taken(socket: Socket, bytes: number): void {
    const left = this.#kept.of(socket) - bytes;
    if (left > 0) this.#kept.keeps(socket, left);
    else this.#kept.forget(socket);
  }
}
