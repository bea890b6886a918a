/**
 * Idempotency ids come in the body (`IdempotencyIDs`, a duplicate is refused unless the mode is "replay") or in the
 * header `Idempotency-Key` (always replay, as in the IETF draft).
 */
import { idempotencyTtlMsDefault } from '../../../shared/limits.ts';
import type { IdempotencyOptions } from '../../../protocol/operations/idempotency.ts';
import { readKey } from '../../../protocol/operations/fields.ts';
import { refuse } from '../../../protocol/refusal.ts';

/** Reads the header; undefined without one. */
export function idempotencyFromHeader(header: string | string[] | undefined): IdempotencyOptions | undefined {
  if (header === undefined) return undefined;
  const id = readKey(String(header), 'Idempotency-Key');
  // Node decodes headers as Latin-1: any other encoding would silently become another id.
  if (!/^[\x20-\x7e]+$/.test(id)) return refuse('invalid', 'Idempotency-Key: expected printable ASCII');
  return { ids: [id], ttlMs: idempotencyTtlMsDefault, mode: 'replay' };
}
