/**
 * Over HTTP a change of a queue and a force stand in the audit log, also where they found nothing to do. So their
 * revision may be their own.
 */
import { claimedRevision, type History } from './history.ts';
import type { Explainer } from './revision-gaps.ts';

export function auditedRevisions({ operations }: History): Explainer[] {
  return operations.flatMap(({ call, answer }): Explainer[] => {
    if (call.kind !== 'batch' || answer?.status !== 200) return [];
    const { queueChange, unlock } = call;
    const forces = unlock !== undefined && unlock.fence === undefined && unlock.owner === undefined;
    const rev = queueChange === undefined && !forces ? undefined : claimedRevision(answer);
    return rev === undefined ? [] : [{ from: rev - 1, to: rev, count: 1 }];
  });
}
