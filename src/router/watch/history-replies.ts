/** What a watch is answered that cannot read the history it asks for. */
import { failure } from '../../protocol/errors.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';

/** Damaged history is gone for good, so the client has to do the same as when it was trimmed. */
export function damagedReply(oldest: Revision): Reply {
  return goneReply(oldest, 'is damaged; the log of the server says where');
}

export const busyReply = failureReply(
  revision(0),
  failure('overloaded', 'The server has too many files open to read the history; nothing was missed: try again.'),
);

export interface AfterRestore {
  /** The revision that the last restore from a backup went on with: cursors below are from before it. */
  readonly restoredTo?: Revision;
}

/** @param reader where it stands: from before a restore, what it has seen may not be there any more */
export function compactedReply(
  oldest: Revision,
  { position }: { readonly position: Revision },
  { restoredTo = revision(0) }: AfterRestore,
): Reply {
  return position < restoredTo
    ? goneReply(oldest, 'was lost or left when the server was restored from a backup', { Reset: true })
    : goneReply(oldest, 'is gone');
}

function goneReply(oldest: Revision, state: string, more?: { readonly Reset: true }): Reply {
  const after = oldest - 1;
  const message = `The history up to revision ${after} ${state}; list again, or watch after ${after} or later.`;
  return failureReply(revision(0), failure('compacted', message, { Oldest: after, ...more }));
}
