/** Bounds a reply before anything happens: a batch may read the same large value many times. */
import { failure } from '../../../protocol/errors.ts';
import type { FailedItem } from '../../../protocol/wire/shard-messages.ts';
import { replyBytesMax } from '../../../shared/limits.ts';
import type { Batch, Results } from '../../../protocol/operations/operations.ts';

export function replyTooLarge(batch: Batch, results: Results): FailedItem | undefined {
  const { get, range, set, ops } = results;
  if (get === undefined && range === undefined && set === undefined && ops === undefined) return undefined;
  let bytes = 0;
  if (get !== undefined) for (const item of get) bytes += item?.value?.length ?? 0;
  if (range !== undefined) for (const { body } of range.rows) bytes += body.length;
  if (set !== undefined) for (const item of set) if (typeof item === 'object') bytes += item?.old.value?.length ?? 0;
  if (ops !== undefined) for (const item of ops) bytes += item?.length ?? 0;
  const most = batch.replyBytesMax ?? replyBytesMax;
  if (bytes > most) {
    const size = `The requested values have ${bytes} bytes together; expected at most ${most} in one reply.`;
    const message = `${size} Read fewer keys at a time.`;
    const field = get !== undefined || range !== undefined ? 'KVGet' : set !== undefined ? 'KVSet' : 'Ops';
    return { field, place: Infinity, ...failure('too_large', message) };
  }
  return undefined;
}
