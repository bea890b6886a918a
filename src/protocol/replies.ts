import type { AccountId, Revision } from './ids.ts';
import { errorCodes, failureBody, type Failure } from './errors.ts';

/** What a shard answers to one command: a finished HTTP reply that may leave once `rev` is durable. */
export interface Reply {
  /** The highest revision that this reply depends on. */
  readonly rev: Revision;
  /** HTTP status. 0 only inside the server: "registered, an event will follow" (watch). */
  readonly status: number;
  /** A complete JSON object as text. Errors lack only the RequestID. Empty for 204. */
  readonly body: string;
  /** The stored reply of an earlier request with the same idempotency id. */
  readonly replayed?: true;
  /** The reply hands out a lock (it does not extend one), which must be given back if nobody is there to take it. */
  readonly grant?: Grant;
}

export interface Grant {
  readonly account: AccountId;
  readonly id: string;
  readonly handle: number;
  /** An in-memory mutex rather than a durable lock. */
  readonly mutex: boolean;
  /** The lock's version when it was granted: a lock confirmed since then by another request is not given back. */
  readonly version: number;
}

export function failureReply(rev: Revision, f: Failure): Reply {
  return { rev, status: errorCodes[f.code].status, body: failureBody(f) };
}
