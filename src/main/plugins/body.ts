/**
 * Reads request bodies, for every content type: as text whose bytes are known to be UTF-8, and no more. Parsing is left
 * to the call, which knows what it wants. Fastify's own JSON parser would replace bad bytes without a word.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { failure } from '../../protocol/errors.ts';
import type { Limits } from '../../shared/limits.ts';
import { Refusal } from '../parse/refusal.ts';

export type MediaType = 'json' | 'text' | 'other';

/**
 * A body without a content type is JSON; so is one that claims to be a form, since that is what `curl -d '{…}'` says of
 * whatever it sends.
 */
export function mediaType(header: string | undefined): MediaType {
  if (header === undefined || header === 'application/json') return 'json';
  const name = header.split(';', 1)[0]?.trim().toLowerCase();
  if (name === 'application/json' || name === 'application/x-www-form-urlencoded' || name === '') return 'json';
  return name === 'text/plain' ? 'text' : 'other';
}

/** `*` alone would do, but Fastify takes the header of every request apart before it falls back to that one. */
const usualTypes = ['application/json', 'application/x-www-form-urlencoded', 'text/plain'];

type Done = (error: Error | null, body?: string) => void;

export function readBodiesAsText(app: FastifyInstance, limits: Limits): void {
  const bytesMax = limits.body_bytes_max;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser([...usualTypes, '*'], (request: FastifyRequest, payload: IncomingMessage, done: Done) => {
    const { headers } = request;
    const length = headers['content-length'];
    if (length === undefined ? headers['transfer-encoding'] === undefined : length === '0') return done(null, '');
    // Nothing waits for this body: what is wrong is that there is no such path.
    if (request.is404) return done(null, '');
    const media = mediaType(headers['content-type']);
    if (media === 'other' || (media === 'text' && request.routeOptions.config.text !== true)) {
      return done(new Refusal(unsupported(request)));
    }
    if (Number(length) > bytesMax) return done(new Refusal(tooLarge(bytesMax)));
    readText(payload, bytesMax, done);
  });
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The call also takes text/plain. */
    readonly text?: boolean;
  }
}

function readText(payload: IncomingMessage, bytesMax: number, done: Done): void {
  let first: Buffer | undefined;
  let more: Buffer[] | undefined;
  let bytes = 0;
  let finished = false;
  const finish: Done = (error, body) => {
    if (finished) return;
    finished = true;
    done(error, body);
  };
  payload.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bytesMax) return finish(new Refusal(tooLarge(bytesMax)));
    if (first === undefined) first = chunk;
    else (more ??= [first]).push(chunk);
  });
  payload.on('end', () => {
    const whole = more === undefined ? first : Buffer.concat(more, bytes);
    if (whole === undefined) return finish(null, '');
    if (!isUtf8(whole)) return finish(new Refusal(notUtf8));
    finish(null, whole.toString('utf8'));
  });
  payload.on('error', finish);
}

const notUtf8 = failure('invalid', 'The body is not UTF-8');

function tooLarge(bytesMax: number) {
  return failure('too_large', `The body is too large; wanted at most ${bytesMax} bytes (limits.body_bytes_max)`);
}

function unsupported(request: FastifyRequest) {
  const text = request.routeOptions.config.text === true ? ' or text/plain' : '';
  const got = JSON.stringify(String(request.headers['content-type']).slice(0, 100));
  return failure('unsupported_media_type', `Content-Type: wanted application/json${text}, got ${got}`);
}
