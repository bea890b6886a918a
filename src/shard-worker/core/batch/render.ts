/** Renders replies as JSON text. The text is finished here, once; the front end only passes it on. */
import { failure } from '../../../protocol/errors.ts';
import type { Revision } from '../../../protocol/ids.ts';
import { sectionNames, type Batch } from '../../../protocol/operations/operations.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import type { FailedItem } from '../../../protocol/wire/shard-messages.ts';
import type { Answered } from '../operations/behaviour.ts';
import { grantOf } from '../operations/lock.ts';
import { formatBehaviours, sectionBehaviours } from '../operations/operations.ts';

/** Returns the reply to a batch that succeeded, or whose single read found nothing. */
export function batchReply(batch: Batch, answered: Answered): Reply {
  const { rev } = answered;
  const missing = batch.format === 'batch' ? undefined : formatBehaviours[batch.format].missing?.(answered);
  if (missing !== undefined) return failureReply(rev, failure('not_found', missing));
  const reply: Reply = { rev, outcome: 'ok', body: replyBody(answered) };
  const grant = grantOf(batch, answered);
  return grant === undefined ? reply : { ...reply, grant };
}

/** Returns the text of a success, in the requested format. */
export function replyBody(answered: Answered): string {
  const { format } = answered.asked;
  const members = format === 'batch' ? batchMembers(answered) : formatBehaviours[format].members(answered);
  return `{${members}"Rev":${answered.rev}}`;
}

function batchMembers(answered: Answered): string {
  let text = '';
  for (const name of sectionNames) {
    if (answered.results[name as keyof Answered['results']] === undefined) continue;
    text += sectionBehaviours[name].members?.(answered) ?? '';
  }
  return text;
}

/** Lists everything that failed, under the code of the first failure. */
export function failedReply(failed: readonly FailedItem[], rev: Revision): Reply {
  const [first] = failed;
  const items = failed.map(({ field, code, message, details }) => ({
    Field: field,
    Code: code,
    Message: message,
    ...details,
  }));
  const message =
    failed.length === 1
      ? `${first!.field}: ${first!.message}`
      : `${first!.field}: ${first!.message} (and ${failed.length - 1} more, see Failed)`;
  return failureReply(rev, { code: first!.code, message, details: { ...first!.details, Failed: items } });
}
