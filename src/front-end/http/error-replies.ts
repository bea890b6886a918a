/**
 * Answers errors outside of a call in our own form: requests that Fastify or Node's HTTP parser refuse, paths and
 * methods that do not exist, and bugs. A bug is logged with the RequestID that the client got.
 */
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { failure, failureBody, type Failure } from '../../protocol/errors.ts';
import type { RouteContext } from './route-context.ts';
import { RequestOrder } from './sockets/request-order.ts';
import { withRequestId, type Exchange } from './exchange.ts';
import { HttpExchange } from './http-exchange.ts';
import { headersOf } from './failure-headers.ts';
import { statusOf } from './status.ts';
import type { DataRequest } from './data-request.ts';
import type { Path } from './paths.ts';
import type { Operation } from '../request-metrics.ts';
import { Refusal } from '../../protocol/refusal.ts';
import { STATUS_CODES } from './node-http.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly operation?: Operation;
  }
}

export function answerFailures(app: FastifyInstance, context: RouteContext, paths: readonly Path[]): void {
  const answerNoSuchCall = (request: FastifyRequest, reply: FastifyReply): void => {
    RequestOrder.of(request.raw.socket).run(() => {
      const refused = context.checkHead(request.raw) ?? noSuchCall(request, paths);
      new HttpExchange(context, 'unknown', reply.raw).refuse(refused);
    });
  };
  app.setNotFoundHandler(answerNoSuchCall);
  app.setErrorHandler((error: RequestError, request, reply) => {
    // Fastify looks at the body before it calls the handler above.
    if (request.is404 && error.code?.startsWith('FST_ERR')) answerNoSuchCall(request, reply);
    else answerError(context, error, request, reply);
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
  const id = known === undefined ? logBug(context, error, request) : undefined;
  if (reply.raw.headersSent) return void reply.raw.destroy();
  const exchange = new HttpExchange(context, request.routeOptions.config?.operation ?? 'unknown', reply.raw);
  exchange.refuse(known ?? bug, id);
}

/** Answers what a call has thrown that is no refusal. */
export function answerBug(
  context: RouteContext,
  error: unknown,
  request: Pick<DataRequest, 'method' | 'url'>,
  exchange: Exchange,
): void {
  const id = logBug(context, error, request);
  if (exchange.done) return exchange.disconnect();
  exchange.refuse(bug, id);
}

/** @returns the RequestID under which the log has it */
function logBug(context: RouteContext, err: unknown, request: Pick<DataRequest, 'method' | 'url'>): string {
  const requestId = context.nextRequestId();
  const { method, url } = request;
  // Undefined for a request that did not come so far.
  const tokenName = (request as Partial<DataRequest>).access?.name;
  context.log.error({ err, requestId, method, url: url.split('?', 1)[0], tokenName }, 'request failed');
  return requestId;
}

const bug = failure('internal', 'A bug in the server; its log says more under this RequestID');

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

/** Names the methods that the path takes; for an unknown path, those that begin as it does. */
function noSuchCall({ url, method }: FastifyRequest, paths: readonly Path[]): Failure {
  const path = url.split('?', 1)[0] ?? '';
  const shownPath = path.slice(0, 200);
  const known = paths.find(({ matches }) => matches.test(path));
  if (known === undefined) {
    return failure('not_found', `There is no ${shownPath}; there are ${alike(path, paths).join(', ')}`);
  }
  const { pattern, methods } = known;
  const below = paths.find((other) => other.pattern === `${pattern}/:id` && other.methods.includes(method));
  const hint = below === undefined ? howToSend(methods) : `; the id is missing: ${below.pattern} takes ${method}`;
  const message = `There is no ${method} ${shownPath}; ${pattern} takes ${methods.join(', ')}${hint}`;
  return failure('method_not_allowed', message, { Allow: methods.join(', ') });
}

/** Patterns with the same first part; if there are none, the shortest one of each first part. */
function alike(path: string, paths: readonly Path[]): readonly string[] {
  const patterns = paths.map(({ pattern }) => pattern).filter((pattern) => !pattern.startsWith('/ui/'));
  const same = patterns.filter((pattern) => firstPart(pattern) === firstPart(path));
  if (same.length > 0) return same;
  const shortest = new Map<string, string>();
  for (const pattern of patterns) {
    const known = shortest.get(firstPart(pattern));
    if (known === undefined || pattern.length < known.length) shortest.set(firstPart(pattern), pattern);
  }
  return [...shortest.values()];
}

function firstPart(path: string): string {
  return path.split('/', 2)[1] ?? '';
}

function howToSend(methods: readonly string[]): string {
  return methods.includes('GET') ? '' : ` (curl -X ${methods[0]})`;
}

/** What Node's parser tells: the packet that it could not read, and where it stopped. (Fastify types it as JSON.) */
interface BrokenConnection extends NodeJS.ErrnoException {
  readonly rawPacket?: unknown;
  readonly bytesParsed?: number;
}

/**
 * For `server.on('clientError')`: input that is not HTTP, headers over Node's limit, a request that came too slowly.
 */
export function answerBrokenConnection(context: RouteContext, error: BrokenConnection, socket: Socket): void {
  // Its request has been answered, and the connection is being closed.
  if (socket.writableEnded) return void socket.destroy();
  context.metrics.countBrokenConnection();
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy();
  // There is nobody who could read a reply.
  if (error.code?.startsWith('ERR_SSL') || error.code?.startsWith('ERR_TLS')) return void socket.destroy();
  // In the middle of an earlier reply on this connection, a client would read another head as part of the body.
  if (inTheMiddleOfAReply(socket)) return void socket.destroy();
  const refused = brokenReason(error);
  socket.end(rawErrorReply(context.boot, context.nextRequestId(), refused), () => socket.destroy());
}

/** The bytes of a reply outside of a request that Node knows; the connection closes after it. */
export function rawErrorReply(boot: string, requestId: string, refused: Failure): string {
  const body = withRequestId(failureBody(refused), requestId);
  const status = statusOf(refused.code);
  const head = [
    `HTTP/1.1 ${status} ${status === 413 ? 'Content Too Large' : STATUS_CODES[status]}`,
    ...linesOf(headersOf(refused)),
    `Dragonlock-Boot: ${boot}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(status === 503 ? ['Retry-After: 1'] : []),
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

function linesOf(headers: readonly string[]): string[] {
  return headers.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${headers[i + 1]}`] : []));
}

function brokenReason(error: BrokenConnection): Failure {
  const { code } = error;
  switch (code) {
    case 'HPE_INVALID_METHOD':
      return unknownMethod(error) ?? failure('invalid', `This is not HTTP/1.1 (${code})`);
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

/** Returns the failure of a request whose method Node's parser does not know; undefined if it is no request at all. */
function unknownMethod({ rawPacket, bytesParsed = 0 }: BrokenConnection): Failure | undefined {
  if (!Buffer.isBuffer(rawPacket)) return undefined;
  // The parser stops within the method.
  const begin = rawPacket.lastIndexOf('\n', bytesParsed) + 1;
  const line = rawPacket.subarray(begin, begin + 200).toString('latin1');
  const method = /^([A-Za-z][\w!#$%&'*+.^`|~-]*) \S+ HTTP\/1\.[01]\r?\n/.exec(line)?.[1];
  if (method === undefined) return undefined;
  return failure('method_not_allowed', `There is no method ${method}; expected one of ${allMethods}`, {
    Allow: allMethods,
  });
}

const allMethods = 'GET, HEAD, POST, PUT, DELETE';

/** Checks the same as Node's own handler. */
function inTheMiddleOfAReply(socket: Socket & { _httpMessage?: { headersSent?: boolean } }): boolean {
  // oxlint-disable-next-line no-underscore-dangle -- there is no public way from a socket to its reply
  return socket._httpMessage?.headersSent === true;
}
