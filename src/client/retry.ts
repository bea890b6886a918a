/** Which errors to retry, and after what delay. */
import type { ErrorCode } from '../protocol/errors.ts';
import type { ClientErrorCode } from './errors.ts';

/** After these the server has done nothing, and a retry can succeed. (`disk_full` may last: report it at once.) */
const transientCodes: ReadonlySet<ErrorCode | ClientErrorCode> = new Set([
  'overloaded',
  'draining',
  'rate_limited',
  'too_many_waiters',
  'request_in_progress',
  // The maps of two machines may differ for a moment.
  'moved',
] satisfies ErrorCode[]);

export function isTransient(code: ErrorCode | ClientErrorCode): boolean {
  return transientCodes.has(code);
}

const firstMs = 25;
const longestMs = 2000;

/**
 * Doubles the delay, with jitter over its upper half, so that clients that failed together do not retry together.
 * @param attempt the number of attempts that have failed
 * @param atLeastMs the delay that the server asked for
 * @param random from 0 to 1
 */
export function backoffMs(attempt: number, atLeastMs: number, random: number): number {
  const most = Math.max(atLeastMs, Math.min(longestMs, firstMs * 2 ** attempt));
  return most * (1 + random) * 0.5;
}

/** The delay that a gateway asks for, within bounds: it may be a fixed text that knows nothing of the server behind. */
export function gatewayHintMs(retryAfterMs: number | undefined): number {
  return Math.min(retryAfterMs ?? 0, longestMs);
}
