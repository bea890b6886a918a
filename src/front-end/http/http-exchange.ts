/**
 * An exchange that came by Node's HTTP server. It writes straight to Node's response (measured no slower than Fastify's
 * `reply.send`, and the same for calls, failures and streams).
 */
import type { ServerResponse } from 'node:http';
import { Exchange, jsonType, retryAfter, withRequestId, type ReplyBody, type ReplyContext } from './exchange.ts';
import { Disconnects } from './sockets/disconnects.ts';
import { closeLingering } from './sockets/lingering-close.ts';
import { RequestOrder } from './sockets/request-order.ts';
import type { Operation } from '../request-metrics.ts';

/** A shorter body is read to its end after an early refusal, so that the connection can be kept. */
const unreadBodyBytesMax = 64 * 1024;
/** A larger reply is written apart from its head. */
const wholeBytesMax = 256 * 1024;

export class HttpExchange extends Exchange {
  readonly res: ServerResponse;
  /** The client is an EventSource, which gives up for good when the reply has any other status than 200. */
  eventSource = false;

  constructor(context: ReplyContext, operation: Operation, res: ServerResponse) {
    const { socket } = res.req;
    super(context, operation, Disconnects.of(socket), RequestOrder.of(socket));
    this.res = res;
    this.request = res.req;
  }

  /** Answers with a text that others are given too. @param headers further names and values in turn */
  deliverShared(contentType: string, text: Buffer, headers: readonly string[] = []): void {
    if (this.done) return;
    this.finish(200, text.length);
    if (this.disconnected) return;
    const { boot, unread } = this.context;
    this.res.writeHead(200, [
      'Dragonlock-Boot',
      boot,
      'Content-Type',
      contentType,
      'Content-Length',
      String(text.length),
      ...headers,
    ]);
    this.res.end(text);
    // However many have not read it, there is one copy.
    unread.written(this.res, 0);
  }

  protected override fail(status: number, body: string, requestId: string): void {
    if (this.eventSource && isTemporary(status)) this.#failStream(status, withRequestId(body, requestId));
    else super.fail(status, body, requestId);
  }

  /** Ends a stream before it begins, so that an EventSource connects again. It is counted under its status. */
  #failStream(status: number, body: string): void {
    if (this.done) return;
    this.finish(status);
    if (this.disconnected) return;
    const text = `retry: ${Number(retryAfter) * 1000}\nevent: failure\ndata: ${body}\n\n`;
    this.res.writeHead(200, [
      'Dragonlock-Boot',
      this.context.boot,
      'Content-Type',
      'text/event-stream',
      'Cache-Control',
      'no-cache',
      'Connection',
      'close',
    ]);
    this.res.end(text);
  }

  protected override write(status: number, body: ReplyBody, replayed: true | undefined): void {
    const headers = ['Dragonlock-Boot', this.context.boot];
    const text = typeof body === 'string' ? body : body.parts.join('');
    const bytes = typeof body === 'string' ? Buffer.byteLength(text) : body.bytes;
    if (status !== 204) headers.push('Content-Type', jsonType, 'Content-Length', String(bytes));
    if (replayed === true) headers.push('Idempotent-Replayed', 'true');
    if (status >= 400) this.#addFailureHeaders(status, headers);
    this.res.writeHead(status, headers);
    // Node would put head and text into one text first, which copies all of a large one.
    this.res.end(status === 204 ? undefined : bytes > wholeBytesMax ? Buffer.from(text) : text);
    this.context.unread.written(this.res, bytes);
  }

  #addFailureHeaders(status: number, headers: string[]): void {
    const seconds = this.retryAfterOf(status);
    if (seconds !== undefined) headers.push('Retry-After', seconds);
    headers.push(...this.refusalHeaders);
    if (status === 401) headers.push('WWW-Authenticate', 'Bearer');
    const { complete, headers: asked } = this.res.req;
    // A body that is answered 503 may have been given up because the rest does not arrive.
    const lengthMax = status === 503 ? 0 : unreadBodyBytesMax;
    const long = asked['transfer-encoding'] !== undefined || Number(asked['content-length'] ?? 0) > lengthMax;
    const unread = long && !complete;
    if (unread) closeLingering(this.res.req.socket);
    if (unread || this.context.draining()) headers.push('Connection', 'close');
  }
}

/** Returns whether the same request may be answered otherwise in a moment. */
function isTemporary(status: number): boolean {
  return status === 429 || status === 500 || status === 503;
}
