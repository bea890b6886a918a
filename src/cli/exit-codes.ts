/**
 * The exit codes. They are all that a shell script sees, so each code has one meaning in all commands. The codes above
 * 63 are from sysexits(3); `lock` ends with the exit code of its child.
 */
import type { ClientErrorCode, DragonLockError } from '../client/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';

export const exitCodes = {
  done: 0,
  /** The result is negative: there is no such key, a condition does not hold. */
  negative: 1,
  usage: 64,
  unavailable: 69,
  internal: 70,
  outcomeUnknown: 74,
  notAcquired: 75,
  lost: 76,
  noPermission: 77,
  cannotExecute: 126,
  commandNotFound: 127,
  /** The reader of our output has gone: 128 + SIGPIPE. */
  brokenPipe: 141,
} as const;

const codeOfError = {
  invalid: exitCodes.usage,
  unauthorized: exitCodes.noPermission,
  forbidden: exitCodes.noPermission,
  not_found: exitCodes.negative,
  not_locked: exitCodes.notAcquired,
  lock_lost: exitCodes.lost,
  version_mismatch: exitCodes.negative,
  precondition_failed: exitCodes.negative,
  overflow: exitCodes.negative,
  duplicate_request: exitCodes.negative,
  request_in_progress: exitCodes.unavailable,
  compacted: exitCodes.negative,
  too_large: exitCodes.usage,
  unsupported_media_type: exitCodes.usage,
  idempotency_mismatch: exitCodes.negative,
  too_many_waiters: exitCodes.unavailable,
  rate_limited: exitCodes.unavailable,
  internal: exitCodes.internal,
  overloaded: exitCodes.unavailable,
  draining: exitCodes.unavailable,
  disk_full: exitCodes.unavailable,
  quota_exceeded: exitCodes.unavailable,
  unreachable: exitCodes.unavailable,
  outcome_unknown: exitCodes.outcomeUnknown,
  not_dragonlock: exitCodes.unavailable,
  server_too_old: exitCodes.unavailable,
  lease_unknown: exitCodes.lost,
  released: exitCodes.internal,
  closed: exitCodes.internal,
} as const satisfies Record<ErrorCode | ClientErrorCode, number>;

export function exitCodeOf({ code }: DragonLockError): number {
  return codeOfError[code];
}

/** The command was called wrongly, or its input cannot be read. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The result is negative, which is no fault. The message goes to stderr. */
export class NegativeResult extends Error {
  override readonly name = 'NegativeResult';
}
