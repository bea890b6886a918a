/** What a watch is answered that cannot read the history it asks for. */
import { failure } from '../../protocol/errors.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';

/** Damaged history is gone for good, so the client has to do the same as when it was trimmed. */
export function damagedReply(oldest: Revision): Reply {
  return compactedReply(oldest, 'is damaged; the log of the server says where');
}

export const busyReply = failureReply(
  revision(0),
  failure('overloaded', 'The server has too many files open to read the history; nothing was missed: try again.'),
);

export function compactedReply(oldest: Revision, state = 'is gone'): Reply {
  const after = oldest - 1;
  const message = `The history up to revision ${after} ${state}; list again, or watch after ${after} or later.`;
  return failureReply(revision(0), failure('compacted', message, { Oldest: after }));
}
