/** Errors in Redis' words: `-CODE message`. Clients look at the code in front. */
import type { ErrorCode } from '../../protocol/errors.ts';
import type { StringOpError } from '../../protocol/operations/string-op.ts';
import type { Reply } from '../../protocol/replies.ts';
import { errorText } from './writer.ts';

/** A command is refused. The message begins with its code: `ERR syntax error`. */
export class RespError extends Error {
  override name = 'RespError';
}

export function refuseCommand(message: string): never {
  throw new RespError(message);
}

/** What each error of the server is called here. */
export const respCodes = {
  invalid: 'ERR',
  unauthorized: 'NOAUTH',
  forbidden: 'NOPERM',
  not_found: 'ERR',
  method_not_allowed: 'ERR',
  not_locked: 'NOTLOCKED',
  lock_lost: 'LOCKLOST',
  receipt_expired: 'RECEIPTEXPIRED',
  limit_mismatch: 'LIMITMISMATCH',
  version_mismatch: 'VERSIONMISMATCH',
  precondition_failed: 'PRECONDITION',
  overflow: 'ERR',
  out_of_bounds: 'OUTOFBOUNDS',
  duplicate_task: 'DUPLICATE',
  target_forbidden: 'NOPERM',
  duplicate_request: 'DUPLICATE',
  conflict: 'TRYAGAIN',
  script_refused: 'ERR',
  request_in_progress: 'TRYAGAIN',
  copy_in_progress: 'ERR',
  account_deleting: 'TRYAGAIN',
  compacted: 'COMPACTED',
  too_large: 'ERR',
  unsupported_media_type: 'ERR',
  // Not MOVED: clients of a Redis cluster would look for a slot behind it.
  moved: 'ERR',
  idempotency_mismatch: 'IDEMPOTENCYMISMATCH',
  script_failed: 'ERR',
  script_timeout: 'ERR',
  too_many_waiters: 'TRYAGAIN',
  rate_limited: 'TRYAGAIN',
  limited: 'TRYAGAIN',
  internal: 'ERR',
  overloaded: 'TRYAGAIN',
  draining: 'LOADING',
  disk_full: 'MISCONF',
  quota_exceeded: 'OOM',
} as const satisfies Record<ErrorCode, string>;

const opErrors = {
  not_integer: 'ERR value is not an integer or out of range',
  not_float: 'ERR value is not a valid float',
  overflow: 'ERR increment or decrement would overflow',
  not_finite: 'ERR increment would produce NaN or Infinity',
  too_large: 'ERR string exceeds maximum allowed size (limits.value_bytes_max)',
  bad_till: 'ERR invalid expire time',
} as const satisfies Record<StringOpError, string>;

export function opErrorText(error: StringOpError): string {
  return errorText(opErrors[error]);
}

/** Clients look for these words, too. */
const notAllowed = 'command not allowed: ';

/** Returns the error for a failure of the server. */
export function failureText(code: ErrorCode, message: string): string {
  return errorText(`${respCodes[code]} ${code === 'quota_exceeded' ? notAllowed : ''}${message}`);
}

/** Returns the error for a reply that is a failure. */
export function failedReplyText({ outcome, body }: Reply): string {
  const { Message } = JSON.parse(body) as { readonly Message: string };
  return failureText(outcome as ErrorCode, Message);
}
