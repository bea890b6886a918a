/**
 * What leaves on one connection: all of a turn in one write. A client that does not read is bounded as over HTTP: what
 * waits for it counts as unread, and it has a time to go on reading. Meanwhile no further command of it is begun. More
 * than a slice leaves slice by slice (`slices.ts`), each when it is the account's turn.
 */
import type { Socket } from 'node:net';
import { systemAfter } from '../../shared/clock.ts';
import { sliceChars, Slices } from '../slices.ts';
import type { TurnEnd, TurnWriter } from '../turn-end.ts';
import type { UnreadOwner, UnreadReplies } from '../http/sockets/unread-replies.ts';

const lingerMs = 1000;

export interface OutputOptions {
  readonly socket: Socket;
  readonly unread: UnreadReplies;
  /** Bytes that this client alone may leave unread. */
  readonly bytesMax: number;
  readonly account: () => string | undefined;
  /** The client reads again, or all is written. */
  readonly onFree: () => void;
  readonly turnEnd: TurnEnd;
  /** Calls `write` in a later turn of the event loop, when it is the turn of the client's account. */
  readonly sliceSoon: (write: () => void) => void;
}

export class Output implements UnreadOwner, TurnWriter {
  readonly #options: OutputOptions;
  #text = '';
  /** To be written before that, slice by slice. */
  readonly #large = new Slices();
  #flushing = false;
  /** The next slice leaves when the client has taken the last one. */
  #waitsForDrain = false;
  #lags = false;
  #waiting: (() => void)[] = [];
  #closes = false;

  constructor(options: OutputOptions) {
    this.#options = options;
    options.socket.on('drain', () => this.#drained());
    options.socket.on('timeout', () => options.socket.destroy());
  }

  /** The client has not read what was written. */
  get lags(): boolean {
    return this.#lags || this.#large.chars > 0;
  }

  /** Calls once when all is written that waits now. */
  whenFree(run: () => void): void {
    this.#waiting.push(run);
  }

  /** Bytes that wait for the client. */
  get bytes(): number {
    return this.#text.length + this.#large.chars + this.#options.socket.writableLength;
  }

  /** @param text bytes; leaves at the end of this turn */
  write(text: string): void {
    if (text === '' || this.#closes) return;
    if (this.#text.length + text.length > sliceChars) {
      this.#large.push(this.#text, true);
      this.#text = '';
    }
    if (text.length > sliceChars) this.#large.push(text, true);
    else this.#text += text;
    // The slices before it wait for the client.
    if (this.#large.chars > 0) this.#lag();
    if (this.#flushing) return;
    this.#flushing = true;
    this.#options.turnEnd.add(this);
  }

  /** Writes what has been given to `write`, or begins to. */
  flush(): void {
    this.#flush();
  }

  /** Closes the connection once all is written. */
  close(): void {
    if (this.#closes) return;
    if (!this.#flushing) return this.#end();
    this.#closes = true;
  }

  /** Other clients leave too much unread. */
  evict(): void {
    this.#options.socket.destroy();
  }

  release(): void {
    this.#options.unread.release(this);
  }

  readonly #flush = (): void => {
    const { socket, sliceSoon, onFree } = this.#options;
    if (socket.destroyed) {
      this.#flushing = false;
      return this.#large.clear();
    }
    const slice = this.#large.take();
    if (slice !== undefined) {
      const taken = socket.write(slice.text, slice.encoding);
      this.#lag();
      this.#waitsForDrain = !taken;
      if (taken) sliceSoon(this.#flush);
      return;
    }
    this.#flushing = false;
    const text = this.#text;
    this.#text = '';
    const taken = socket.write(text, 'latin1');
    if (this.#closes) this.#end();
    else if (!taken) this.#lag();
    else if (this.#lags && socket.writableNeedDrain) this.#lag();
    else if (this.#lags) this.#free();
    onFree();
  };

  #end(): void {
    this.#closes = true;
    const { socket, unread } = this.#options;
    unread.stallEnds(socket);
    // Without its end being read, the other half would stay open.
    socket.resume();
    // What still comes is dropped for a moment, or the kernel might reset the connection before the reply is read.
    socket.end(() => systemAfter(lingerMs, () => socket.destroy()));
  }

  #lag(): void {
    const { socket, unread, bytesMax, account } = this.#options;
    const bytes = this.bytes;
    if (bytes > bytesMax) return void socket.destroy();
    if (!this.#lags) unread.stallEnds(socket);
    this.#lags = true;
    unread.hold(this, bytes, account());
  }

  #drained(): void {
    if (this.#waitsForDrain) {
      this.#waitsForDrain = false;
      return this.#options.sliceSoon(this.#flush);
    }
    this.#free();
    this.#options.onFree();
  }

  #free(): void {
    const { socket, unread } = this.#options;
    this.#lags = false;
    unread.release(this);
    socket.setTimeout(0);
    for (const run of this.#waiting.splice(0)) run();
  }
}
