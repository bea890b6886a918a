/** A call to the server, and its way to an answer. */
import type { Mark } from './lease-clock.ts';

/** What sending it twice does. */
export type Retry =
  /** Nothing. */
  | 'safe'
  /** It happens once: it has an id, an owner or a fence. */
  | 'idempotent'
  /** It may happen twice. */
  | 'unsafe';

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** Made for each attempt, because what is left of a wait shrinks. */
  readonly body?: (() => string) | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly retry: Retry;
  /** Milliseconds that the server may hold the reply back. */
  readonly waitMs?: number | undefined;
  /** Milliseconds for everything beyond `waitMs`. Default: the client's timeout. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: Body;
  /** When the attempt that was answered was sent. */
  readonly sentAt: Mark;
}

export type Body = Readonly<Record<string, unknown>>;

/** A call on its way. */
export class PendingCall {
  readonly call: Call;
  readonly startedAt: Mark;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  /** Somebody has been told how it ended. */
  settled = false;
  /** The server may have seen it. */
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
