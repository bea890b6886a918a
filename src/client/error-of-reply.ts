/** The class of each error of the server, keyed by its registry: a new code does not compile until it has a class. */
import type { ErrorCode } from '../protocol/errors.ts';
import {
  AccountDeletingError,
  CompactedError,
  DiskFullError,
  DragonLockError,
  DrainingError,
  DuplicateRequestError,
  ForbiddenError,
  IdempotencyMismatchError,
  InternalError,
  InvalidError,
  LimitedError,
  LockLostError,
  MethodNotAllowedError,
  NotFoundError,
  NotLockedError,
  OutOfBoundsError,
  OverflowError,
  OverloadedError,
  PreconditionFailedError,
  RateLimitedError,
  ReceiptExpiredError,
  RequestInProgressError,
  TooLargeError,
  TooManyWaitersError,
  UnauthorizedError,
  UnsupportedMediaTypeError,
  VersionMismatchError,
} from './errors.ts';
import { LimitMismatchError } from './lock-errors.ts';
import { DuplicateTaskError, TargetForbiddenError } from './task-error.ts';
import { MovedError } from './moved-error.ts';
import { QuotaExceededError } from './quota-error.ts';
import { CopyInProgressError } from './backup-errors.ts';
import { ConflictError, ScriptFailedError, ScriptRefusedError, ScriptTimeoutError } from './script-errors.ts';

const classOf = {
  invalid: InvalidError,
  unauthorized: UnauthorizedError,
  forbidden: ForbiddenError,
  not_found: NotFoundError,
  method_not_allowed: MethodNotAllowedError,
  not_locked: NotLockedError,
  lock_lost: LockLostError,
  limit_mismatch: LimitMismatchError,
  version_mismatch: VersionMismatchError,
  precondition_failed: PreconditionFailedError,
  overflow: OverflowError,
  out_of_bounds: OutOfBoundsError,
  receipt_expired: ReceiptExpiredError,
  target_forbidden: TargetForbiddenError,
  duplicate_task: DuplicateTaskError,
  duplicate_request: DuplicateRequestError,
  conflict: ConflictError,
  script_refused: ScriptRefusedError,
  request_in_progress: RequestInProgressError,
  copy_in_progress: CopyInProgressError,
  account_deleting: AccountDeletingError,
  compacted: CompactedError,
  too_large: TooLargeError,
  unsupported_media_type: UnsupportedMediaTypeError,
  moved: MovedError,
  idempotency_mismatch: IdempotencyMismatchError,
  script_failed: ScriptFailedError,
  script_timeout: ScriptTimeoutError,
  too_many_waiters: TooManyWaitersError,
  rate_limited: RateLimitedError,
  limited: LimitedError,
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
