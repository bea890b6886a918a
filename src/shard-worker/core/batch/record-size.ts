/**
 * Bounds the record of a commit before it takes a revision. A record that fits into no segment of the journal could not
 * be written, and a revision that was taken must be. So this counts everything that goes into the record: keys, values,
 * lock records, and the reply that idempotency ids store.
 */
import { failure } from '../../../protocol/errors.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { effectBytes, effectBytesMax, recordHeaderBytes } from '../../../protocol/record.ts';
import { pointerTo } from '../../../protocol/stored-reply-pointer.ts';
import type { FailedItem, PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import { storedReplyBytesMax } from './stored-reply.ts';

/**
 * Says why the record is too large; undefined: it is not.
 * @param tail what the ids of the batch store, see `storedTail`
 * @param most bytes, see `recordBytesMax`
 */
export function recordTooLarge(
  batch: Batch,
  pending: readonly PendingEffect[],
  tail: string,
  most: number,
): FailedItem | undefined {
  // Nearly every record is far below the limit, also when each character counts as three bytes.
  const rest = recordHeaderBytes + batch.account.length + storedBytes(batch, tail);
  let bytes = rest;
  for (const effect of pending) bytes += effectBytesMax(effect);
  if (bytes <= most) return undefined;
  bytes = rest;
  for (const effect of pending) bytes += effectBytes(effect);
  if (bytes <= most) return undefined;
  const size = `The batch would write a record of ${bytes} bytes: ${partsOf(batch, tail)}`;
  const message = `${size}; expected at most ${most} (half of journal.segment_bytes, up to 64 MiB). Write less in one batch.`;
  return { field: 'batch', place: Infinity, ...failure('too_large', message) };
}

function storedBytes({ idempotency }: Batch, tail: string): number {
  if (idempotency === undefined) return 0;
  const { ids } = idempotency;
  // Any of the ids may be the one that the others point to.
  const pointer = ids.length === 1 ? 0 : Math.max(...ids.map((id) => Buffer.byteLength(pointerTo(id))));
  return storedReplyBytesMax(tail) + (ids.length - 1) * pointer;
}

function partsOf(batch: Batch, tail: string): string {
  if (batch.idempotency === undefined) return 'keys, values and lock records';
  return `keys, values, lock records, and ${storedBytes(batch, tail)} bytes of reply stored for its idempotency ids`;
}
