/**
 * One HTTP exchange, and what is known when it fails: whether the server can have seen the request. Everything above
 * decides on that what may be sent again. Tests put their own in its place.
 *
 * Calls that wait in the server have connections of their own, so that they never stand in the way of others.
 * Requests are not pipelined: when a connection breaks, undici sends what stood behind the first one again by itself,
 * which for a write could be once too often.
 */
import { Pool, errors } from 'undici';
import type { Settings } from './options.ts';

export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** From the server's root on, escaped: `/db/acc/kv/a%2Fb`. */
  readonly path: string;
  readonly body?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  /** No reply by then: it counts as lost. Milliseconds. */
  readonly timeoutMs: number;
  /** The server may hold it back for long. */
  readonly waits: boolean;
  /** Closes the connection. */
  readonly signal?: AbortSignal | undefined;
}

export interface WireReply {
  readonly status: number;
  readonly text: string;
  /** Which start of the server answered; undefined: not a Dragon Lock. */
  readonly boot: string | undefined;
  readonly retryAfterMs: number | undefined;
}

export interface Transport {
  /** @throws TransportError, or the reason of the signal */
  send(request: WireRequest): Promise<WireReply>;
  close(): Promise<void>;
}

export class TransportError extends Error {
  override readonly name = 'TransportError';
  /** The server may have seen the request. */
  readonly sent: boolean;
  /** Asking again will not help: a name that does not resolve, a certificate that is not valid. */
  readonly permanent: boolean;

  constructor(cause: unknown, sent: boolean, permanent: boolean) {
    super(describe(cause), { cause });
    this.sent = sent;
    this.permanent = permanent;
  }
}

export class HttpTransport implements Transport {
  readonly #calls: Pool;
  readonly #waits: Pool;
  readonly #prefix: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ url, token, connections, timeoutMs }: Settings) {
    const { origin, pathname } = new URL(url);
    // The timeouts are ours (`timeoutMs` of each request).
    const common = {
      pipelining: 1,
      connect: { timeout: timeoutMs },
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: 30_000,
    };
    this.#calls = new Pool(origin, { ...common, connections });
    this.#waits = new Pool(origin, { ...common, connections: null });
    this.#prefix = pathname.replace(/\/$/, '');
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  async send({ method, path, body, idempotencyKey, timeoutMs, waits, signal }: WireRequest): Promise<WireReply> {
    signal?.throwIfAborted();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new LateReply(timeoutMs)), timeoutMs);
    try {
      const {
        statusCode,
        headers,
        body: replyBody,
      } = await (waits ? this.#waits : this.#calls).request({
        method,
        path: this.#prefix + path,
        headers: {
          ...this.#headers,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        },
        body: body ?? null,
        signal: signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]),
      });
      const text = await replyBody.text();
      const boot = headers['dragonlock-boot'];
      const retryAfter = Number(headers['retry-after']);
      return {
        status: statusCode,
        text,
        boot: typeof boot === 'string' ? boot : undefined,
        retryAfterMs: retryAfter > 0 ? retryAfter * 1000 : undefined,
      };
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new TransportError(error, !isBeforeSending(error), isPermanent(error));
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#waits.destroy()]);
  }
}

class LateReply extends Error {
  override readonly name = 'LateReply';

  constructor(timeoutMs: number) {
    super(`no reply within ${Math.round(timeoutMs)} ms`);
  }
}

/** Of errors that say so for certain: no connection came about. */
function isBeforeSending(error: unknown): boolean {
  if (error instanceof errors.ConnectTimeoutError) return true;
  if (error instanceof AggregateError) return error.errors.every(isBeforeSending);
  const { syscall, code } = error as NodeJS.ErrnoException;
  return syscall === 'connect' || syscall === 'getaddrinfo' || isCertificate(code);
}

function isPermanent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOTFOUND' || isCertificate(code) || error instanceof errors.HTTPParserError;
}

function isCertificate(code: string | undefined): boolean {
  return code !== undefined && /^(ERR_TLS_|ERR_SSL_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)|^EPROTO$/.test(code);
}

/** In one line. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join(', ');
  if (!(error instanceof Error)) return String(error);
  // Of OpenSSL, whose messages are dumps of its state.
  if ('library' in error && 'reason' in error) return `TLS: ${String(error.reason)}`;
  return (error.message || error.name).replaceAll(/\s*\n\s*/g, ' ');
}
