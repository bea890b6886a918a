/**
 * Idempotency ids. The stored reply of a request is an entry of its own, written in the same commit as the request's
 * effects: after a crash there are both or neither, so a retry is answered from the record or runs for the first time.
 */
import { nameOf } from '../../../protocol/footprint.ts';
import { failure } from '../../../protocol/errors.ts';
import type { Revision } from '../../../protocol/ids.ts';
import type { PendingEffect, Duplicate } from '../../../protocol/wire/shard-messages.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import type { IdempotencyRequest } from '../../../protocol/operations/idempotency.ts';

interface StoredReply {
  readonly fingerprint: string;
  readonly status: number;
  readonly body: string;
  readonly rev: Revision;
}

/** The ids of this batch that this shard keeps and that were used before. */
export function findDuplicate({ state, now }: Turn, batch: Batch): Duplicate | undefined {
  let stored: StoredReply | undefined;
  const ids: string[] = [];
  for (const id of batch.idempotency?.ids ?? []) {
    if (!state.owns(batch.account, id)) continue;
    const entry = state.entries.get(kinds.idempotency, batch.account, id);
    if (entry === undefined || entry.till <= now) continue;
    stored ??= JSON.parse(entry.value) as StoredReply;
    ids.push(id);
  }
  return stored === undefined ? undefined : { ids, ...stored };
}

export function duplicateReply(operation: IdempotencyRequest, duplicate: Duplicate, rev: Revision): Reply {
  const same = duplicate.fingerprint === operation.fingerprint;
  const ids = JSON.stringify(duplicate.ids);
  if (operation.mode === 'replay') {
    if (same) return { rev, status: duplicate.status, body: duplicate.body, replayed: true };
    const message = `The idempotency id ${ids} was used before with another payload; use a new id for a new request.`;
    return failureReply(rev, failure('idempotency_mismatch', message, { IDs: duplicate.ids, Rev: duplicate.rev }));
  }
  return failureReply(
    rev,
    failure('duplicate_request', `The idempotency id ${ids} was used before; Response is what was answered then.`, {
      IDs: duplicate.ids,
      Rev: duplicate.rev,
      Same: same,
      Response: JSON.parse(duplicate.body) as unknown,
    }),
  );
}

/** 409 while the first request with one of these ids still waits for its lock. */
export function inProgressReply(state: ShardState, batch: Batch): Reply | undefined {
  if (state.inProgress.size === 0) return undefined;
  for (const id of batch.idempotency?.ids ?? []) {
    if (!state.inProgress.has(nameOf(batch.account, id))) continue;
    const message = `The first request with the idempotency id ${JSON.stringify(id)} still waits for its lock; try again later.`;
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

/** One entry an id; the reply goes in when it is written. */
export function storeEffects({ state, now }: Turn, batch: Batch): PendingEffect[] {
  const operation = batch.idempotency;
  if (operation === undefined) return [];
  return operation.ids
    .filter((id) => state.owns(batch.account, id))
    .map((id) => ({ kind: kinds.idempotency, key: id, till: now + operation.ttlMs, value: '', stores: true }));
}

export function storedReply(operation: IdempotencyRequest, body: string, rev: Revision): string {
  const stored: StoredReply = { fingerprint: operation.fingerprint, status: 200, body, rev };
  return JSON.stringify(stored);
}
