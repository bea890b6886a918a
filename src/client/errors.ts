/**
 * One class for each error. The classes of server errors are keyed by the server's registry, so a new code does not
 * compile until it has a class. The others are errors that only a client can see: no reply came, the outcome is
 * unknown, the other side is not a Dragon Lock server.
 *
 * Program against `instanceof` or `code`. `retryable` says whether the very same call may succeed later.
 */
import { TracedError } from './caller.ts';
import { errorCodes, type ErrorCode } from '../protocol/errors.ts';

/** Codes of the errors that only a client raises. */
export const clientCodes = {
  unreachable: { retryable: true, meaning: 'No server answered in time, and this call changed nothing.' },
  outcome_unknown: {
    retryable: false,
    meaning: 'A write was sent and its reply never came: it may have happened or not, but it will not happen later.',
  },
  not_dragonlock: { retryable: false, meaning: 'The server at the URL is not a Dragon Lock server.' },
  server_too_old: { retryable: false, meaning: 'The server is older than this client requires.' },
  lease_unknown: {
    retryable: false,
    meaning: 'A lock may have ended: it was not renewed before the time at which it may have expired.',
  },
  released: { retryable: false, meaning: 'A lock was used after its release.' },
  closed: { retryable: false, meaning: 'The client was closed.' },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

export type ClientErrorCode = keyof typeof clientCodes;

export interface DragonLockErrorOptions {
  readonly cause?: unknown;
  /** HTTP status, if there was a reply. */
  readonly status?: number;
  /** Finds the request in the server's log. */
  readonly requestId?: string;
  /** The body of the reply, unchanged. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export class DragonLockError extends TracedError {
  readonly code: ErrorCode | ClientErrorCode;
  /** The very same call may succeed later. */
  readonly retryable: boolean;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode | ClientErrorCode, message: string, options: DragonLockErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable =
      code in errorCodes ? errorCodes[code as ErrorCode].retryable : clientCodes[code as ClientErrorCode].retryable;
    this.status = options.status;
    this.requestId = options.requestId;
    this.details = options.details ?? {};
  }

  override get name(): string {
    return this.constructor.name;
  }
}

export class InvalidError extends DragonLockError {}
export class UnauthorizedError extends DragonLockError {}
export class ForbiddenError extends DragonLockError {}
export class NotFoundError extends DragonLockError {}

/** The lock is busy, and the wait (if any) ran out. */
export class NotLockedError extends DragonLockError {
  /** The current holder; undefined if the lock is free and other requests wait for it. */
  get holder(): LockHolder | undefined {
    return holderOf(this.details['Holder']);
  }

  /** Number of waiting requests. */
  get waiters(): number {
    return Number(this.details['Waiters'] ?? 0);
  }
}

export interface LockHolder {
  readonly meta: unknown;
  /** Milliseconds since the epoch, by the server's clock. */
  readonly till: number;
  readonly since: number;
}

export function holderOf(value: unknown): LockHolder | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { Meta, TillMs, Since } = value as Record<string, unknown>;
  return { meta: Meta, till: Number(TillMs), since: Number(Since) };
}

/** The lock is not held under this fence, or no longer. */
export class LockLostError extends DragonLockError {
  get lockId(): string | undefined {
    return this.details['LockID'] as string | undefined;
  }

  /** How the lease ended. */
  get why(): 'expired' | 'forced' | 'released' | 'unknown' {
    return (this.details['Why'] ?? 'unknown') as 'expired' | 'forced' | 'released' | 'unknown';
  }
}

export class VersionMismatchError extends DragonLockError {
  get key(): string {
    return String(this.details['Key']);
  }

  /** The current version; 0: there is no such key. */
  get version(): number {
    return Number(this.details['Version']);
  }
}

export class PreconditionFailedError extends DragonLockError {
  get key(): string {
    return String(this.details['Key']);
  }

  /** The current value of the counter whose `ifEq` does not hold. */
  get value(): number | undefined {
    return this.details['Value'] as number | undefined;
  }

  /** The current version of the key whose `exists` does not hold; 0: there is no such key. */
  get version(): number | undefined {
    return this.details['Version'] as number | undefined;
  }
}

export class OverflowError extends DragonLockError {}

/** An addition would take a counter beyond its `floor` or `ceil`. */
export class OutOfBoundsError extends DragonLockError {
  get key(): string {
    return String(this.details['Key']);
  }

  /** The current value of the counter. */
  get value(): number {
    return Number(this.details['Value']);
  }
}

/** An earlier request used one of the batch's idempotency ids. */
export class DuplicateRequestError extends DragonLockError {
  get ids(): readonly string[] {
    return (this.details['IDs'] ?? []) as readonly string[];
  }

  /** Whether the first request was the same. */
  get same(): boolean {
    return this.details['Same'] === true;
  }

  /** The revision of the first request's commit. */
  get rev(): number {
    return Number(this.details['Rev']);
  }

  /** The reply to the first request, as the server sent it. */
  get response(): unknown {
    return this.details['Response'];
  }
}

export class RequestInProgressError extends DragonLockError {}

/** The cursor of a watch is older than the kept history. */
export class CompactedError extends DragonLockError {
  /** The lowest revision that a watch can still resume from. */
  get oldest(): number {
    return Number(this.details['Oldest']);
  }
}

export class TooLargeError extends DragonLockError {}
export class UnsupportedMediaTypeError extends DragonLockError {}
export class IdempotencyMismatchError extends DragonLockError {}
export class TooManyWaitersError extends DragonLockError {}
export class RateLimitedError extends DragonLockError {}
export class InternalError extends DragonLockError {}
export class OverloadedError extends DragonLockError {}
export class DrainingError extends DragonLockError {}
export class DiskFullError extends DragonLockError {}
export class QuotaExceededError extends DragonLockError {}

const classOf = {
  invalid: InvalidError,
  unauthorized: UnauthorizedError,
  forbidden: ForbiddenError,
  not_found: NotFoundError,
  not_locked: NotLockedError,
  lock_lost: LockLostError,
  version_mismatch: VersionMismatchError,
  precondition_failed: PreconditionFailedError,
  overflow: OverflowError,
  out_of_bounds: OutOfBoundsError,
  duplicate_request: DuplicateRequestError,
  request_in_progress: RequestInProgressError,
  compacted: CompactedError,
  too_large: TooLargeError,
  unsupported_media_type: UnsupportedMediaTypeError,
  idempotency_mismatch: IdempotencyMismatchError,
  too_many_waiters: TooManyWaitersError,
  rate_limited: RateLimitedError,
  internal: InternalError,
  overloaded: OverloadedError,
  draining: DrainingError,
  disk_full: DiskFullError,
  quota_exceeded: QuotaExceededError,
} as const satisfies Record<ErrorCode, typeof DragonLockError>;

/** Makes the error of a reply from its JSON. @returns undefined if `body` is not an error body of Dragon Lock */
export function errorOfReply(status: number, body: unknown): DragonLockError | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const details = body as Record<string, unknown>;
  const { Code, Message, RequestID } = details;
  if (typeof Code !== 'string' || typeof Message !== 'string') return undefined;
  const options = { status, details, ...(typeof RequestID === 'string' && { requestId: RequestID }) };
  if (Object.hasOwn(classOf, Code)) return new classOf[Code as ErrorCode](Code as ErrorCode, Message, options);
  // The code is newer than this client. The status says whether a retry can help.
  return new DragonLockError(status >= 500 ? 'internal' : 'invalid', `${Code}: ${Message}`, options);
}

/** No server answered in time, and this call changed nothing. */
export class UnreachableError extends DragonLockError {
  constructor(message: string, options?: DragonLockErrorOptions) {
    super('unreachable', message, options);
  }
}

/** A write was sent and its reply never came: it may have happened or not. */
export class OutcomeUnknownError extends DragonLockError {
  constructor(message: string, options?: DragonLockErrorOptions) {
    super('outcome_unknown', message, options);
  }
}

export class NotDragonLockError extends DragonLockError {
  constructor(message: string, options?: DragonLockErrorOptions) {
    super('not_dragonlock', message, options);
  }
}

export class ServerTooOldError extends DragonLockError {
  constructor(message: string, options?: DragonLockErrorOptions) {
    super('server_too_old', message, options);
  }
}

/** Reason of a lock's signal if the lease was not renewed in time: it may have ended or not. */
export class LeaseUnknownError extends DragonLockError {
  constructor(message: string, options?: DragonLockErrorOptions) {
    super('lease_unknown', message, options);
  }
}

export class ReleasedError extends DragonLockError {
  constructor(message: string) {
    super('released', message);
  }
}

export class ClosedError extends DragonLockError {
  constructor(message = 'The client was closed.') {
    super('closed', message);
  }
}
