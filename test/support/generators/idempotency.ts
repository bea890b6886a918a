/** Idempotency ids of a request. */
import type { Habits } from './habits.ts';
import type { IdempotencyRequest } from '../../../src/protocol/operations/idempotency.ts';

export function once(h: Habits, most: number): IdempotencyRequest {
  const ids = [...new Set(h.some('id', most))];
  const mode = h.below(2) === 0 ? 'refuse' : 'replay';
  return { ids, ttlMs: h.rememberMs(), mode, fingerprint: h.fingerprint() };
}
