/**
 * A Redis client with nothing hidden: commands as bytes, replies as they came. It has a decoder of its own, so that a
 * reply that no client could read fails the test. Replies come in the order of commands; pushes (RESP3) are kept apart.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';

/** Anything longer is a hang; a machine may be very busy. */
const patienceMs = 30_000;

/** A reply that is an error. */
export class RespFailure {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export type RespReply = string | number | null | RespFailure | RespReply[] | Map<RespReply, RespReply>;

interface Decoded {
  readonly value: RespReply;
  readonly isPush: boolean;
  readonly end: number;
}

/** Decodes one reply; undefined: it is not complete. */
export function decodeReply(bytes: Buffer, at: number): Decoded | undefined {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const kind = String.fromCharCode(bytes[at]!);
  const line = bytes.toString('utf8', at + 1, lineEnd);
  const end = lineEnd + 2;
  const plain = (value: RespReply): Decoded => ({ value, isPush: false, end });
  switch (kind) {
    case '+':
      return plain(line);
    case '-':
      return plain(new RespFailure(line));
    case ':':
      assert.match(line, /^-?\d+$/);
      return plain(Number(line));
    case '_':
      return plain(null);
    case '$':
    case '=': {
      assert.match(line, /^(-1|0|[1-9]\d*)$/);
      if (line === '-1') return plain(null);
      const last = end + Number(line);
      if (bytes.length < last + 2) return undefined;
      assert.equal(bytes.toString('latin1', last, last + 2), '\r\n', 'a bulk ends with CRLF');
      const value = bytes.subarray(end + (kind === '=' ? 4 : 0), last);
      return { value: value.toString(isText(value) ? 'utf8' : 'latin1'), isPush: false, end: last + 2 };
    }
    case '*':
    case '~':
    case '>':
    case '%': {
      assert.match(line, /^(-1|0|[1-9]\d*)$/);
      if (line === '-1') return plain(null);
      return decodeItems(bytes, end, Number(line) * (kind === '%' ? 2 : 1), kind);
    }
    default:
      return assert.fail(`no reply begins with ${JSON.stringify(kind)}: ${bytes.toString('latin1', at, at + 100)}`);
  }
}

function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}

function decodeItems(bytes: Buffer, start: number, count: number, kind: string): Decoded | undefined {
  const items: RespReply[] = [];
  let end = start;
  for (let i = 0; i < count; i += 1) {
    const item = decodeReply(bytes, end);
    if (item === undefined) return undefined;
    items.push(item.value);
    end = item.end;
  }
  if (kind !== '%') return { value: items, isPush: kind === '>', end };
  const map = new Map(items.flatMap((item, i) => (i % 2 === 0 ? [[item, items[i + 1]!] as const] : [])));
  return { value: map, isPush: false, end };
}

/** Returns a command as clients send it. */
export function commandBytes(args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const argument of args) {
    const bytes = Buffer.isBuffer(argument) ? argument : Buffer.from(String(argument));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

export class RespClient {
  readonly socket: net.Socket;
  readonly pushes: RespReply[] = [];
  /** Resolves when the connection is closed, by either side. */
  readonly closed: Promise<void>;
  #received: Buffer = Buffer.alloc(0);
  #waiting: ((reply: RespReply | undefined) => void)[] = [];
  #unasked: RespReply[] = [];
  #onPush: (() => void)[] = [];
  #isClosed = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk)).on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        for (const answer of this.#waiting.splice(0)) answer(undefined);
        for (const look of this.#onPush.splice(0)) look();
        resolve();
      });
    });
  }

  static async open(port: number): Promise<RespClient> {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    const client = new RespClient(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Sends a command. @returns the reply; undefined if the connection ends without one */
  call(...args: readonly (string | number | Buffer)[]): Promise<RespReply | undefined> {
    const reply = this.reply();
    this.socket.write(commandBytes(args));
    return reply;
  }

  /** Sends a command that must succeed. */
  async ok(...args: readonly (string | number | Buffer)[]): Promise<RespReply> {
    const reply = await this.call(...args);
    if (reply instanceof RespFailure) assert.fail(`${args.join(' ').slice(0, 200)} → -${reply.message}`);
    assert(reply !== undefined, `${args.join(' ').slice(0, 200)}: the connection ended`);
    return reply;
  }

  /** Sends a command that must fail with a message that fits. */
  async fails(message: RegExp, ...args: readonly (string | number | Buffer)[]): Promise<void> {
    const reply = await this.call(...args);
    assert(reply instanceof RespFailure, `${args.join(' ').slice(0, 200)} → ${JSON.stringify(reply)}`);
    assert.match(reply.message, message);
  }

  /** The next reply that no call waits for. */
  reply(): Promise<RespReply | undefined> {
    const early = this.#unasked.shift();
    if (early !== undefined) return Promise.resolve(early);
    if (this.#isClosed) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no reply within ${patienceMs} ms`)), patienceMs);
      this.#waiting.push((reply) => {
        clearTimeout(timer);
        resolve(reply);
      });
    });
  }

  /** Resolves when so many pushes have come. */
  async pushed(count: number): Promise<void> {
    while (this.pushes.length < count) {
      assert(!this.#isClosed, 'the connection is open');
      await new Promise<void>((resolve) => this.#onPush.push(resolve));
    }
  }

  close(): void {
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#received, chunk]);
    let at = 0;
    for (;;) {
      const decoded = at < this.#received.length ? decodeReply(this.#received, at) : undefined;
      if (decoded === undefined) break;
      at = decoded.end;
      if (decoded.isPush) {
        this.pushes.push(decoded.value);
        for (const look of this.#onPush.splice(0)) look();
        continue;
      }
      const answer = this.#waiting.shift();
      if (answer === undefined) this.#unasked.push(decoded.value);
      else answer(decoded.value);
    }
    this.#received = this.#received.subarray(at);
  }
}
