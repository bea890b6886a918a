/**
 * Answers errors outside of a call in our own form: requests that Fastify or Node's HTTP parser refuse, paths and
 * methods that do not exist, and bugs. A bug is logged with the RequestID that the client got.
 */
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { failure, failureBody, type Failure } from '../../protocol/errors.ts';
import type { RouteContext } from './route-context.ts';
import { Pipeline } from './sockets/pipeline.ts';
import { Exchange, withRequestId } from './exchange.ts';
import { statusOf } from './status.ts';
import type { Operation } from '../request-metrics.ts';
import { Refusal } from '../../protocol/refusal.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly operation?: Operation;
  }
}

export function answerFailures(app: FastifyInstance, context: RouteContext): void {
  app.setErrorHandler((error: RequestError, request, reply) => answerError(context, error, request, reply));
  const paths = pathsOf(app);
  app.setNotFoundHandler((request, reply) => {
    Pipeline.of(request.raw.socket).begin(() => {
      new Exchange(context, 'unknown', reply.raw).refuse(noSuchCall(request, paths));
    });
  });
}

/** An error of Fastify or Node, or anything that was thrown. */
type RequestError = Error & { readonly code?: string; readonly statusCode?: number };

/** Answers an error of a route, or of Fastify before it has found a route. */
export function answerError(
  context: RouteContext,
  error: RequestError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const known = knownFailure(error);
  if (known === undefined) {
    const id = context.nextRequestId();
    context.log.error(
      { err: error, requestId: id, method: request.method, url: request.url.split('?', 1)[0] },
      'request failed',
    );
    return abandon(context, id, request, reply);
  }
  if (reply.raw.headersSent) return void reply.raw.destroy();
  exchangeFor(context, request, reply).refuse(known);
}

function abandon(context: RouteContext, id: string, request: FastifyRequest, reply: FastifyReply): void {
  if (reply.raw.headersSent) return void reply.raw.destroy();
  const message = 'A bug in the server; its log says more under this RequestID';
  exchangeFor(context, request, reply).refuse(failure('internal', message), id);
}

function exchangeFor(context: RouteContext, request: FastifyRequest, reply: FastifyReply): Exchange {
  return new Exchange(context, request.routeOptions.config?.operation ?? 'unknown', reply.raw);
}

/** Returns the failure that a client caused; undefined for a bug. */
function knownFailure(error: RequestError): Failure | undefined {
  if (error instanceof Refusal) return error.failure;
  switch (error.code) {
    case 'FST_ERR_BAD_URL':
      return failure('invalid', 'The path is not valid percent-encoded UTF-8');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return failure('invalid', 'account: expected 1 to 64 characters');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return failure('unsupported_media_type', 'Content-Type: not a media type; expected application/json');
    case 'ECONNRESET':
      return failure('invalid', 'The connection closed before the body was complete');
    default:
      // Fastify gives errors of clients a status; an exception of our own has none.
      return error.code?.startsWith('FST_ERR') && (error.statusCode ?? 500) < 500
        ? failure('invalid', error.message)
        : undefined;
  }
}

/** The methods of each path, as people write it: `/db/:acc/kv/:id`. */
type Paths = ReadonlyMap<string, readonly string[]>;

/** Filled as routes are added. */
function pathsOf(app: FastifyInstance): Paths {
  const paths = new Map<string, string[]>();
  app.addHook('onRoute', ({ method, url }) => {
    const path = url.replace('*', ':id');
    const methods = paths.get(path);
    if (methods === undefined) paths.set(path, [method].flat());
    else methods.push(...[method].flat());
  });
  return paths;
}

/** Names the methods that the path takes; for an unknown path, all paths. */
function noSuchCall(request: FastifyRequest, paths: Paths): Failure {
  const path = (request.url.split('?', 1)[0] ?? '').slice(0, 200);
  const known = [...paths].find(([pattern]) => matches(pattern, path));
  if (known === undefined)
    return failure('not_found', `There is no ${path}; there are ${[...paths.keys()].join(', ')}`);
  const [pattern, methods] = known;
  return failure('not_found', `There is no ${request.method} ${path}; ${pattern} takes ${methods.join(', ')}`);
}

function matches(pattern: string, path: string): boolean {
  return new RegExp(`^${pattern.replace(':acc', '[^/]+').replace(':id', '.+')}$`).test(path);
}

/**
 * For `server.on('clientError')`: input that is not HTTP, headers over Node's limit, a request that came too slowly.
 */
export function answerBrokenConnection(context: RouteContext, error: NodeJS.ErrnoException, socket: Socket): void {
  // Its request has been answered, and the connection is being closed.
  if (socket.writableEnded) return void socket.destroy();
  context.metrics.countBrokenConnection();
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy();
  // In the middle of an earlier reply on this connection, a client would read another head as part of the body.
  if (inTheMiddleOfAReply(socket)) return void socket.destroy();
  const refused = brokenReason(error.code);
  const body = withRequestId(failureBody(refused), context.nextRequestId());
  const status = statusOf(refused.code);
  const head = [
    `HTTP/1.1 ${status} ${status === 413 ? 'Content Too Large' : 'Bad Request'}`,
    `Dragonlock-Boot: ${context.boot}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function brokenReason(code: string | undefined): Failure {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return failure('too_large', 'The request head is too large; expected at most 16 KiB');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return failure('invalid', 'The request came too slowly; see http.header_timeout_ms and http.request_timeout_ms');
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
    case 'HPE_INVALID_CONTENT_LENGTH':
      return failure('invalid', 'Content-Length: malformed, or in contradiction to the other headers');
    default:
      return failure('invalid', `This is not HTTP/1.1 (${code ?? 'malformed'})`);
  }
}

/** Checks the same as Node's own handler. */
function inTheMiddleOfAReply(socket: Socket & { _httpMessage?: { headersSent?: boolean } }): boolean {
  // oxlint-disable-next-line no-underscore-dangle -- there is no public way from a socket to its reply
  return socket._httpMessage?.headersSent === true;
}
