/** Idempotency ids: a batch that succeeded under one is not executed again. */
import { Type } from 'typebox';
import { idempotencyIdsMax, idempotencyTtlMsDefault, ttlMsMax } from '../../shared/limits.ts';
import { refuse, refuseField } from '../refusal.ts';
import { keyField, readKey, listField, secondsToMs, secondsField } from './fields.ts';
import type { BodyContext } from './section.ts';

export interface IdempotencyRequest {
  readonly ids: readonly string[];
  readonly ttlMs: number;
  /** `refuse` answers 409 duplicate_request; `replay` answers the stored reply. */
  readonly mode: 'refuse' | 'replay';
  /** A digest of the request, which tells another payload under the same id apart. */
  readonly fingerprint: string;
  /** Only asks for the stored reply: a script's call does before it runs. */
  readonly look?: true;
}

/** What a request says about idempotency; the fingerprint of its command is not known yet. */
export type IdempotencyOptions = Omit<IdempotencyRequest, 'fingerprint'>;

export const idempotencySchema = {
  IdempotencyIDs: Type.Optional(listField(keyField, 'a list of at least one string', 1)),
  IdempotencyTTL: Type.Optional(secondsField('zero', ttlMsMax)),
  IdempotencyMode: Type.Optional(
    Type.Literal('replay', { expected: '"replay" (leave it out to have a duplicate refused)' }),
  ),
};

interface IdempotencyBody {
  readonly IdempotencyIDs?: readonly string[];
  readonly IdempotencyTTL?: number;
  readonly IdempotencyMode?: 'replay';
}

/** @param header from the header `Idempotency-Key`, the other way to give an id */
export function readIdempotency(
  body: IdempotencyBody,
  { root }: BodyContext,
  header: IdempotencyOptions | undefined,
): IdempotencyOptions | undefined {
  const { IdempotencyIDs, IdempotencyTTL, IdempotencyMode } = body;
  const ttlMs = IdempotencyTTL === undefined ? idempotencyTtlMsDefault : secondsToMs(IdempotencyTTL);
  if (IdempotencyIDs !== undefined) {
    if (header !== undefined) {
      return refuse(
        'invalid',
        'IdempotencyIDs: given together with the header Idempotency-Key; expected one of the two',
      );
    }
    if (IdempotencyIDs.length > idempotencyIdsMax) {
      const got = `${root}IdempotencyIDs: ${IdempotencyIDs.length} ids`;
      return refuse('too_large', `${got}; expected at most ${idempotencyIdsMax} of one batch`);
    }
    const ids = IdempotencyIDs.map((id, i) => readKey(id, `${root}IdempotencyIDs[${i}]`));
    return { ids: [...new Set(ids)], ttlMs, mode: IdempotencyMode ?? 'refuse' };
  }
  if (header !== undefined) return { ...header, ttlMs };
  for (const field of ['IdempotencyTTL', 'IdempotencyMode'] as const) {
    if (body[field] !== undefined) refuseField(root + field, 'given without IdempotencyIDs');
  }
  return undefined;
}
