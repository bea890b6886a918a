/**
 * One request and the one reply to it: the `ReplySink` of the dispatcher. It leaves the connection's ring, counts the
 * request, and has its reply written by the way on which the request came: Node's response (http-exchange.ts), or the
 * fast lane (lane/lane-exchange.ts).
 */
import { failureBody, type Failure } from '../../protocol/errors.ts';
import { requestBytes } from '../../router/memory-costs.ts';
import { isFailure, type Reply } from '../../protocol/replies.ts';
import { assert } from '../../shared/assert.ts';
import { headersOf, noHeaders } from './failure-headers.ts';
import { statusOf } from './status.ts';
import type { ReplySink, Cancelable } from '../../router/dispatcher.ts';
import type { Disconnects, DisconnectListener } from './sockets/disconnects.ts';
import type { RequestOrder } from './sockets/request-order.ts';
import type { BusyAccounts } from '../busy-accounts.ts';
import type { EndedRequest, LoggedRequest, RequestLog } from '../request-log.ts';
import type { Operation, RequestMetrics } from '../request-metrics.ts';
import type { UnreadReplies } from './sockets/unread-replies.ts';

/** Shared by all exchanges of one app. */
export interface ReplyContext {
  readonly boot: string;
  readonly metrics: RequestMetrics;
  readonly unread: UnreadReplies;
  readonly requestLog: RequestLog;
  readonly busy: BusyAccounts;
  /** Returns the RequestID of the next error reply. */
  nextRequestId(): string;
  draining(): boolean;
}

export const jsonType = 'application/json; charset=utf-8';
/** Seconds after which a client may try again after an overload or a restart. */
export const retryAfter = '1';
/** Counted for a request whose client disconnected; never sent. */
export const clientDisconnectedStatus = 499;

/** What a reply says: one text, or parts that follow each other, so that nobody has to put 64 MiB into one text. */
export type ReplyBody = string | { readonly parts: readonly string[]; readonly bytes: number; readonly chars: number };

export abstract class Exchange implements ReplySink, DisconnectListener {
  previous: DisconnectListener = this;
  next: DisconnectListener = this;
  /** As the dispatcher counts it, with the body. */
  bytes: number = requestBytes;
  /** The operation under which the request is counted; refined after the body was read. */
  operation: Operation;
  /** It may wait for a lock or a change: see `RequestOrder`. */
  waits = false;
  /** For the log of requests. */
  request: LoggedRequest | undefined = undefined;
  protected readonly context: ReplyContext;
  protected readonly connection: Disconnects;
  readonly #order: RequestOrder;
  readonly #startedAt: number;
  /** Seconds that the reply itself tells. */
  #retryAfter: string | undefined;
  #requestId: string | undefined;
  #refusalHeaders: readonly string[] = noHeaders;
  #cancelable: Cancelable | undefined;
  #waits = false;
  #holds = false;
  #done = false;

  constructor(context: ReplyContext, operation: Operation, connection: Disconnects, order: RequestOrder) {
    this.context = context;
    this.operation = operation;
    this.connection = connection;
    this.#order = order;
    this.#startedAt = context.metrics.now();
  }

  /** Returns the seconds after which a client may try again, for a reply that says so. */
  protected retryAfterOf(status: number): string | undefined {
    return this.#retryAfter ?? (status === 429 || status === 503 ? retryAfter : undefined);
  }

  /** Names and values in turn of the headers that only a refusal has. */
  protected get refusalHeaders(): readonly string[] {
    return this.#refusalHeaders;
  }

  /** Writes the reply; the client is there to read it. */
  protected abstract write(status: number, body: ReplyBody, replayed: true | undefined): void;

  get disconnected(): boolean {
    return this.connection.disconnected;
  }

  /** The reply has left, or nobody is there to read it. */
  get done(): boolean {
    return this.#done;
  }

  /** The account of the request's connection. */
  get account(): string | undefined {
    return this.connection.account;
  }

  /** The request is in flight. Cancels it when the connection closes. */
  wait(cancelable: Cancelable): void {
    // A dispatcher may have answered before it returned.
    if (this.#done) return;
    this.#cancelable = cancelable;
    if (cancelable.waits === true) {
      // It is bounded by limits of its own, and must not keep later requests from coming in.
      this.#waits = true;
      this.#order.answered();
    }
    if (this.connection.disconnected) this.onDisconnect();
    else if (this.next === this) this.connection.add(this);
  }

  /** Starts a call that reads the journal, not the shards: once the earlier requests of its connection are answered. */
  afterReplies(start: () => Cancelable): Cancelable {
    this.waits = true;
    let started: Cancelable | undefined;
    let cancelled = false;
    this.#order.afterReplies(() => {
      if (!cancelled) started = start();
    });
    return {
      cancel: () => {
        cancelled = true;
        started?.cancel();
      },
    };
  }

  /** No later request of its connection begins before this one is answered: it comes to its keys only in its end. */
  holdConnection(): void {
    if (this.#done || this.#holds) return;
    this.#holds = true;
    this.#order.hold();
  }

  onDisconnect(): void {
    this.finish(clientDisconnectedStatus);
    this.#cancelable?.cancel();
  }

  /** Closes the connection, and with it all that is in flight on it. */
  disconnect(): void {
    this.connection.socket.destroy();
  }

  deliver(reply: Reply): void {
    const { outcome, body, replayed } = reply;
    assert(outcome !== 'registered', 'a watch is answered when something happened');
    if (outcome === 'limited') this.#retryAfter = secondsIn(body);
    // After a restore a lock may be closed, and the body says for how long.
    if (outcome === 'not_locked' && body.includes('"RetryAfterMs":')) this.#retryAfter = secondsIn(body);
    if (isFailure(outcome)) this.fail(statusOf(outcome), body, this.context.nextRequestId());
    else this.answer(statusOf(outcome), body, replayed);
  }

  /** Answers 200 with parts that together are JSON. */
  deliverParts(body: ReplyBody): void {
    this.answer(statusOf('ok'), body, undefined);
  }

  refuse(failure: Failure, requestId: string = this.context.nextRequestId()): void {
    this.#refusalHeaders = headersOf(failure);
    this.fail(statusOf(failure.code), failureBody(failure), requestId);
  }

  /** For replies that are not JSON, written by the caller (an event stream): only ends and counts the exchange. */
  finish(status: number, bytes = 0): void {
    this.#done = true;
    this.connection.remove(this);
    if (!this.#waits) this.#order.answered();
    if (this.#holds) process.nextTick(() => this.#order.leave());
    const { metrics, requestLog, busy } = this.context;
    const ms = metrics.count(this.operation, status, this.#startedAt);
    const slow = requestLog.isSlow(ms, this.waits || this.#waits);
    if (slow) {
      metrics.countSlow();
      requestLog.remember(this.#ended(status, ms, bytes));
    }
    if (busy.isSampled()) this.#sample(ms, bytes);
    if (requestLog.wants(status, slow)) requestLog.add(this.#ended(status, ms, bytes), slow);
  }

  #sample(ms: number, bytes: number): void {
    const { account } = this.connection;
    if (account !== undefined) this.context.busy.add(account, { bytes, ms, waits: this.waits || this.#waits });
  }

  #ended(status: number, ms: number, bytes: number): EndedRequest {
    const { operation, connection, request } = this;
    const { account, socket } = connection;
    const waits = this.waits || this.#waits;
    const address = socket.remoteAddress;
    return { operation, account, status, ms, waits, bytes, requestId: this.#requestId, address, request };
  }

  protected fail(status: number, body: string, requestId: string): void {
    this.#requestId = requestId;
    this.answer(status, withRequestId(body, requestId), undefined);
  }

  protected answer(status: number, body: ReplyBody, replayed: true | undefined): void {
    if (this.#done) return;
    if (replayed === true) this.context.metrics.countReplay();
    this.finish(status, typeof body === 'string' ? body.length : body.chars);
    if (!this.connection.disconnected) this.write(status, body, replayed);
  }
}

/** Returns the time in the body of a `limited`, or of a lock that is closed, in whole seconds as the header has them. */
function secondsIn(body: string): string {
  const { RetryAfterMs } = JSON.parse(body) as { readonly RetryAfterMs: number };
  return String(Math.ceil(RetryAfterMs / 1000));
}

/** @param body a JSON object with at least one member, as every error body has */
export function withRequestId(body: string, requestId: string): string {
  return `${body.slice(0, -1)},"RequestID":${JSON.stringify(requestId)}}`;
}
