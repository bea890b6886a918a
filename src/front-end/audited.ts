/** What goes into the audit log: forces, and what administrators do to queues. */
import type { AuditOperation } from '../protocol/operations/audit.ts';
import { unlockScope } from '../protocol/operations/lock.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import type { Access } from './access.ts';

/** Adds an entry of the audit log to a batch that needs one. Call it last: who asks is no part of what is asked. */
export function audited(batch: Batch, { name: who }: Pick<Access, 'name'>, from: string | undefined): Batch {
  const { unlock, queueChange, wipe } = batch;
  const by = { who, from: from ?? '' };
  if (unlock !== undefined && unlockScope(unlock) === 'force') {
    const { id: subject, reason } = unlock;
    const audit: AuditOperation = {
      action: 'lock.force',
      subject,
      ...by,
      ...(reason !== undefined && { reason }),
    };
    return { ...batch, audit };
  }
  if (wipe !== undefined) return { ...batch, audit: { action: 'account.delete', subject: batch.account, ...by } };
  if (queueChange === undefined) return batch;
  return { ...batch, audit: { action: `queue.${queueChange.change}`, subject: queueChange.key, ...by } };
}
