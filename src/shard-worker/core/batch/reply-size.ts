/** Bounds a reply before anything happens: a batch may read the same large value many times. */
import { failure } from '../../../protocol/errors.ts';
import type { FailedItem } from '../../../protocol/wire/shard-messages.ts';
import { replyBytesMax } from '../../../shared/limits.ts';
import type { Batch, Results } from '../../../protocol/operations/operations.ts';

export function replyTooLarge(batch: Batch, results: Results): FailedItem | undefined {
  if (results.get === undefined && results.set === undefined) return undefined;
  let bytes = 0;
  for (const item of results.get ?? []) bytes += item?.value?.length ?? 0;
  for (const item of results.set ?? []) if (typeof item === 'object') bytes += item?.old.value?.length ?? 0;
  const most = batch.replyBytesMax ?? replyBytesMax;
  if (bytes > most) {
    const size = `The requested values have ${bytes} bytes together; expected at most ${most} in one reply.`;
    const message = `${size} Read fewer keys at a time.`;
    return { field: results.get === undefined ? 'KVSet' : 'KVGet', place: Infinity, ...failure('too_large', message) };
  }
  return undefined;
}
