import { failureBody, type ErrorCode, type Failure } from './errors.ts';
import type { AccountId, Revision } from './ids.ts';

/**
 * How a request ended, in words that every door understands. `ok`: `body` says what came of it. `none`: nothing came, a
 * watch or a wait ran out. `registered`: only inside the server, an event will follow. Anything else is an error code.
 */
export type Outcome = 'ok' | 'none' | 'registered' | ErrorCode;

/** What a shard answers to one command: finished, and may leave once `rev` is durable. */
export interface Reply {
  /** The highest revision that this reply depends on. */
  readonly rev: Revision;
  readonly outcome: Outcome;
  /** A complete JSON object as text. Errors lack only the RequestID. Empty for `none` and `registered`. */
  readonly body: string;
  /** The stored reply of an earlier request with the same idempotency id. */
  readonly replayed?: true;
  /** The reply hands out a lock (it does not extend one), which must be given back if nobody is there to take it. */
  readonly grant?: Grant;
}

export interface Grant {
  readonly account: AccountId;
  readonly id: string;
  readonly fence: number;
  /** An in-memory mutex rather than a durable lock. */
  readonly mutex: boolean;
  /** The lock's version when it was granted: a lock confirmed since then by another request is not given back. */
  readonly version: number;
}

export function failureReply(rev: Revision, f: Failure): Reply {
  return { rev, outcome: f.code, body: failureBody(f) };
}

export function isFailure(outcome: Outcome): outcome is ErrorCode {
  return outcome !== 'ok' && outcome !== 'none' && outcome !== 'registered';
}
