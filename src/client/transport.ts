/**
 * One HTTP exchange. If it fails, the error says whether the server can have received the request; the callers decide
 * by that what to send again. Tests replace the transport.
 *
 * Calls that wait in the server have connections of their own, so that they never block other calls. Requests are not
 * pipelined: when a connection breaks, undici resends the requests after the first one by itself, which could repeat a
 * write.
 */
import type { Pool } from 'undici';
import { systemAfter } from '../shared/clock.ts';
import type { Settings } from './options.ts';

export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Relative to the server's URL, escaped: `/db/acc/kv/a%2Fb`. */
  readonly path: string;
  readonly body?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  /** Absent: the body is JSON. */
  readonly contentType?: string | undefined;
  /** Milliseconds after which the reply counts as lost. */
  readonly timeoutMs: number;
  /** The server may delay the reply for long. */
  readonly waits: boolean;
  /** Aborting it closes the connection. */
  readonly signal?: AbortSignal | undefined;
}

export interface WireReply {
  readonly status: number;
  readonly text: string;
  /** Identifies the start of the server that answered; undefined: the reply is not of a Dragon Lock server. */
  readonly boot: string | undefined;
  readonly retryAfterMs: number | undefined;
}

export interface Transport {
  /** @throws TransportError, or the signal's reason */
  send(request: WireRequest): Promise<WireReply>;
  close(): Promise<void>;
}

export class TransportError extends Error {
  override readonly name = 'TransportError';
  /** The server may have received the request. */
  readonly sent: boolean;
  /**
   * The name does not resolve, the certificate is invalid: a mistake in the settings, unless the server has answered
   * before.
   */
  readonly permanent: boolean;
  /** After which time a gateway wants to be asked again. */
  readonly retryAfterMs: number | undefined;

  constructor(cause: unknown, sent: boolean, permanent: boolean, retryAfterMs?: number) {
    super(describe(cause), { cause });
    this.sent = sent;
    this.permanent = permanent;
    this.retryAfterMs = retryAfterMs;
  }
}

export class HttpTransport implements Transport {
  /** undici loads with the first request, because the command has a transport of its own and starts often. */
  readonly #connect: () => Promise<Pools>;
  #pools: Promise<Pools> | undefined;
  readonly #prefix: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(settings: Settings) {
    const { url, connections, timeoutMs } = settings;
    const { origin, pathname } = new URL(url);
    // `timeoutMs` of each request replaces undici's timeouts.
    const common = {
      pipelining: 1,
      connect: { timeout: timeoutMs },
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: 30_000,
    };
    this.#connect = async () => {
      const { Pool } = await import('undici');
      return {
        calls: new Pool(origin, { ...common, connections }),
        waits: new Pool(origin, { ...common, connections: null }),
      };
    };
    this.#prefix = pathname.replace(/\/$/, '');
    this.#headers = fixedHeaders(settings);
  }

  async send({
    method,
    path,
    body,
    contentType,
    idempotencyKey,
    timeoutMs,
    waits,
    signal,
  }: WireRequest): Promise<WireReply> {
    signal?.throwIfAborted();
    const { calls, waits: waiting } = await (this.#pools ??= this.#connect());
    const late = new AbortController();
    const clear = systemAfter(timeoutMs, () => late.abort(new LateReply(timeoutMs)));
    try {
      const {
        statusCode,
        headers,
        body: replyBody,
      } = await (waits ? waiting : calls).request({
        method,
        path: this.#prefix + path,
        headers: {
          ...this.#headers,
          ...(body !== undefined && { 'content-type': contentType ?? 'application/json' }),
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
      clear();
    }
  }

  async close(): Promise<void> {
    const pools = await this.#pools;
    if (pools !== undefined) await Promise.all([pools.calls.destroy(), pools.waits.destroy()]);
  }
}

/** The headers of every request. */
export function fixedHeaders({ token, machine }: Settings): Readonly<Record<string, string>> {
  return {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(machine !== undefined && { 'dragonlock-machine': machine }),
  };
}

interface Pools {
  readonly calls: Pool;
  readonly waits: Pool;
}

export class LateReply extends Error {
  override readonly name = 'LateReply';

  constructor(timeoutMs: number) {
    super(`no reply within ${Math.round(timeoutMs)} ms`);
  }
}

/** Whether the error proves that no connection came about. */
export function isBeforeSending(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isBeforeSending);
  const { syscall, code } = error as NodeJS.ErrnoException;
  return (
    code === 'UND_ERR_CONNECT_TIMEOUT' || syscall === 'connect' || syscall === 'getaddrinfo' || isCertificate(code)
  );
}

/** Whether a retry cannot help. */
export function isPermanent(error: unknown): boolean {
  const { code, name } = error as NodeJS.ErrnoException;
  return code === 'ENOTFOUND' || isCertificate(code) || name === 'HTTPParserError' || code?.startsWith('HPE_') === true;
}

function isCertificate(code: string | undefined): boolean {
  return code !== undefined && /^(ERR_TLS_|ERR_SSL_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_)|^EPROTO$/.test(code);
}

/** Describes the error in one line. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join(', ');
  if (!(error instanceof Error)) return String(error);
  // The messages of OpenSSL are dumps of its state.
  if ('library' in error && 'reason' in error) return `TLS: ${String(error.reason)}`;
  return (error.message || error.name).replaceAll(/\s*\n\s*/g, ' ');
}
