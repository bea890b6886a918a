/**
 * Lets web pages of the origins in `http.cors_origins` call the server, with a token. Node's HTTP server serves them; the
 * fast lane leaves requests with an origin to it, and knows no headers for them. Without origins nothing happens here.
 */
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { RequestOrder } from './sockets/request-order.ts';

/** How long a browser remembers what it may send. */
const preflightSeconds = '600';
const methods = 'GET, HEAD, POST, DELETE, PUT';
const sent = 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Dragonlock-Reason';
const exposed = 'Retry-After, Dragonlock-Boot, Dragonlock-Owner, Dragonlock-Cell, Idempotent-Replayed';

export class Cors {
  #origins: ReadonlySet<string>;
  readonly #boot: string;

  constructor(origins: readonly string[], boot: string) {
    this.#origins = new Set(origins);
    this.#boot = boot;
  }

  /** From the next request on. */
  replace(origins: readonly string[]): void {
    this.#origins = new Set(origins);
  }

  /** Returns whether a reply to a request with these headers needs more of them. */
  concerns({ origin }: IncomingHttpHeaders): boolean {
    return origin !== undefined && this.#origins.size > 0;
  }

  before(handler: RequestListener): RequestListener {
    return (request, response) => {
      if (this.concerns(request.headers) && this.#answered(request, response)) return;
      handler(request, response);
    };
  }

  /** @returns whether the request asked only what is allowed */
  #answered({ method, headers, socket }: IncomingMessage, response: ServerResponse): boolean {
    response.setHeader('Vary', 'Origin');
    const { origin } = headers;
    if (origin === undefined || !this.#origins.has(origin)) return false;
    response.setHeader('Access-Control-Allow-Origin', origin);
    response.setHeader('Access-Control-Expose-Headers', exposed);
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
    RequestOrder.of(socket).run(() => {
      response.writeHead(204, {
        'Dragonlock-Boot': this.#boot,
        'Access-Control-Allow-Methods': methods,
        'Access-Control-Allow-Headers': sent,
        'Access-Control-Max-Age': preflightSeconds,
      });
      response.end();
    });
    return true;
  }
}
