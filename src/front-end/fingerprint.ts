/** Tells whether two requests under one idempotency id are the same request, whichever door they came through. */
import { hash } from 'node:crypto';
import type { IdempotencyOptions } from '../protocol/operations/idempotency.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import { refuse } from '../protocol/refusal.ts';

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
 * does the format of the reply, or its size: a retry through another call, or another front end, is the same request.
 * Nor does the first instant of a cron pattern, which is another one when the retry comes later, or a secret that was made
 * up for it.
 */
function fingerprintOf(batch: Batch): string {
  const tasks = batch.tasks?.map((task) =>
    task.definition.schedule === undefined ? task : { ...task, atMs: undefined },
  );
  const { taskSetting } = batch;
  const asked = {
    ...batch,
    format: undefined,
    replyBytesMax: undefined,
    ...(tasks !== undefined && { tasks }),
    ...(taskSetting !== undefined && { taskSetting: { ...taskSetting, candidate: undefined } }),
  };
  return hash('sha256', JSON.stringify(asked), 'base64url').slice(0, fingerprintChars);
}
