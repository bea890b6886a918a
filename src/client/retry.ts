/** When something may be sent again, and after how long. */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ClientErrorCode } from './errors.ts';

/** Replies behind which nothing was done, and which pass. (`disk_full` may last: whoever asked should know at once.) */
const transientCodes: ReadonlySet<ErrorCode | ClientErrorCode> = new Set([
  'overloaded',
  'draining',
  'rate_limited',
  'too_many_waiters',
  'request_in_progress',
] satisfies ErrorCode[]);

export function isTransient(code: ErrorCode | ClientErrorCode): boolean {
  return transientCodes.has(code);
}

const firstMs = 25;
const longestMs = 2000;

/**
 * Doubles, with jitter over its upper half, so that clients that failed together do not come back together.
 * @param attempt the number of attempts that have failed
 * @param atLeastMs what the server asked for
 * @param random 0 to 1
 */
export function backoffMs(attempt: number, atLeastMs: number, random: number): number {
  const most = Math.max(atLeastMs, Math.min(longestMs, firstMs * 2 ** attempt));
  return most * (1 + random) * 0.5;
}
