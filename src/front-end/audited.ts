/** What goes into the audit log: forces, and what administrators do to queues. */
import type { AuditOperation } from '../protocol/operations/audit.ts';
import { serverAccount } from '../protocol/ids.ts';
import { unlockScope } from '../protocol/operations/lock.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import type { Dispatcher } from '../router/dispatcher.ts';
import { auditSubjectCharsMax } from '../shared/limits.ts';
import type { Access } from './access.ts';

/** Adds an entry of the audit log to a batch that needs one. Call it last: who asks is no part of what is asked. */
export function audited(batch: Batch, { name: who }: Pick<Access, 'name'>, from: string | undefined): Batch {
  const { unlock, queueChange, taskSetting, wipe } = batch;
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
  if (taskSetting !== undefined && taskSetting.change !== 'secret.get')
    return { ...batch, audit: { action: taskSetting.change, subject: taskSetting.key, ...by } };
  if (queueChange === undefined) return batch;
  return { ...batch, audit: { action: `queue.${queueChange.change}`, subject: queueChange.key, ...by } };
}

/** Notes what is done to the server itself, in its own audit log. @param done called when that is durable, or refused */
export function auditServer(dispatcher: Dispatcher, entry: AuditOperation, done = (): void => {}): void {
  const subject = Array.from(entry.subject).slice(0, auditSubjectCharsMax).join('');
  const batch: Batch = {
    kind: 'batch',
    account: serverAccount,
    format: 'batch',
    audit: { ...entry, subject },
  };
  dispatcher.request(batch, { disconnected: false, deliver: done });
}
