/**
 * One TCP connection to the server, with full control over it: bytes at any pace, reading or not, pipelined requests,
 * an end by FIN or by RST. It is cheap enough for ten thousand of them. It understands replies with a Content-Length or
 * 204; they come in the order of the requests.
 */
import { once } from 'node:events';
import net from 'node:net';

export interface RawReply {
  readonly status: number;
  readonly body: string;
  /** performance.now() */
  readonly at: number;
}

export interface RawOptions {
  /** Does not read what arrives. */
  readonly deaf?: boolean;
}

export class RawConnection {
  readonly socket: net.Socket;
  /** Resolves when it is closed, by either side. */
  readonly closed: Promise<void>;
  #waiting: ((reply: RawReply | undefined) => void)[] = [];
  /** Replies that no call waited for, such as the reply to an incomplete request. */
  readonly unasked: RawReply[] = [];
  #received = '';

  private constructor(socket: net.Socket, { deaf = false }: RawOptions) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const answer of waiting) answer(undefined);
        resolve();
      });
    });
    if (!deaf) socket.setEncoding('latin1').on('data', (text: string) => this.#take(text));
  }

  /** @returns undefined if no server listens there */
  static async open(port: number, options: RawOptions = {}): Promise<RawConnection | undefined> {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    const connection = new RawConnection(socket, options);
    try {
      await once(socket, 'connect');
    } catch {
      return undefined;
    }
    socket.on('error', () => {});
    return connection;
  }

  /** @returns the reply; undefined if the connection ends without one. @param body ASCII */
  ask(method: string, target: string, body?: unknown): Promise<RawReply | undefined> {
    const reply = this.reply();
    this.socket.write(requestBytes(method, target, body));
    return reply;
  }

  reply(): Promise<RawReply | undefined> {
    if (this.socket.destroyed) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #take(text: string): void {
    this.#received += text;
    for (;;) {
      const headEnd = this.#received.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#received.slice(0, headEnd))?.[1] ?? 0);
      const end = headEnd + 4 + length;
      if (this.#received.length < end) return;
      const body = this.#received.slice(headEnd + 4, end);
      const reply = { status: Number(this.#received.slice(9, 12)), body, at: performance.now() };
      this.#received = this.#received.slice(end);
      const answer = this.#waiting.shift();
      if (answer === undefined) this.unasked.push(reply);
      else answer(reply);
    }
  }
}

export function requestBytes(method: string, target: string, body?: unknown): string {
  const text = body === undefined ? '' : JSON.stringify(body);
  const type = body === undefined ? '' : 'Content-Type: application/json\r\n';
  return `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${type}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** Opens many connections, a few at a time, since a backlog is limited. @throws if one cannot be opened */
export async function openMany(port: number, count: number, options: RawOptions = {}): Promise<RawConnection[]> {
  const opened: RawConnection[] = [];
  while (opened.length < count) {
    const some = Math.min(250, count - opened.length);
    for (const one of await Promise.all(Array.from({ length: some }, () => RawConnection.open(port, options)))) {
      if (one === undefined) throw new Error(`Connection ${opened.length + 1} of ${count} was refused`);
      opened.push(one);
    }
  }
  return opened;
}

export async function closeAll(connections: readonly RawConnection[]): Promise<void> {
  for (const { socket } of connections) socket.destroy();
  await Promise.all(connections.map(({ closed }) => closed));
}
