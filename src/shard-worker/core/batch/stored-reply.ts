/**
 * What an idempotency id stores of a success: the results, not the text of the reply. So a retry gets the reply in the
 * format that it asks for, through any front end. Several ids of one batch share one (protocol/stored-reply-pointer.ts).
 *
 *   version 2   [2, fingerprint, rev, now, asked, results]
 *     asked     the format, and the names of the operations that have results
 *     results   of the evaluation, see `Results`
 *
 *   version 1   {"fingerprint","status","body","rev"}: the text of the reply over HTTP
 *
 * Version 1 is still answered, with its text. Its fingerprint has another form, so payloads cannot be compared; but none
 * was of `ops`.
 */
import { failure } from '../../../protocol/errors.ts';
import type { Revision } from '../../../protocol/ids.ts';
import {
  operationsOf,
  sections,
  type Batch,
  type ResultName,
  type Results,
} from '../../../protocol/operations/operations.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import type { Duplicate } from '../../../protocol/wire/shard-messages.ts';
import { assert } from '../../../shared/assert.ts';
import { waitMsMax } from '../../../shared/limits.ts';
import type { Answered, Asked } from '../operations/behaviour.ts';
import { heldMsOf } from '../operations/limit.ts';
import { replyBody } from './render.ts';

const version = 2;

type Row = [version: number, fingerprint: string, rev: Revision, now: number, asked: Asked, results: Results];
/** What surrounds the last two members of a row: brackets, version, fingerprint, revision, time. */
const rowHeadBytesMax = 100;

interface Version1 {
  readonly fingerprint: string;
  readonly body: string;
  readonly rev: Revision;
}

/** Returns the text of what a batch's idempotency ids store, but for the head; empty for a batch without ids. */
export function storedTail(batch: Batch, results: Results): string {
  return batch.idempotency === undefined
    ? ''
    : `${JSON.stringify(namesIn(batch, results))},${JSON.stringify(results)}]`;
}

/** Returns the whole text. @param tail from `storedTail` */
export function storedReply({ idempotency }: Batch, { rev, now }: Pick<Answered, 'rev' | 'now'>, tail: string): string {
  return idempotency === undefined
    ? ''
    : `[${version},${JSON.stringify(idempotency.fingerprint)},${rev},${now},${tail}`;
}

/** Returns the most bytes that the whole text takes. */
export function storedReplyBytesMax(tail: string): number {
  return rowHeadBytesMax + Buffer.byteLength(tail);
}

/** Returns the reply to a batch under an id that was used before. @param rev the revision that this was read at */
export function duplicateReply(batch: Batch, duplicate: Duplicate, rev: Revision, now: number): Reply {
  const { ids, stored } = duplicate;
  if (batch.replyBytesMax !== undefined && stored.length > batch.replyBytesMax) {
    const names = JSON.stringify(ids);
    const size = `The reply that the idempotency id ${names} has stored takes ${stored.length} bytes`;
    const message = `${size}; expected at most ${batch.replyBytesMax} in this array. Send the batch alone.`;
    return failureReply(rev, failure('too_large', message, { IDs: ids }));
  }
  try {
    return answerAgain(batch, duplicate, rev, now);
  } catch {
    // An import stores what it is given, and whoever has made it may have made anything.
    const message = `The idempotency id ${JSON.stringify(ids)} was imported, with a reply that cannot be read.`;
    return failureReply(rev, failure('duplicate_request', message, { IDs: ids }));
  }
}

function answerAgain(batch: Batch, { ids, stored }: Duplicate, rev: Revision, now: number): Reply {
  const { mode, fingerprint } = batch.idempotency!;
  const before = readStoredReply(stored);
  const unknown = before.fingerprint === undefined && batch.format !== 'ops';
  const same = unknown || before.fingerprint === fingerprint;
  const names = JSON.stringify(ids);
  if (mode === 'replay') {
    if (same) {
      const heldMs = Math.min(before.heldTill - now, waitMsMax);
      const body = before.body(batch.format);
      assert(typeof body === 'string', 'a stored reply has a text');
      const reply = { rev, outcome: 'ok', body, replayed: true } as const;
      return heldMs > 0 ? { ...reply, heldMs } : reply;
    }
    const message = `The idempotency id ${names} was used before with another payload; use a new id for a new request.`;
    return failureReply(rev, failure('idempotency_mismatch', message, { IDs: ids, Rev: before.rev }));
  }
  const message = `The idempotency id ${names} was used before; Response is what was answered then.`;
  const Response = JSON.parse(before.body()) as unknown;
  return failureReply(rev, failure('duplicate_request', message, { IDs: ids, Rev: before.rev, Same: same, Response }));
}

/** The first reply under an id. */
export interface StoredReply {
  /** Absent: payloads cannot be compared. */
  readonly fingerprint?: string;
  readonly rev: Revision;
  /** Until then the first reply was held. */
  readonly heldTill: number;
  /** @param format the format of the retry; absent: that of the first reply, and JSON in any case */
  readonly body: (format?: Batch['format']) => string;
}

export function readStoredReply(text: string): StoredReply {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) {
    const { rev, body } = parsed as Version1;
    return { rev, heldTill: 0, body: () => body };
  }
  const [found, fingerprint, rev, now, asked, results] = parsed as Row;
  assert(found === version, 'a stored reply is in a format that this server knows');
  return {
    fingerprint,
    rev,
    heldTill: now + heldMsOf(results.limit ?? []),
    body: (format = asked.format === 'ops' ? 'batch' : asked.format) =>
      replyBody({ asked: { ...asked, format }, results, rev, now }),
  };
}

function namesIn(batch: Batch, results: Results): Asked {
  const names: Record<string, unknown> = { format: batch.format };
  for (const name of Object.keys(results) as ResultName[]) {
    const list = operationsOf(batch, name).map(nameOfOperation);
    names[name] = sections[name].list ? list : list[0];
  }
  return names as unknown as Asked;
}

function nameOfOperation(
  operation:
    | string
    | { readonly key?: string; readonly id?: string; readonly prefix?: string; readonly place?: number },
): unknown {
  if (typeof operation === 'string') return operation;
  // JSON leaves out what an operation has not.
  return { key: operation.key, id: operation.id, prefix: operation.prefix, place: operation.place };
}
