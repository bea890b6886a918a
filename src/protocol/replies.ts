import { failureBody, type ErrorCode, type Failure } from './errors.ts';
import type { AccountId, Revision } from './ids.ts';

/**
 * How a request ended, in terms that every front end understands. `ok`: `body` has the result. `none`: a watch or a
 * wait ran out without one. `registered`: only inside the server, an event will follow. Anything else is an error code.
 */
export type Outcome = 'ok' | 'none' | 'registered' | ErrorCode;

/** A shard's answer to one command. It is finished, and may leave once `rev` is durable. */
export interface Reply {
  /** The highest revision that this reply depends on. */
  readonly rev: Revision;
  readonly outcome: Outcome;
  /** A complete JSON object as text. Errors lack only the RequestID. Empty for `none` and `registered`. */
  readonly body: string;
  /** It is the stored reply of an earlier request with the same idempotency id. */
  readonly replayed?: true;
  /** The reply grants a lock or delivers messages. The grant is returned if the client has disconnected. */
  readonly grant?: Grant;
  /** The reply is held for so long: a slot of a rate limit that the request has taken begins then. */
  readonly heldMs?: number;
}

export interface Grant {
  readonly account: AccountId;
  readonly id: string;
  readonly fence: number;
  /** True for an in-memory mutex, false for a durable lock. */
  readonly mutex: boolean;
  /** The lock's version at the grant: a lock that another request has confirmed since is not returned. */
  readonly version: number;
  /** The request stood in line for it, so its client may have gone meanwhile. */
  readonly waited: boolean;
  /** The ids of messages that the reply delivers: then `id` is their queue. */
  readonly messages?: readonly string[];
  /** The reply grants a lock besides. */
  readonly also?: Grant;
}

export function failureReply(rev: Revision, f: Failure): Reply {
  return { rev, outcome: f.code, body: failureBody(f) };
}

export function isFailure(outcome: Outcome): outcome is ErrorCode {
  return outcome !== 'ok' && outcome !== 'none' && outcome !== 'registered';
}
