/**
 * One class for each error. Those of server errors have their codes in `error-of-reply.ts`; the others only a client can
 * see: no reply came, the outcome is unknown, the other side is not a Dragon Lock server.
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

/** The codes of errors that only a client raises. */
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

/** What all errors of the client have in common. Program against the classes, or `code`. */
export class DragonLockError extends TracedError {
  /** What is wrong, in one word for programs. */
  readonly code: ErrorCode | ClientErrorCode;
  /** The very same call may succeed later. */
  readonly retryable: boolean;
  /** HTTP status, if there was a reply. */
  readonly status: number | undefined;
  /** Finds the request in the server's log. */
  readonly requestId: string | undefined;
  /** The body of the reply, unchanged, in the names of the HTTP API. */
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

/** An argument is wrong; the message names it and what was expected. */
export class InvalidError extends DragonLockError {}
/** The token is missing or unknown. */
export class UnauthorizedError extends DragonLockError {}
/** The token may not use this account, or lacks the scope that the call needs. */
export class ForbiddenError extends DragonLockError {}
/** What was read does not exist. */
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

/** Who holds a lock. */
export interface LockHolder {
  /** What the holder has passed as `meta`. */
  readonly meta: unknown;
  /** When it ends without a renewal: milliseconds since the epoch, by the server's clock. */
  readonly till: number;
  /** When the holder took it: milliseconds since the epoch, by the server's clock. */
  readonly since: number;
}

export function holderOf(value: unknown): LockHolder | undefined {
  if (typeof value !== 'object' || value === null || 'Holders' in value) return undefined;
  const { Meta, TillMs, Since } = value as Record<string, unknown>;
  return { meta: Meta, till: Number(TillMs), since: Number(Since) };
}

/** The account is being deleted. It can be used again when all that it had is gone. */
export class AccountDeletingError extends DragonLockError {}

/** The lock is not held under this fence, or no longer. */
export class LockLostError extends DragonLockError {
  /** Name of the lock. */
  get lockId(): string | undefined {
    return this.details['LockID'] as string | undefined;
  }

  /** How the lease ended. */
  get why(): 'expired' | 'forced' | 'released' | 'unknown' {
    return (this.details['Why'] ?? 'unknown') as 'expired' | 'forced' | 'released' | 'unknown';
  }
}

/** A key does not have the version that the call named. */
export class VersionMismatchError extends DragonLockError {
  /** The key, or the counter. */
  get key(): string {
    return String(this.details['Key']);
  }

  /** The current version; 0: there is no such key. */
  get version(): number {
    return Number(this.details['Version']);
  }
}

/** An `exists`, `equals` or `ifEq` does not hold. */
export class PreconditionFailedError extends DragonLockError {
  /** The key, or the counter. */
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

/** A counter or sequence would leave the range ±(2^53−1). */
export class OverflowError extends DragonLockError {}

/** An addition would take a counter beyond its `floor` or `ceil`. */
export class OutOfBoundsError extends DragonLockError {
  /** Name of the counter. */
  get key(): string {
    return String(this.details['Key']);
  }

  /** The current value of the counter. */
  get value(): number {
    return Number(this.details['Value']);
  }
}

/** A rate limit has less left than was asked for; nothing was taken. */
export class LimitedError extends DragonLockError {
  /** Name of the limit. */
  get key(): string {
    return String(this.details['Key']);
  }

  /** How much is left of it. */
  get left(): number {
    return Number(this.details['Left']);
  }

  /** Milliseconds until all of its burst is there again. */
  get resetMs(): number {
    return Number(this.details['ResetMs']);
  }

  /** Milliseconds until it has so much, if nobody else takes it. */
  get retryAfterMs(): number {
    return Number(this.details['RetryAfterMs']);
  }
}

/** An earlier request used one of the batch's idempotency ids. */
export class DuplicateRequestError extends DragonLockError {
  /** The ids of the batch that were used before. */
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
/** A message is not out under this Lock any more. */
export class ReceiptExpiredError extends DragonLockError {
  /** What became of it: `expired`, `redelivered`, … */
  get why(): string {
    return String(this.details['Why']);
  }
}

/** The first request with this id is still running. */
export class RequestInProgressError extends DragonLockError {}

/** The cursor of a watch is older than the kept history. */
export class CompactedError extends DragonLockError {
  /** The lowest revision that a watch can still resume from. */
  get oldest(): number {
    return Number(this.details['Oldest']);
  }
}

/** The request, a value or the reply is too large. */
export class TooLargeError extends DragonLockError {}
/** The path does not take this method: a bug of the client, or another server. */
export class MethodNotAllowedError extends DragonLockError {}
/** The server does not take this content type. */
export class UnsupportedMediaTypeError extends DragonLockError {}
/** An idempotency id was used before, for another request. */
export class IdempotencyMismatchError extends DragonLockError {}
/** Too many requests wait already. */
export class TooManyWaitersError extends DragonLockError {}
/** The account has sent too many requests. */
export class RateLimitedError extends DragonLockError {}
/** The server has failed; its log says why. */
export class InternalError extends DragonLockError {}
/** The server has too much to do; it has done nothing for this call. */
export class OverloadedError extends DragonLockError {}
/** The server is about to stop; it has done nothing for this call. */
export class DrainingError extends DragonLockError {}
/** The server's disk is full: it only reads, deletes and releases. */
export class DiskFullError extends DragonLockError {}
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

/** The server at the URL is not a Dragon Lock server. */
export class NotDragonLockError extends DragonLockError {
  constructor(message: string, options?: DragonLockErrorOptions) {
    super('not_dragonlock', message, options);
  }
}

/** The server is older than this client requires. */
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

/** A lock was used after its release; or was released because the process is about to end. */
export class ReleasedError extends DragonLockError {
  constructor(message: string) {
    super('released', message);
  }
}

/** The client was closed. */
export class ClosedError extends DragonLockError {
  constructor(message = 'The client was closed.') {
    super('closed', message);
  }
}
