/** A call to the server, and its state until it is settled. */
import type { Mark } from './lease-clock.ts';

/** Whether a call can be sent again, in the terms of RFC 9110 §9.2. */
export type Retry =
  /** It only reads. */
  | 'safe'
  /** Sent twice, it happens once: it has an id, an owner or a fence. */
  | 'idempotent'
  /** Sent twice, it may happen twice. */
  | 'unsafe';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** A function is called for each attempt. */
  readonly path: string | (() => string);
  /** Called for each attempt, because the rest of a wait shrinks. */
  readonly body?: (() => string) | undefined;
  readonly idempotencyKey?: string | undefined;
  /** Absent: the body is JSON. */
  readonly contentType?: string | undefined;
  readonly retry: Retry;
  /** Milliseconds for which the server may delay the reply. */
  readonly waitMs?: number | undefined;
  /** Milliseconds in addition to `waitMs`. Default: the client's timeout. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * It changes something, and calls behind it keep their order: its request goes on after an abort, because one whose
   * connection was closed may still happen at any time.
   */
  readonly ordered?: boolean | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: Body;
  /** When the answered attempt was sent. */
  readonly sentAt: Mark;
}

export type Body = Readonly<Record<string, unknown>>;

/** A call that is not settled yet. */
export class PendingCall {
  readonly call: Call;
  readonly startedAt: Mark;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  /** The caller has its result or error. */
  settled = false;
  /** The server may have received it. */
  sent = false;

  constructor(call: Call, startedAt: Mark, resolve: (answer: Answer) => void, reject: (error: unknown) => void) {
    this.call = call;
    this.startedAt = startedAt;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  resolve(answer: Answer): void {
    this.settled = true;
    this.#resolve(answer);
  }

  reject(error: unknown): void {
    this.settled = true;
    this.#reject(error);
  }
}
