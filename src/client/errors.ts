/**
 * What can go wrong, one class each. Those with a code of the server are made from its registry, so that a new code
 * does not compile until it has a class; the others are what only a client can see: nobody answered, the outcome is
 * not known, the other side is no Dragon Lock.
 *
 * Program against `instanceof` or `code`. `retryable` says whether the very same call may succeed later.
 */
import { errorCodes, type ErrorCode } from '../protocol/errors.ts';

/** Codes of errors that no server sends. */
export const clientCodes = {
  unreachable: { retryable: true, meaning: 'Nobody answered in time, and nothing was changed by this call.' },
  outcome_unknown: {
    retryable: false,
    meaning: 'A write was sent and its reply never came: it may have happened or not, and will not happen later.',
  },
  not_dragonlock: { retryable: false, meaning: 'What answers at the URL is not a Dragon Lock server.' },
  server_too_old: { retryable: false, meaning: 'The server is older than what this client needs.' },
  lease_unknown: {
    retryable: false,
    meaning: 'A lock may have ended: it could not be renewed before the time at which it may have expired.',
  },
  released: { retryable: false, meaning: 'A lock was used behind its release.' },
  closed: { retryable: false, meaning: 'The client was closed.' },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

export type ClientErrorCode = keyof typeof clientCodes;

export interface DragonLockErrorOptions {
  readonly cause?: unknown;
  /** HTTP status, if there was a reply. */
  readonly status?: number;
  /** Under which the server's log may have more. */
  readonly requestId?: string;
  /** The reply's body, as it came. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export class DragonLockError extends Error {
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
  /** Whoever is in the way; absent if the lock is free and only its line is in the way. */
  get holder(): LockHolder | undefined {
    return holderOf(this.details['Holder']);
  }

  /** Requests in line. */
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

/** The lock is not held (any more) under this fence. */
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

  /** What it is now; 0: there is no such key. */
  get version(): number {
    return Number(this.details['Version']);
  }
}

export class PreconditionFailedError extends DragonLockError {
  get key(): string {
    return String(this.details['Key']);
  }

  /** What the counter is now. */
  get value(): number {
    return Number(this.details['Value']);
  }
}

export class OverflowError extends DragonLockError {}

/** One of the batch's own idempotency ids was used before. */
export class DuplicateRequestError extends DragonLockError {
  get ids(): readonly string[] {
    return (this.details['IDs'] ?? []) as readonly string[];
  }

  /** Whether the first request asked for the same. */
  get same(): boolean {
    return this.details['Same'] === true;
  }

  /** The revision of the first request's commit. */
  get rev(): number {
    return Number(this.details['Rev']);
  }

  /** What the first was answered, as the server sent it. */
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

/** The error of a reply. `body`: its JSON; anything else than an error body of this server gives `undefined`. */
export function errorOfReply(status: number, body: unknown): DragonLockError | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const details = body as Record<string, unknown>;
  const { Code, Message, RequestID } = details;
  if (typeof Code !== 'string' || typeof Message !== 'string') return undefined;
  const options = { status, details, ...(typeof RequestID === 'string' && { requestId: RequestID }) };
  if (Object.hasOwn(classOf, Code)) return new classOf[Code as ErrorCode](Code as ErrorCode, Message, options);
  // A code that is newer than this client: what it means for a retry is told by its status.
  return new DragonLockError(status >= 500 ? 'internal' : 'invalid', `${Code}: ${Message}`, options);
}

/** Nobody answered, and nothing was changed by this call. */
export class UnreachableError extends DragonLockError {
  constructor(message: string, options?: DragonLockErrorOptions) {
    super('unreachable', message, options);
  }
}

/** A write was sent and its reply never came. */
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

/** The reason of a lock's signal, when the lease could not be renewed in time: it may have ended, or not. */
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
