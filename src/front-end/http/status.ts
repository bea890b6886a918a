import { errorCodes } from '../../protocol/errors.ts';
import type { Outcome } from '../../protocol/replies.ts';

/** Returns the HTTP status of an outcome. */
export function statusOf(outcome: Exclude<Outcome, 'registered'>): number {
  if (outcome === 'ok') return 200;
  return outcome === 'none' ? 204 : errorCodes[outcome].status;
}
