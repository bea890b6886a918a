/** Import of what an account remembers. What this server remembers itself of the same thing counts more. */
import type { LoadedEnd, LoadedMemory } from '../../../protocol/operations/account-memories.ts';
import { kinds } from '../../../protocol/record.ts';
import { unreachable } from '../../../shared/assert.ts';
import { lockHistoryMax, lockHistoryMs, queueWindowMsMax } from '../../../shared/limits.ts';
import type { ExclusiveRecord } from '../state/lease.ts';
import { encodeLockRecord } from '../state/lock-record.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import { putTaken } from './limit.ts';
import { putDedup, seenBefore, viewOf } from './queue.ts';

type Load<Of extends LoadedMemory['kind']> = Extract<LoadedMemory, { kind: Of }> & { readonly key: string };

/** Why a lease that was held at the export is over. */
const movedReason = 'The account was imported while the lock was held elsewhere';

/** @returns whether its time is not over */
export function loadMemory(evaluation: BatchEvaluation, memory: LoadedMemory & { readonly key: string }): boolean {
  switch (memory.kind) {
    case 'limit':
      return putTaken(evaluation, memory.key, memory);
    case 'id':
      return loadId(evaluation, memory);
    case 'lock':
      return loadLock(evaluation, memory);
    case 'dedup':
      return loadDedup(evaluation, memory);
    case 'forgotten':
      return false;
    default:
      return unreachable(memory);
  }
}

function loadId(evaluation: BatchEvaluation, { key, stored, till }: Load<'id'>): boolean {
  const { writeSet, now, batch } = evaluation;
  if (till <= now) return false;
  const isOwn = batch.idempotency?.ids.includes(key) === true;
  if (!isOwn && evaluation.entry(kinds.idempotency, key) === undefined)
    writeSet.put({ kind: kinds.idempotency, key, till, value: stored });
  return true;
}

/** The id that a repeated Enqueue is told is that of no message: those of the other server are other messages here. */
function loadDedup(evaluation: BatchEvaluation, { key, dedup, till }: Load<'dedup'>): boolean {
  const { now, index } = evaluation;
  if (till <= now) return false;
  const view = viewOf(evaluation, key);
  if (seenBefore(view, dedup) !== undefined) return true;
  putDedup(view, dedup, {
    letter: 'm',
    id: { rev: 0, index, priority: 0 },
    till: Math.min(till, now + queueWindowMsMax),
  });
  return true;
}

function loadLock(evaluation: BatchEvaluation, { key, held, ended, till }: Load<'lock'>): boolean {
  const { writeSet, state, account, now } = evaluation;
  const until = held === undefined && till !== 0 ? till : now + lockHistoryMs;
  if (until <= now || (held === undefined && ended.length === 0)) return false;
  // Whoever has had the lock here is not to be told of others.
  if (state.entries.get(kinds.lock, account, key) !== undefined) return true;
  const last: LoadedEnd[] = [];
  if (held !== undefined) {
    const { till: end, ...lease } = held;
    const isOver = end <= now;
    last.push({
      ...lease,
      ...(isOver ? { why: 'expired', at: end } : { why: 'forced', at: now, reason: movedReason }),
    });
  }
  const record: ExclusiveRecord = {
    mode: 'exclusive',
    limit: 1,
    holders: [],
    ended: [...last, ...ended].slice(0, lockHistoryMax),
  };
  writeSet.put({ kind: kinds.lock, key, till: Math.min(until, now + lockHistoryMs), value: encodeLockRecord(record) });
  return true;
}
