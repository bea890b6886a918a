/** Requests as bytes, many of them for one write to a socket, and the replies as they come back. */
import { once } from 'node:events';
import net from 'node:net';
import type { HttpCall } from './http-calls.ts';

/** How a request says where its body ends. */
export type Framing = 'length' | 'chunked' | 'expect';

export interface PipelinedReply {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

/** A body is sent as JSON; a Buffer as it is. */
export function callBytes({ method, target, body, headers = {} }: HttpCall, framing: Framing = 'length'): Buffer {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: localhost'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body === undefined) return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
  const text: Buffer = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  lines.push('Content-Type: application/json');
  if (framing === 'expect') lines.push('Expect: 100-continue');
  if (framing !== 'chunked') {
    lines.push(`Content-Length: ${text.length}`);
    return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), text]);
  }
  lines.push('Transfer-Encoding: chunked');
  const half = Math.ceil(text.length / 2);
  const chunks = [text.subarray(0, half), text.subarray(half)].filter(({ length }) => length > 0);
  const framed = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk.toString('latin1')}\r\n`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${framed.join('')}0\r\n\r\n`, 'latin1');
}

/** A connection that writes what it is told and collects the replies, in order, interim ones left out. */
export class Pipeline {
  readonly socket: net.Socket;
  readonly replies: PipelinedReply[] = [];
  #received = Buffer.alloc(0);
  #look: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#parse();
      this.#look();
    });
    socket.on('close', () => this.#look());
    socket.on('error', () => {});
  }

  static async open(port: number): Promise<Pipeline> {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    return new Pipeline(socket);
  }

  /** Resolves with all replies since the last call once there are `count`. @throws if the connection ends before */
  async take(count: number): Promise<PipelinedReply[]> {
    while (this.replies.length < count) {
      if (this.socket.destroyed)
        throw new Error(`the connection ended after ${this.replies.length} of ${count} replies`);
      await new Promise<void>((resolve) => (this.#look = resolve));
    }
    return this.replies.splice(0);
  }

  #parse(): void {
    for (;;) {
      const headEnd = this.#received.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const headers = this.#received.toString('latin1', 0, headEnd);
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(headers)?.[1] ?? 0);
      const end = headEnd + 4 + length;
      if (this.#received.length < end) return;
      const status = Number(headers.slice(9, 12));
      const body = this.#received.toString('utf8', headEnd + 4, end);
      this.#received = this.#received.subarray(end);
      if (status >= 200) this.replies.push({ status, headers, body });
    }
  }
}
