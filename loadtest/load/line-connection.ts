/**
 * The protocols of Redis and NATS over a bare socket, one request at a time, as far as the rows need them. A reply has
 * the form of an HTTP reply: status 200, or 500 with the server's message.
 */
import net from 'node:net';
import type { Command, HttpReply, Target } from './types.ts';

export interface LineConnection {
  send(request: { readonly command: Command }, onReply: (reply: HttpReply) => void): void;
  close(): void;
}

type OnError = (error: Error) => void;

export function openRedis({ host, port }: Target, onError: OnError): Promise<LineConnection> {
  return new Promise((resolve) => {
    const onOpen = (): void => resolve(connection);
    const connection = new LinesOverSocket({ host, port, parse: redisReply, onError, onOpen });
    connection.encode = (command) =>
      `*${command.length}\r\n${command.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
  });
}

/** Returns undefined while the reply is incomplete. */
function redisReply(text: string): HttpReply | undefined {
  const end = text.indexOf('\r\n');
  if (end < 0) return undefined;
  const line = text.slice(1, end);
  if (text[0] === '-') return { status: 500, body: line };
  if (text[0] === '*') return listReply(text, Number(line));
  if (text[0] !== '$' || line === '-1') return { status: 200, body: line };
  const bodyEnd = end + 2 + Number(line);
  return text.length < bodyEnd + 2 ? undefined : { status: 200, body: text.slice(end + 2, bodyEnd) };
}

/** A list of integers and nils, each on a line of its own. */
function listReply(text: string, items: number): HttpReply | undefined {
  const lines = text.split('\r\n');
  return lines.length < items + 2 ? undefined : { status: 200, body: lines.slice(1, items + 1).join(' ') };
}

let inboxes = 0;

export function openNats({ host, port }: Target, onError: OnError): Promise<LineConnection> {
  const inbox = `_INBOX.${process.pid}.${inboxes++}`;
  return new Promise((resolve) => {
    const onOpen = (): void => {
      connection.encode = ([hello]) => hello!;
      const hello = `CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${inbox} 1\r\nPING\r\n`;
      connection.send({ command: [hello] }, ({ status, body }) => {
        if (status !== 200) return onError(new Error(`NATS refused the connection: ${body}`));
        connection.encode = ([subject, payload]) => `PUB ${subject} ${inbox} ${payload!.length}\r\n${payload}\r\n`;
        resolve(connection);
      });
    };
    const connection = new LinesOverSocket({ host, port, parse: natsReply, onError, onOpen });
  });
}

/** Skips lines that are no answer: the greeting INFO, and PING, which a busy connection need not answer. */
function natsReply(text: string): HttpReply | undefined {
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = text.slice(at, end);
    if (line.startsWith('-ERR')) return { status: 500, body: line };
    if (line === 'PONG') return { status: 200, body: '' };
    if (line.startsWith('MSG ')) {
      const length = Number(line.slice(line.lastIndexOf(' ') + 1));
      if (text.length < end + 2 + length + 2) return undefined;
      const body = text.slice(end + 2, end + 2 + length);
      return { status: body.includes('"error"') ? 500 : 200, body };
    }
    at = end + 2;
  }
}

interface LineProtocol {
  readonly host: string;
  readonly port: number;
  /** Returns undefined while the reply is incomplete. */
  readonly parse: (text: string) => HttpReply | undefined;
  readonly onError: OnError;
  readonly onOpen: () => void;
}

class LinesOverSocket implements LineConnection {
  encode: (command: Command) => string = () => '';
  readonly #socket: net.Socket;
  #onReply: ((reply: HttpReply) => void) | undefined;
  #received = '';

  constructor({ host, port, parse, onError, onOpen }: LineProtocol) {
    this.#socket = net.connect({ host, port, noDelay: true }, onOpen);
    this.#socket.setEncoding('latin1');
    this.#socket.on('error', onError);
    this.#socket.on('close', () => {
      if (this.#onReply !== undefined) onError(new Error('The server closed a connection in the middle of a request'));
    });
    this.#socket.on('data', (text: string) => {
      this.#received += text;
      const reply = parse(this.#received);
      if (reply === undefined) return;
      const onReply = this.#onReply;
      this.#received = '';
      this.#onReply = undefined;
      onReply?.(reply);
    });
  }

  send({ command }: { readonly command: Command }, onReply: (reply: HttpReply) => void): void {
    this.#onReply = onReply;
    this.#socket.write(this.encode(command), 'latin1');
  }

  close(): void {
    this.#onReply = undefined;
    this.#socket.destroy();
  }
}
