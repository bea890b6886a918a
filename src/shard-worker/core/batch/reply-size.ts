/**
 * Bounds a reply before anything happens: a batch may read the same large value many times, and an idempotent batch
 * stores a copy of its reply under every id, in the record of its commit.
 */
import { failure } from '../../../protocol/errors.ts';
import type { FailedItem } from '../../../protocol/wire/shard-messages.ts';
import { replyBytesMax, type Limits } from '../../../shared/limits.ts';
import type { Batch, Results } from '../../../protocol/operations/operations.ts';

export function replyTooLarge(batch: Batch, results: Results, limits: Limits): FailedItem | undefined {
  if (results.get === undefined) return undefined;
  let bytes = 0;
  for (const item of results.get) bytes += item?.value?.length ?? 0;
  const most = batch.replyBytesMax ?? replyBytesMax;
  if (bytes > most) {
    const size = `The requested values have ${bytes} bytes together; expected at most ${most} in one reply.`;
    const message = `${size} Read fewer keys at a time.`;
    return { field: 'KVGet', place: Infinity, ...failure('too_large', message) };
  }
  const copies = batch.idempotency?.ids.length ?? 0;
  if (bytes * copies > limits.body_bytes_max) {
    const limit = `limits.body_bytes_max (${limits.body_bytes_max})`;
    const why = `The reply is stored under each of ${copies} idempotency ids; its ${bytes} bytes exceed ${limit}.`;
    const message = `${why} Read in a batch of its own.`;
    return { field: 'KVGet', place: Infinity, ...failure('too_large', message) };
  }
  return undefined;
}
