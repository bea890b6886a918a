/**
 * Idempotency ids come in the body (`IdempotencyIDs`, a duplicate is refused unless the mode is "replay") or in the
 * header `Idempotency-Key` (always replay, as in the IETF draft).
 */
import { hash } from 'node:crypto';
import { idempotencyTtlMsDefault } from '../../../shared/limits.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
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

export function withIdempotency(batch: Batch, options: IdempotencyOptions | undefined): Batch {
  if (options === undefined) return batch;
  if (batch.dequeue !== undefined) {
    const why = 'not for a Dequeue, whose messages would be stored again; expected AttemptID, or ?attempt=';
    return refuse('invalid', `IdempotencyIDs: ${why}`);
  }
  return { ...batch, idempotency: { ...options, fingerprint: fingerprintOf(batch) } };
}

/** 132 bits, enough to tell any two commands apart. */
const fingerprintChars = 22;

/**
 * Digests the operations, not the text of the body: spaces, and a list of one without brackets, make no difference. Nor
 * does the format of the reply: a retry through another call, or another front end, is the same request.
 */
function fingerprintOf(batch: Batch): string {
  return hash('sha256', JSON.stringify({ ...batch, format: undefined }), 'base64url').slice(0, fingerprintChars);
}
