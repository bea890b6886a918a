/**
 * The transport of the command. The client's own (client/transport.ts) is made for many requests at once, over pools of
 * connections; loading it takes longer, and more memory, than everything else that a short call needs together.
 */
import type http from 'node:http';
import type https from 'node:https';
import type { Settings } from '../client/options.ts';
import {
  fixedHeaders,
  isBeforeSending,
  isPermanent,
  LateReply,
  TransportError,
  type Transport,
  type WireReply,
  type WireRequest,
} from '../client/transport.ts';
import { systemAfter } from '../shared/clock.ts';

export class NodeTransport implements Transport {
  readonly #module: typeof http | typeof https;
  readonly #agent: http.Agent;
  readonly #url: URL;
  readonly #prefix: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(settings: Settings) {
    this.#url = new URL(settings.url);
    this.#prefix = this.#url.pathname.replace(/\/$/, '');
    // An import would load all that the module offers, and with it half of Node.
    this.#module =
      this.#url.protocol === 'https:' ? process.getBuiltinModule('node:https') : process.getBuiltinModule('node:http');
    this.#agent = new this.#module.Agent({ keepAlive: true });
    this.#headers = fixedHeaders(settings);
  }

  send({ method, path, body, contentType, idempotencyKey, timeoutMs, signal }: WireRequest): Promise<WireReply> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let connected = false;
      const request = this.#module.request({
        protocol: this.#url.protocol,
        hostname: this.#url.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: this.#url.port,
        method,
        path: this.#prefix + path,
        agent: this.#agent,
        headers: {
          ...this.#headers,
          ...(body !== undefined && {
            'content-type': contentType ?? 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        },
      });
      const onAbort = (): void => void request.destroy();
      const clearTimer = systemAfter(timeoutMs, () => request.destroy(new LateReply(timeoutMs)));
      signal?.addEventListener('abort', onAbort, { once: true });
      const settle = (run: () => void): void => {
        clearTimer();
        signal?.removeEventListener('abort', onAbort);
        run();
      };
      const fail = (error: unknown): void =>
        settle(() => {
          if (signal?.aborted) return reject(signal.reason);
          reject(new TransportError(error, connected && !isBeforeSending(error), isPermanent(error)));
        });
      request.on('socket', (socket) => {
        if (!socket.connecting) connected = true;
        else socket.once(this.#url.protocol === 'https:' ? 'secureConnect' : 'connect', () => (connected = true));
      });
      request.on('error', fail);
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', fail);
        response.on('end', () => settle(() => resolve(replyOf(response, Buffer.concat(chunks).toString('utf8')))));
      });
      request.end(body);
    });
  }

  close(): Promise<void> {
    this.#agent.destroy();
    return Promise.resolve();
  }
}

function replyOf({ statusCode = 0, headers }: http.IncomingMessage, text: string): WireReply {
  const boot = headers['dragonlock-boot'];
  const retryAfter = Number(headers['retry-after']);
  return {
    status: statusCode,
    text,
    boot: typeof boot === 'string' ? boot : undefined,
    retryAfterMs: retryAfter > 0 ? retryAfter * 1000 : undefined,
  };
}
