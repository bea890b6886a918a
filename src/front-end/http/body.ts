/**
 * Reads request bodies of every content type, and leaves their text (parse/body-text.ts) and parsing to the call.
 * Fastify's JSON parser would silently replace bad bytes, and calling any parser through Fastify costs a twentieth of a
 * request.
 */
import type { IncomingMessage } from 'node:http';
import { failure } from '../../protocol/errors.ts';
import type { Limits } from '../../shared/limits.ts';
import { ByteBudget } from '../byte-budget.ts';
import { Disconnects } from './sockets/disconnects.ts';
import { Refusal } from '../../protocol/refusal.ts';
import { refusedMedia, type TakesText } from './media-type.ts';

/** Bodies that are not complete; over their byte limit the oldest are given up. */
export type ArrivingBodies = ByteBudget<{ giveUp(): void }>;

export function arrivingBodies(bytesMax: number): ArrivingBodies {
  return new ByteBudget(bytesMax, (reader) => reader.giveUp());
}

export interface BodyOptions {
  readonly limits: Limits;
  readonly arriving: ArrivingBodies;
  /** Accept text/plain too, or the source of a script. */
  readonly text: TakesText;
}

/** `body` is undefined when there is none. The error is a `Refusal`, or the error of the connection. */
export type BodyRead = (error: Error | undefined, body: Buffer<ArrayBuffer> | undefined) => void;

export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return length === undefined ? headers['transfer-encoding'] !== undefined : length !== '0';
}

/** Calls `done` once; before it returns if there is nothing to read, or if the headers are refused. */
export function readBody(request: IncomingMessage, options: BodyOptions, done: BodyRead): void {
  if (!hasBody(request)) return done(undefined, undefined);
  const { headers } = request;
  const refused = refusedMedia(headers, options.text);
  if (refused !== undefined) return done(new Refusal(refused), undefined);
  const length = headers['content-length'];
  const bytesMax = options.limits.body_bytes_max;
  if (Number(length) > bytesMax) return done(new Refusal(tooLarge(bytesMax)), undefined);
  const { account } = Disconnects.of(request.socket);
  const reader = new BodyReader(Number(length ?? Infinity), { ...options, account }, done);
  request.on('data', (chunk: Buffer<ArrayBuffer>) => reader.take(chunk));
  request.on('end', () => reader.end());
  request.on('error', (error) => reader.finish(error));
}

/**
 * One body. Nearly always it comes as one chunk. Further chunks are copied into one buffer that doubles: otherwise a
 * client that sends byte by byte would make us hold a buffer for each byte.
 */
class BodyReader {
  /** From Content-Length; infinite without one. */
  readonly #length: number;
  readonly #bytesMax: number;
  readonly #arriving: ArrivingBodies;
  readonly #account: string | undefined;
  #done: BodyRead;
  #kept: Buffer<ArrayBuffer> = nothing;
  #bytes = 0;
  #finished = false;

  constructor(length: number, options: BodyOptions & { readonly account: string | undefined }, done: BodyRead) {
    this.#length = length;
    this.#bytesMax = options.limits.body_bytes_max;
    this.#arriving = options.arriving;
    this.#account = options.account;
    this.#done = done;
  }

  take(chunk: Buffer<ArrayBuffer>): void {
    // Chunks after a refusal are read and dropped.
    if (this.#finished) return;
    const before = this.#bytes;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#bytesMax) return this.finish(new Refusal(tooLarge(this.#bytesMax)));
    if (before === 0) this.#kept = chunk;
    else this.#append(chunk, before);
    if (this.#bytes < this.#length) this.#arriving.hold(this, this.#kept.length, this.#account);
  }

  end(): void {
    this.finish(undefined, this.#kept.subarray(0, this.#bytes));
  }

  giveUp(): void {
    this.finish(new Refusal(tooSlow));
  }

  finish(error: Error | undefined, body?: Buffer<ArrayBuffer>): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#kept = nothing;
    this.#arriving.release(this);
    this.#done(error, body);
  }

  #append(chunk: Buffer, at: number): void {
    if (this.#bytes > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(this.#bytes, at * 2), this.#length, this.#bytesMax));
      this.#kept.copy(larger, 0, 0, at);
      this.#kept = larger;
    }
    chunk.copy(this.#kept, at);
  }
}

const nothing = Buffer.alloc(0);
const tooSlow = failure(
  'overloaded',
  'Slow bodies hold too many bytes (limits.arriving_bytes_max), and this one was the oldest; nothing was done',
);

function tooLarge(bytesMax: number) {
  return failure('too_large', `The body is too large; expected at most ${bytesMax} bytes (limits.body_bytes_max)`);
}
