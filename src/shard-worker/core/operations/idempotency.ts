/**
 * Idempotency ids. The stored reply of a request is an entry of its own, written in the same commit as the request's
 * effects: after a crash there are both or neither, so a retry is answered from the record or runs for the first time.
 * `batch/stored-reply.ts` says what is stored, and how it becomes a reply again.
 */
import type { Entry } from '../../../protocol/entries.ts';
import { nameOf } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { failure } from '../../../protocol/errors.ts';
import type { PendingEffect, Duplicate } from '../../../protocol/wire/shard-messages.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { pointedIdOf } from '../../../protocol/stored-reply-pointer.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';

/** Finds the ids of this batch that this shard owns and that were used before. */
export function findDuplicate({ state, now }: Turn, batch: Batch): Duplicate | undefined {
  let stored: string | undefined;
  const ids: string[] = [];
  for (const id of batch.idempotency?.ids ?? []) {
    if (!state.owns(batch.account, id)) continue;
    const entry = state.entries.get(kinds.idempotency, batch.account, id);
    if (entry === undefined || entry.till <= now) continue;
    const reply = replyOf(state, batch.account, entry);
    if (reply === undefined) continue;
    stored ??= reply;
    ids.push(id);
  }
  return stored === undefined ? undefined : { ids, stored };
}

/** Follows a pointer. Undefined: it has outlived its reply. */
function replyOf({ entries }: ShardState, account: AccountId, entry: Entry): string | undefined {
  const pointed = pointedIdOf(entry.value);
  if (pointed === undefined) return entry.value;
  const holder = entries.get(kinds.idempotency, account, pointed);
  return holder?.rev === entry.rev ? holder.value : undefined;
}

/** Refuses a batch while the first request with one of its ids still waits for its lock. */
export function inProgressReply(state: ShardState, batch: Batch): Reply | undefined {
  if (state.inProgress.size === 0) return undefined;
  for (const id of batch.idempotency?.ids ?? []) {
    if (!state.inProgress.has(nameOf(batch.account, id))) continue;
    const first = `The first request with the idempotency id ${JSON.stringify(id)}`;
    const message = `${first} still waits for its lock; try again later.`;
    return failureReply(readRevision(state), failure('request_in_progress', message, { IDs: [id] }));
  }
  return undefined;
}

/** Marks or unmarks the ids of a batch that starts or stops waiting. */
export function markInProgress(state: ShardState, batch: Batch, change: 1 | -1): void {
  for (const id of batch.idempotency?.ids ?? []) {
    if (!state.owns(batch.account, id)) continue;
    const name = nameOf(batch.account, id);
    const count = (state.inProgress.get(name) ?? 0) + change;
    if (count > 0) state.inProgress.set(name, count);
    else state.inProgress.delete(name);
  }
}

/** Returns one entry for each id; the stored reply, and pointers to it, are filled in when the batch commits. */
export function storeEffects({ state, now }: Turn, batch: Batch): PendingEffect[] {
  const operation = batch.idempotency;
  if (operation === undefined || operation.look === true) return [];
  return operation.ids
    .filter((id) => state.owns(batch.account, id))
    .map((id) => ({ kind: kinds.idempotency, key: id, till: now + operation.ttlMs, value: '', stores: true }));
}
