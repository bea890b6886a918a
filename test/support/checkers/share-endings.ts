/**
 * Revisions of locks that several hold, as far as no answer surely names them: a release, what was not answered, and
 * leases and memories that end by themselves. See revision-gaps.ts.
 */
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import { isOfSharedLocks } from '../generators/shared-lock.ts';
import { claimedRevision, type History } from './history.ts';
import type { Explainer } from './revision-gaps.ts';

/** Of a lease: its end, and what is remembered of that. */
const endsOfLease = 2;
/** A force ends all leases of a lock; each goes by itself. */
const endsOfForce = 12;

/** @param lo for each operation: the highest revision that was told before it was sent */
export function shareEndings({ operations, restarts = [] }: History, lo: Float64Array): Explainer[] {
  return operations.flatMap(({ call, answer, sentAt }, i): Explainer[] => {
    if (call.kind !== 'batch' || !isOfSharedLocks(call)) return [];
    if (answer !== undefined && answer.status !== 200) return [];
    const starts = restarts.reduce((sum, { downAt, starts = 1 }) => sum + (downAt >= sentAt ? starts : 0), 0);
    const told = answer && claimedRevision(answer);
    const ends = { from: told ?? lo[i]!, to: Infinity, count: endsLeftBy(call, starts) };
    if (told !== undefined) return [ends, { from: told - 1, to: told, count: 1 }];
    // Its own revision, and that of its return.
    return [{ ...ends, count: ends.count + 2 }];
  });
}

/** A lease that has got its grace is written down at each start. */
function endsLeftBy({ lock, locks = [], unlock, unlocks = [] }: Batch, starts: number): number {
  const taken = locks.length + (lock === undefined ? 0 : 1);
  const given = [...unlocks, ...(unlock === undefined ? [] : [unlock])];
  const ended = given.map(({ fence, owner }) => (fence === undefined && owner === undefined ? endsOfForce : 1));
  return taken * (endsOfLease + starts) + ended.reduce((sum, count) => sum + count, 0);
}
