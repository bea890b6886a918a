/**
 * One TCP connection, and what is under way on it. A client that hangs up must leave every queue at once, so each
 * request has to hear of it; but a listener for each request would cost more than the request. So each socket is listened
 * to once, and the requests in flight (more than one when a client pipelines) hang in a ring on it.
 */
import type { Socket } from 'node:net';
import { onSocketClose } from './on-socket-close.ts';

/** Something under way on a connection: a link of the ring. */
export interface UnderWay {
  previous: UnderWay;
  next: UnderWay;
  /** The connection has closed. */
  hangUp(): void;
}

const connectionKey = Symbol('connection');
type TrackedSocket = Socket & { [connectionKey]?: Connection };

export class Connection implements UnderWay {
  previous: UnderWay = this;
  next: UnderWay = this;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Nobody is there to read a reply: true from the moment in which the end was read, some turns before `close`. */
  get gone(): boolean {
    return this.#socket.destroyed || this.#socket.readableEnded;
  }

  static of(socket: Socket): Connection {
    const tracked = socket as TrackedSocket;
    return (tracked[connectionKey] ??= Connection.#track(tracked));
  }

  static #track(socket: Socket): Connection {
    const connection = new Connection(socket);
    if (!socket.destroyed) onSocketClose(socket, () => connection.hangUp());
    return connection;
  }

  add(entry: UnderWay): void {
    entry.previous = this.previous;
    entry.next = this;
    this.previous.next = entry;
    this.previous = entry;
  }

  /** Harmless for an entry that is not in the ring (its links lead to itself). */
  remove(entry: UnderWay): void {
    entry.previous.next = entry.next;
    entry.next.previous = entry.previous;
    entry.previous = entry;
    entry.next = entry;
  }

  hangUp(): void {
    while (this.next !== this) {
      const entry = this.next;
      this.remove(entry);
      entry.hangUp();
    }
  }
}
