/**
 * One request and the one reply to it: the `ReplySink` of the dispatcher. It writes straight to Node's response
 * (measured no slower than Fastify's `reply.send`, and the same for calls, failures and streams), leaves the
 * connection's ring, and counts the request.
 */
import type { ServerResponse } from 'node:http';
import { failureBody, type Failure } from '../../protocol/errors.ts';
import { requestBytes } from '../../router/memory-costs.ts';
import { isFailure, type Reply } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import { statusOf } from './status.ts';
import type { ReplySink, Cancelable } from '../../router/dispatcher.ts';
import { Disconnects, type DisconnectListener } from './sockets/disconnects.ts';
import { closeLingering } from './sockets/lingering-close.ts';
import { RequestOrder } from './sockets/request-order.ts';
import type { Operation, RequestMetrics } from '../request-metrics.ts';
import type { UnreadReplies } from './sockets/unread-replies.ts';

/** Shared by all exchanges of one app. */
export interface ReplyContext {
  readonly boot: string;
  readonly metrics: RequestMetrics;
  readonly unread: UnreadReplies;
  /** Returns the RequestID of the next error reply. */
  nextRequestId(): string;
  draining(): boolean;
}

const jsonType = 'application/json; charset=utf-8';
/** Seconds after which a client may try again after an overload or a restart. */
const retryAfter = '1';
/** Counted for a request whose client disconnected; never sent. */
export const clientDisconnectedStatus = 499;
/** A shorter body is read to its end after an early refusal, so that the connection can be kept. */
const unreadBodyBytesMax = 64 * 1024;

export class Exchange implements ReplySink, DisconnectListener {
  previous: DisconnectListener = this;
  next: DisconnectListener = this;
  readonly res: ServerResponse;
  /** As the dispatcher counts it, with the body. */
  bytes: number = requestBytes;
  readonly #context: ReplyContext;
  /** The operation under which the request is counted; refined after the body was read. */
  operation: Operation;
  /** It may wait for a lock or a change: see `RequestOrder`. */
  waits = false;
  /** The client is an EventSource, which gives up for good when the reply has any other status than 200. */
  eventSource = false;
  readonly #startedAt: number;
  readonly #disconnects: Disconnects;
  #cancelable: Cancelable | undefined;
  #waits = false;
  #done = false;
  /** For a 429 or 503. */
  #retryAfter = retryAfter;
  /** After a restore: when the lock may be granted. */
  #closedFor: string | undefined;
  /** Methods of the path, for a 405. */
  #allow = '';

  constructor(context: ReplyContext, operation: Operation, res: ServerResponse) {
    this.res = res;
    this.#context = context;
    this.operation = operation;
    this.#startedAt = context.metrics.now();
    this.#disconnects = Disconnects.of(res.req.socket);
  }

  get disconnected(): boolean {
    return this.#disconnects.disconnected;
  }

  /** The request is in flight. Cancels it when the connection closes. */
  wait(cancelable: Cancelable): void {
    // A dispatcher may have answered before it returned.
    if (this.#done) return;
    this.#cancelable = cancelable;
    if (cancelable.waits === true) {
      // It is bounded by limits of its own, and must not keep later requests from coming in.
      this.#waits = true;
      RequestOrder.of(this.res.req.socket).answered();
    }
    if (this.#disconnects.disconnected) this.onDisconnect();
    else if (this.next === this) this.#disconnects.add(this);
  }

  /** Starts a call that reads the journal, not the shards: once the earlier requests of its connection are answered. */
  afterReplies(start: () => Cancelable): Cancelable {
    this.waits = true;
    let started: Cancelable | undefined;
    let cancelled = false;
    RequestOrder.of(this.res.req.socket).afterReplies(() => {
      if (!cancelled) started = start();
    });
    return {
      cancel: () => {
        cancelled = true;
        started?.cancel();
      },
    };
  }

  onDisconnect(): void {
    this.finish(clientDisconnectedStatus);
    this.#cancelable?.cancel();
  }

  deliver(reply: Reply): void {
    const { outcome, body, replayed } = reply;
    assert(outcome !== 'registered', 'a watch is answered when something happened');
    if (outcome === 'limited') this.#retryAfter = secondsIn(body);
    // After a restore a lock may be closed, and the body says for how long.
    if (outcome === 'not_locked' && body.includes('"RetryAfterMs":')) this.#closedFor = secondsIn(body);
    if (isFailure(outcome)) this.#fail(statusOf(outcome), body, this.#context.nextRequestId());
    else this.#write(statusOf(outcome), body, replayed);
  }

  refuse(failure: Failure, requestId: string = this.#context.nextRequestId()): void {
    if (failure.code === 'method_not_allowed') this.#allow = String(failure.details?.['Allow']);
    this.#fail(statusOf(failure.code), failureBody(failure), requestId);
  }

  /** Answers with a text that others are given too. */
  deliverShared(contentType: string, text: Buffer): void {
    if (this.#done) return;
    this.finish(200);
    if (this.#disconnects.disconnected) return;
    const { boot, unread } = this.#context;
    this.res.writeHead(200, [
      'Dragonlock-Boot',
      boot,
      'Content-Type',
      contentType,
      'Content-Length',
      String(text.length),
    ]);
    this.res.end(text);
    // However many have not read it, there is one copy.
    unread.written(this.res, 0);
  }

  /** The account of the request's connection. */
  get account(): string | undefined {
    return this.#disconnects.account;
  }

  /** For replies that are not JSON, written by the caller (an event stream): only ends and counts the exchange. */
  finish(status: number): void {
    this.#done = true;
    this.#disconnects.remove(this);
    if (!this.#waits) RequestOrder.of(this.res.req.socket).answered();
    this.#context.metrics.count(this.operation, status, this.#startedAt);
  }

  #fail(status: number, body: string, requestId: string): void {
    const text = withRequestId(body, requestId);
    if (this.eventSource && isTemporary(status)) this.#failStream(status, text);
    else this.#write(status, text, undefined);
  }

  /** Ends a stream before it begins, so that an EventSource connects again. It is counted under its status. */
  #failStream(status: number, body: string): void {
    if (this.#done) return;
    this.finish(status);
    if (this.#disconnects.disconnected) return;
    const text = `retry: ${Number(retryAfter) * 1000}\nevent: failure\ndata: ${body}\n\n`;
    this.res.writeHead(200, [
      'Dragonlock-Boot',
      this.#context.boot,
      'Content-Type',
      'text/event-stream',
      'Cache-Control',
      'no-cache',
      'Connection',
      'close',
    ]);
    this.res.end(text);
  }

  #write(status: number, body: string, replayed: true | undefined): void {
    if (this.#done) return;
    this.finish(status);
    if (this.#disconnects.disconnected) return;
    const headers = ['Dragonlock-Boot', this.#context.boot];
    const bytes = Buffer.byteLength(body);
    if (status !== 204) headers.push('Content-Type', jsonType, 'Content-Length', String(bytes));
    if (replayed === true) headers.push('Idempotent-Replayed', 'true');
    if (status >= 400) this.#addFailureHeaders(status, headers);
    this.res.writeHead(status, headers);
    this.res.end(status === 204 ? undefined : body);
    this.#context.unread.written(this.res, bytes);
  }

  #addFailureHeaders(status: number, headers: string[]): void {
    if (status === 429 || status === 503) headers.push('Retry-After', this.#retryAfter);
    if (this.#closedFor !== undefined) headers.push('Retry-After', this.#closedFor);
    if (status === 405) headers.push('Allow', this.#allow);
    if (status === 401) headers.push('WWW-Authenticate', 'Bearer');
    const { complete, headers: asked } = this.res.req;
    // A body that is answered 503 may have been given up because the rest does not arrive.
    const lengthMax = status === 503 ? 0 : unreadBodyBytesMax;
    const long = asked['transfer-encoding'] !== undefined || Number(asked['content-length'] ?? 0) > lengthMax;
    const unread = long && !complete;
    if (unread) closeLingering(this.res.req.socket);
    if (unread || this.#context.draining()) headers.push('Connection', 'close');
  }
}

/** Returns the time in the body of a `limited`, or of a lock that is closed, in whole seconds as the header has them. */
function secondsIn(body: string): string {
  const { RetryAfterMs } = JSON.parse(body) as { readonly RetryAfterMs: number };
  return String(Math.ceil(RetryAfterMs / 1000));
}

/** Returns whether the same request may be answered otherwise in a moment. */
function isTemporary(status: number): boolean {
  return status === 429 || status === 500 || status === 503;
}

/** @param body a JSON object with at least one member, as every error body has */
export function withRequestId(body: string, requestId: string): string {
  return `${body.slice(0, -1)},"RequestID":${JSON.stringify(requestId)}}`;
}
