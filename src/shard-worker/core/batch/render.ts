/** Renders replies as JSON text. The text is finished here, once; the front end only passes it on. */
import { failure } from '../../../protocol/errors.ts';
import type { Revision } from '../../../protocol/ids.ts';
import { bySections } from '../../../protocol/operations/by-sections.ts';
import { sectionNames, sectionsIn, type Batch, type ReplyFormat } from '../../../protocol/operations/operations.ts';
import { opsBody, type StringOpResult } from '../../../protocol/operations/string-op.ts';
import { failureReply, type Grant, type Reply } from '../../../protocol/replies.ts';
import type { FailedItem } from '../../../protocol/wire/shard-messages.ts';
import type { Answered, FormatBehaviour } from '../operations/behaviour.ts';
import { heldMsOf } from '../operations/limit.ts';
import { grantOf } from '../operations/lock.ts';
import { deliveryGrantOf } from '../operations/queue.ts';
import { formatBehaviours, sectionBehaviours } from '../operations/operations.ts';

/**
 * Returns the reply to a batch that succeeded, or whose single read found nothing.
 * @param waited it stood in line for its lock, or for messages
 */
export function batchReply(batch: Batch, answered: Answered, waited: boolean): Reply {
  const { rev } = answered;
  const missing = batch.format === 'ops' ? undefined : formatOf(batch.format).missing?.(answered);
  if (missing !== undefined) return failureReply(rev, failure('not_found', missing));
  if (batch.format !== 'ops' && formatOf(batch.format).isNothing?.(answered) === true) {
    return { rev, outcome: 'none', body: '' };
  }
  const body = replyBody(answered);
  const { limit } = answered.results;
  const heldMs = limit === undefined ? 0 : heldMsOf(limit);
  if (heldMs > 0) return { rev, outcome: 'ok', body, heldMs };
  const grant = grantIn(batch, answered, waited);
  return grant === undefined ? { rev, outcome: 'ok', body } : { rev, outcome: 'ok', body, grant };
}

function grantIn(batch: Batch, answered: Answered, waited: boolean): Grant | undefined {
  const { lock, locks, dequeue } = answered.results;
  if ((lock ?? locks ?? dequeue) === undefined) return undefined;
  const ofLock = (lock ?? locks) === undefined ? undefined : grantOf(batch, answered, waited);
  const delivery = deliveryGrantOf(batch, answered, waited);
  return delivery === undefined || ofLock === undefined ? (delivery ?? ofLock) : { ...delivery, also: ofLock };
}

/** Returns the text of a success, in the requested format. */
export function replyBody(answered: Answered): string {
  const { asked, results, rev } = answered;
  if (asked.format === 'ops') return opsBody(results.ops as readonly StringOpResult[]);
  return `{${formatOf(asked.format).members(answered)}"Rev":${rev}}`;
}

const batchFormat: FormatBehaviour = { members: batchMembers };
/** A script's call answers what the script does. The front end knows it, and keeps it only with idempotency ids. */
const scriptCall: FormatBehaviour = { members: ({ results }) => results.answer ?? '' };
/** What it reads is answered as a batch is, unless the call was answered before. */
const scriptRead: FormatBehaviour = { members: (answered) => answered.results.answer ?? batchMembers(answered) };

function formatOf(format: Exclude<ReplyFormat, 'ops'>): FormatBehaviour {
  if (format === 'batch') return batchFormat;
  if (format === 'script.call') return scriptCall;
  return format === 'script.read' ? scriptRead : formatBehaviours[format];
}

/** By the sections that a batch has: what renders them, in the order of the table. */
const renderers = bySections((present) =>
  sectionNames.filter((name) => present({ name })).flatMap((name) => sectionBehaviours[name].members ?? []),
);

function batchMembers(answered: Answered): string {
  let text = '';
  for (const render of renderers.of(sectionsIn(answered.asked))) text += render(answered);
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
