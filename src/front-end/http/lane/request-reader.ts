/**
 * The bytes of one connection of the fast lane, and the requests in them. What is not plain is left where it is, for
 * Node's parser: a request is taken whole or not at all, and of one that is not taken no byte is used up.
 *
 *     give ──► kept bytes ──next──► a request │ incomplete: more bytes are needed │ why Node's parser has to read on
 *
 * A head is read as text. The text is made of a window of the bytes, so that what a request keeps of it while it waits,
 * such as its key, keeps little else in memory.
 */
import { isAscii } from 'node:buffer';
import type { Socket } from 'node:net';
import type { RequestBody } from '../data-request.ts';
import { HeadReader, type HeadersCheck } from './head-reader.ts';
import { LaneRequest } from './lane-request.ts';
import type { LaneRoutes } from './lane-routes.ts';
import { RequestLineReader } from './request-line.ts';

/** Why the lane does not take a request. */
export type NotTaken = 'head' | 'body';

export interface ReaderOptions {
  readonly routes: LaneRoutes;
  /** Bytes. */
  readonly bodyMax: number;
  readonly isRefused: HeadersCheck;
}

const headBytesMax = 8 * 1024;
/** A larger body would be read by the body thread. */
const bodyBytesMax = 64 * 1024;
const windowBytes = 4 * 1024;

export class RequestReader {
  readonly #socket: Socket;
  readonly #bodyBytesMax: number;
  readonly #line: RequestLineReader;
  readonly #head: HeadReader;
  #bytes: Buffer<ArrayBuffer> = nothing;
  /** The bytes that are not used up: from `#at` to `#end`. */
  #at = 0;
  #end = 0;
  /** Until `#end` is here, there is no whole request. */
  #needed = 0;
  /** The bytes from `#textAt` on, as text. */
  #text = '';
  #textAt = 0;
  #textIsAscii = false;

  constructor(socket: Socket, { routes, bodyMax, isRefused }: ReaderOptions) {
    this.#socket = socket;
    this.#line = new RequestLineReader(routes);
    this.#head = new HeadReader(isRefused);
    this.#bodyBytesMax = Math.min(bodyMax, bodyBytesMax);
  }

  /** The number of bytes that are kept. */
  get keptBytes(): number {
    return this.#end - this.#at;
  }

  give(chunk: Buffer<ArrayBuffer>): void {
    if (this.#at === this.#end) {
      this.#bytes = chunk;
      this.#at = 0;
      this.#end = chunk.length;
      this.#needed = 0;
    } else {
      this.#append(chunk);
    }
    this.#text = '';
    this.#textAt = 0;
  }

  /** Takes the bytes that are kept out. */
  takeRest(): Buffer<ArrayBuffer> {
    const rest = this.#bytes.subarray(this.#at, this.#end);
    this.#forget();
    return rest;
  }

  next(): LaneRequest | 'incomplete' | NotTaken {
    if (this.#end < this.#needed) return 'incomplete';
    if (this.#at >= this.#textAt + this.#text.length) this.#look(windowBytes);
    let read = this.#read();
    if (read === 'incomplete' && this.#textAt + this.#text.length < Math.min(this.#end, this.#at + headBytesMax)) {
      this.#look(headBytesMax);
      read = this.#read();
    }
    if (read === 'incomplete' && this.#needed === 0) {
      const head = this.#text.slice(this.#at - this.#textAt);
      if (head.length >= headBytesMax || !mayBecomePlain.test(head)) return 'head';
    }
    return read;
  }

  #read(): LaneRequest | 'incomplete' | NotTaken {
    const text = this.#text;
    const line = this.#line.read(text, this.#at - this.#textAt);
    if (typeof line === 'string') return line === 'unusual' ? 'head' : line;
    const head = this.#head.read(text, this.#line.end);
    if (typeof head === 'string') return head === 'unusual' ? 'head' : head;
    const { headers, bodyBytes } = head;
    if (bodyBytes > 0 && line.method !== 'POST') return 'head';
    if (bodyBytes > this.#bodyBytesMax) return 'body';
    const bodyAt = this.#textAt + this.#head.end;
    const end = bodyAt + bodyBytes;
    if (end > this.#end) {
      this.#needed = end;
      return 'incomplete';
    }
    const body = bodyBytes === 0 ? undefined : this.#bodyOf(bodyAt, end);
    if (end === this.#end) this.#forget();
    else this.#at = end;
    this.#needed = 0;
    return new LaneRequest(this.#socket, line, headers, body);
  }

  #bodyOf(from: number, to: number): RequestBody {
    const inText = from - this.#textAt;
    if (this.#textIsAscii && to - this.#textAt <= this.#text.length) {
      return this.#text.slice(inText, to - this.#textAt);
    }
    const bytes = this.#bytes.subarray(from, to);
    return isAscii(bytes) ? bytes.toString('latin1') : bytes;
  }

  #look(bytes: number): void {
    const end = Math.min(this.#end, this.#at + bytes);
    const all = this.#at === 0 && end === this.#bytes.length;
    this.#text = this.#bytes.toString('latin1', this.#at, end);
    this.#textIsAscii = isAscii(all ? this.#bytes : this.#bytes.subarray(this.#at, end));
    this.#textAt = this.#at;
  }

  /** The room doubles: a client that sends byte by byte does not make us copy all of it each time. */
  #append(chunk: Buffer): void {
    const kept = this.keptBytes;
    const length = kept + chunk.length;
    if (this.#end + chunk.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * kept));
      this.#bytes.copy(larger, 0, this.#at, this.#end);
      this.#bytes = larger;
      this.#needed = Math.max(0, this.#needed - this.#at);
      this.#at = 0;
      this.#end = kept;
    }
    chunk.copy(this.#bytes, this.#end);
    this.#end += chunk.length;
  }

  #forget(): void {
    this.#bytes = nothing;
    this.#at = 0;
    this.#end = 0;
    this.#needed = 0;
    this.#text = '';
    this.#textAt = 0;
  }
}

const nothing = Buffer.alloc(0);
/** The beginning of a head, as far as it has come: anything else would keep Node's parser waiting for its end. */
const mayBecomePlain = /^(?:P|G|D)(?:[\t -~]|\r\n|\r$)*$/;
