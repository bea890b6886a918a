/**
 * One keep-alive connection with one request at a time, over a bare socket: as cheap as Node allows, because it shares
 * the machine with the server. It understands replies with Content-Length, chunked replies and 204, and no others.
 */
import net from 'node:net';
import { originOf } from './load-spec.ts';
import type { HttpRequest, HttpReply, Target } from './types.ts';

const chunked = /\r\ntransfer-encoding: *chunked/i;

export class HttpConnection {
  readonly #socket: net.Socket;
  readonly #headers: string;
  #onReply: ((reply: HttpReply) => void) | undefined;
  #received = '';
  /** Characters of the whole reply; 0 while its head is incomplete, -1 if it is chunked. */
  #replyLength = 0;
  #bodyAt = 0;

  private constructor(socket: net.Socket, headers: string, onError: (error: Error) => void) {
    this.#socket = socket;
    this.#headers = headers;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', onError);
    socket.on('close', () => {
      if (this.#onReply !== undefined) onError(new Error('The server closed a connection in the middle of a request'));
    });
  }

  static open(target: Omit<Target, 'dialect'>, onError: (error: Error) => void): Promise<HttpConnection> {
    const { host, port, token } = target;
    const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
    const headers = `Host: ${new URL(originOf(target)).host}\r\n${authorization}`;
    return new Promise((resolve) => {
      const socket = net.connect({ host, port, noDelay: true }, () => resolve(connection));
      const connection = new HttpConnection(socket, headers, onError);
    });
  }

  send({ method = 'POST', path, body }: HttpRequest, onReply: (reply: HttpReply) => void): void {
    this.#onReply = onReply;
    const type = body === '' ? '' : 'Content-Type: application/json\r\n';
    const length = method === 'POST' ? `Content-Length: ${body.length}\r\n` : '';
    this.#socket.write(`${method} ${path} HTTP/1.1\r\n${this.#headers}${type}${length}\r\n${body}`, 'latin1');
  }

  close(): void {
    this.#onReply = undefined;
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received = this.#received === '' ? text : this.#received + text;
    if (this.#replyLength === 0 && !this.#readHead()) return;
    if (this.#replyLength < 0) {
      if (!this.#received.endsWith('0\r\n\r\n')) return;
      this.#reply(withoutChunks(this.#received.slice(this.#bodyAt)));
    } else if (this.#received.length >= this.#replyLength) {
      this.#reply(this.#received.slice(this.#bodyAt, this.#replyLength));
    }
  }

  #reply(body: string): void {
    const reply = { status: Number(this.#received.slice(9, 12)), body };
    const onReply = this.#onReply;
    this.#received = '';
    this.#replyLength = 0;
    this.#onReply = undefined;
    onReply?.(reply);
  }

  #readHead(): boolean {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const head = this.#received.slice(0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    this.#bodyAt = end + 4;
    this.#replyLength = length === undefined && chunked.test(head) ? -1 : this.#bodyAt + Number(length ?? 0);
    return true;
  }
}

function withoutChunks(text: string): string {
  let body = '';
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    const length = Number.parseInt(text.slice(at, lineEnd), 16);
    if (!(length > 0)) return body;
    body += text.slice(lineEnd + 2, lineEnd + 2 + length);
    at = lineEnd + 2 + length + 2;
  }
}
