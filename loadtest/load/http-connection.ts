/**
 * One keep-alive connection and one request at a time, over a bare socket: a client as cheap as Node allows, because it
 * shares the machine with the server. It understands what our server sends, Content-Length or 204, and no more.
 */
import net from 'node:net';

export interface HttpReply {
  readonly status: number;
  readonly body: string;
}

export class HttpConnection {
  readonly #socket: net.Socket;
  #onReply: ((reply: HttpReply) => void) | undefined;
  #received = '';
  /** Characters of `#received` that make the whole reply; 0 while its head is incomplete. */
  #wanted = 0;
  #bodyAt = 0;

  private constructor(socket: net.Socket, onError: (error: Error) => void) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', onError);
    socket.on('close', () => {
      if (this.#onReply !== undefined) onError(new Error('The server closed a connection in the middle of a request'));
    });
  }

  static open(port: number, onError: (error: Error) => void): Promise<HttpConnection> {
    return new Promise((resolve) => {
      const socket = net.connect({ host: '127.0.0.1', port, noDelay: true }, () => resolve(connection));
      const connection = new HttpConnection(socket, onError);
    });
  }

  /** @param path and body are ASCII. */
  post(path: string, body: string, onReply: (reply: HttpReply) => void): void {
    this.#onReply = onReply;
    const type = body === '' ? '' : 'Content-Type: application/json\r\n';
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${type}Content-Length: ${body.length}\r\n\r\n${body}`,
      'latin1',
    );
  }

  close(): void {
    this.#onReply = undefined;
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received = this.#received === '' ? text : this.#received + text;
    if (this.#wanted === 0 && !this.#readHead()) return;
    if (this.#received.length < this.#wanted) return;
    const reply = {
      status: Number(this.#received.slice(9, 12)),
      body: this.#received.slice(this.#bodyAt, this.#wanted),
    };
    const onReply = this.#onReply!;
    this.#received = '';
    this.#wanted = 0;
    this.#onReply = undefined;
    onReply(reply);
  }

  #readHead(): boolean {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#received.slice(0, end))?.[1];
    this.#bodyAt = end + 4;
    this.#wanted = this.#bodyAt + Number(length ?? 0);
    return true;
  }
}
