/**
 * Every error that a client can meet, once. HTTP replies, the documentation and the clients derive from this table.
 * `retryable` means that the same request may succeed later without a change by the caller.
 */
export const errorCodes = {
  invalid: {
    status: 400,
    retryable: false,
    meaning: 'The request is malformed; the message names the field and what was expected.',
  },
  unauthorized: { status: 401, retryable: false, meaning: 'The bearer token is missing or unknown.' },
  forbidden: {
    status: 403,
    retryable: false,
    meaning: 'The token may not use this account, or lacks the scope the call needs; or the host is not served.',
  },
  not_found: {
    status: 404,
    retryable: false,
    meaning: 'There is no such path, or the one thing that was read does not exist.',
  },
  method_not_allowed: {
    status: 405,
    retryable: false,
    meaning: 'The path does not take this method; the header Allow lists those that it takes.',
  },
  not_locked: { status: 409, retryable: true, meaning: 'The lock is busy and LockWait (if any) ran out.' },
  lock_lost: {
    status: 409,
    retryable: false,
    meaning: 'The fencing token does not hold the lock: it expired, was forced, or never was given.',
  },
  limit_mismatch: {
    status: 409,
    retryable: false,
    meaning: 'The lock is held in a way that this request does not fit, whatever it waits: `Holder` has the permits.',
  },
  version_mismatch: {
    status: 409,
    retryable: false,
    meaning: 'A key does not have the version that the request named.',
  },
  precondition_failed: { status: 409, retryable: false, meaning: 'An Exists, Equals or IfEq condition does not hold.' },
  overflow: { status: 409, retryable: false, meaning: 'A counter or sequence would leave the range ±(2^53−1).' },
  out_of_bounds: { status: 409, retryable: false, meaning: 'An Add would take a counter beyond its Floor or Ceil.' },
  receipt_expired: {
    status: 409,
    retryable: false,
    meaning: 'A message is not out under this Lock any more; `Why` says what became of it.',
  },
  target_forbidden: {
    status: 403,
    retryable: false,
    meaning:
      'A task may not send requests to this address: it is not on the internet, and `tasks.allow` does not name it.',
  },
  duplicate_task: {
    status: 409,
    retryable: false,
    meaning:
      'There is a task of that ID, or was less than an hour ago; `State` says which. `Replace` puts another in its place.',
  },
  duplicate_request: {
    status: 409,
    retryable: false,
    meaning: 'An idempotency id was used before; the stored reply is included.',
  },
  conflict: {
    status: 409,
    retryable: true,
    meaning: 'What a script had read changed again and again before it was done; `Keys` says which.',
  },
  script_refused: {
    status: 409,
    retryable: false,
    meaning: 'A script called `tx.fail`; `Reason` and `Details` are its own. Nothing was done.',
  },
  request_in_progress: {
    status: 409,
    retryable: true,
    meaning: 'The first request with this idempotency id still waits for its lock.',
  },
  copy_in_progress: {
    status: 409,
    retryable: false,
    meaning: 'A copy for the backup is asked for already, or being made; it will do.',
  },
  account_deleting: {
    status: 409,
    retryable: true,
    meaning: 'The account is being deleted; nothing was done. It can be used again when all that it had is gone.',
  },
  compacted: {
    status: 410,
    retryable: false,
    meaning:
      'The watch cursor is older than the history that is kept, or history after it is damaged: ' +
      'list again and watch from there.',
  },
  too_large: {
    status: 413,
    retryable: false,
    meaning: 'The body, a value, a list, or what would be written or answered is over its limit.',
  },
  unsupported_media_type: {
    status: 415,
    retryable: false,
    meaning: 'The body is not JSON in plain UTF-8, nor, with ?as=text, text.',
  },
  moved: {
    status: 421,
    retryable: false,
    meaning: 'The account is on another machine, `Owner`; nothing was done.',
  },
  idempotency_mismatch: {
    status: 422,
    retryable: false,
    meaning: 'The idempotency id was used before with another payload.',
  },
  script_failed: {
    status: 422,
    retryable: false,
    meaning: 'A script does not compile, threw an error, or went beyond a limit; `Error` says where. Nothing was done.',
  },
  script_timeout: {
    status: 422,
    retryable: false,
    meaning: 'A script took more CPU time than its call may. Nothing was done.',
  },
  too_many_waiters: {
    status: 429,
    retryable: true,
    meaning:
      'The queue of this lock, the consumers of this queue, or what waits or watches, is at its limit; `Quota` and `Limit` name it.',
  },
  rate_limited: {
    status: 429,
    retryable: true,
    meaning: 'The account uses more than its limit of requests or mutexes; `Quota` and `Limit` name it.',
  },
  limited: {
    status: 429,
    retryable: true,
    meaning: 'A rate limit has less left than was asked for; `RetryAfterMs` says when it has so much.',
  },
  internal: {
    status: 500,
    retryable: true,
    meaning: 'A bug in the server; the log has the details under the same RequestID.',
  },
  overloaded: {
    status: 503,
    retryable: true,
    meaning:
      'Too many requests are in flight, too many connections or files open, or checkpoints behind; nothing was done.',
  },
  draining: { status: 503, retryable: true, meaning: 'The server is starting or stopping; nothing was done.' },
  disk_full: {
    status: 507,
    retryable: true,
    meaning:
      'There is no room for a write: no disk space, or no more open files. Reads, unlocks and deletes are still served.',
  },
  quota_exceeded: {
    status: 507,
    retryable: false,
    meaning:
      'The store has reached limits.store_bytes_max, the account a quota, or a queue its MaxMessages; `Quota` says ' +
      'which. Reads, unlocks, deletes, Dequeue and Ack are still served.',
  },
} as const satisfies Record<string, { status: number; retryable: boolean; meaning: string }>;

/** What is wrong, in one word for programs. */
export type ErrorCode = keyof typeof errorCodes;

/** An error that a client caused or must handle: a value, never an exception, inside the server. */
export interface Failure {
  readonly code: ErrorCode;
  /** Says what is wrong and what was expected. */
  readonly message: string;
  /** Further members of the error body, by their JSON names. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export function failure(code: ErrorCode, message: string, details?: Readonly<Record<string, unknown>>): Failure {
  return details === undefined ? { code, message } : { code, message, details };
}

/** Returns the body of an error reply, without the RequestID, which the front end adds. */
export function failureBody(f: Failure): string {
  return JSON.stringify({ Code: f.code, Message: f.message, ...f.details });
}
