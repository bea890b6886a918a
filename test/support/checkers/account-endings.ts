/** Revisions of an account that is deleted and loaded as a whole, as no answer names them. See revision-gaps.ts. */
import { isOfWholeAccount } from '../generators/whole-account.ts';
import { claimedRevision, mayCommit, type History } from './history.ts';
import type { Explainer } from './revision-gaps.ts';

/** On each of some shards a sweep is one commit, which takes the mark with it, or two. */
const sweepsMax = 8;

/** @param lo for each operation: the highest revision that was told before it was sent */
export function accountEndings({ operations }: History, lo: Float64Array): Explainer[] {
  return operations.flatMap(({ call, answer }, i): Explainer[] => {
    if (!isOfWholeAccount(call) || call.kind !== 'batch' || !mayCommit(call)) return [];
    if (answer !== undefined && answer.status !== 200) return [];
    const told = answer && claimedRevision(answer);
    const own = told === undefined ? { from: lo[i]!, to: Infinity } : { from: told - 1, to: told };
    const sweeps = { from: told ?? lo[i]!, to: Infinity, count: sweepsMax };
    return [{ ...own, count: 1 }, ...(call.wipe === undefined ? [] : [sweeps])];
  });
}
