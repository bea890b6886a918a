/**
 * Clients that do not read. What the kernel does not take of a reply stays in our memory, and only the client decides for
 * how long. So both have an end: a connection that takes nothing of what waits for it for `stallMs` is closed; and when
 * more than `bytesMax` of replies wait, those connections are closed that are behind for longest. (Oldest first, because
 * a client that reads is soon done, and one that does not grows old.) Nothing is lost with the connection but the reply:
 * a client that comes back asks again, as after any broken connection.
 *
 * Event streams have a limit of their own, for each stream (`stream_buffer_bytes_max`), and only the stall in common.
 */
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';

export interface UnreadRepliesOptions {
  readonly bytesMax: number;
  readonly stallMs: number;
}

export class UnreadReplies {
  readonly #options: UnreadRepliesOptions;
  /** Those that are behind, longest first → bytes of their replies. */
  readonly #behind = new Map<Socket, number>();
  #bytes = 0;

  constructor(options: UnreadRepliesOptions) {
    this.#options = options;
  }

  /** A whole reply of so many bytes was written; nearly always the kernel has taken it already. */
  written(res: ServerResponse, bytes: number): void {
    if (res.writableLength === 0) return;
    const { socket } = res.req;
    // A request that was injected has none.
    if (!(socket instanceof Socket)) return;
    this.stallEnds(socket);
    if (!this.#behind.has(socket)) socket.once('close', () => this.#forget(socket));
    this.#add(socket, bytes);
    // Behind `finish`, Node sets the timeout of an idle connection.
    res.once('finish', () => this.#add(socket, -bytes));
    for (const [oldest] of this.#behind) {
      // The newest stays, however large: one reply has limits of its own.
      if (this.#bytes <= this.#options.bytesMax || oldest === socket) break;
      this.#forget(oldest);
      oldest.destroy();
    }
  }

  /** From now on the connection is closed when none of what waits for its client moves for `stallMs`. */
  stallEnds(socket: Socket): void {
    // Node sees progress within a write too, and destroys the socket if nobody listens for the timeout.
    socket.setTimeout(this.#options.stallMs);
  }

  #add(socket: Socket, bytes: number): void {
    if (socket.destroyed) return;
    this.#bytes += bytes;
    const sum = (this.#behind.get(socket) ?? 0) + bytes;
    if (sum > 0) this.#behind.set(socket, sum);
    else this.#behind.delete(socket);
  }

  #forget(socket: Socket): void {
    this.#bytes -= this.#behind.get(socket) ?? 0;
    this.#behind.delete(socket);
  }
}
