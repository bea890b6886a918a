/**
 * The audit log of an account, a ring of entries that are numbered from 1 on: each new one takes the place of the one
 * that is `auditEntriesMax` older. So the log is bounded without counting, and its end is found without looking for it.
 */
import { hasLapsed } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { auditLogName, type AuditList } from '../../../protocol/operations/audit.ts';
import { kinds } from '../../../protocol/record.ts';
import { auditEntriesMax, auditMs, pageScanMax } from '../../../shared/limits.ts';
import { quoted } from '../../../shared/text.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { SectionBehaviour } from './behaviour.ts';

const headKey = `${auditLogName}\0h`;

/** Numbers have one length, so that keys sort as they do. */
function entryKey(number: number): string {
  return `${auditLogName}\0e${String(number).padStart(12, '0')}`;
}

function nextNumber({ entries }: ShardState, account: AccountId): number {
  return Number(entries.get(kinds.audit, account, headKey)?.value ?? 1);
}

export const auditBehaviour: SectionBehaviour<'audit'> = {
  evaluate({ state, batch: { account }, now, writeSet }, { action, subject, who, from, reason }) {
    const number = nextNumber(state, account);
    const entry = {
      At: now,
      Who: who,
      From: from,
      Action: action,
      Account: account,
      Subject: subject,
      ...(reason !== undefined && { Reason: reason }),
    };
    writeSet.put({ kind: kinds.audit, key: entryKey(number), till: now + auditMs, value: JSON.stringify(entry) });
    writeSet.put({ kind: kinds.audit, key: headKey, till: 0, value: String(number + 1) });
    const oldest = entryKey(number - auditEntriesMax);
    if (number > auditEntriesMax && state.entries.get(kinds.audit, account, oldest) !== undefined)
      writeSet.put({ kind: kinds.audit, key: oldest, till: 0 });
    return undefined;
  },
};

/** The newest entries first. */
export function listAudit({ state, now, out }: Turn, ref: RequestRef, command: AuditList): void {
  const { account, after, action, limit } = command;
  const rev = readRevision(state);
  const end = nextNumber(state, account);
  const rows: string[] = [];
  let number = Math.min(after ?? end, end) - 1;
  // Entries of one time end together, from the oldest on: the first that has ended is the end of the log.
  for (let looked = 0; number > 0 && rows.length < limit && looked < pageScanMax; looked += 1) {
    const entry = state.entries.get(kinds.audit, account, entryKey(number));
    if (entry === undefined || hasLapsed(entry, now)) {
      number = 0;
      break;
    }
    if (action === undefined || entry.value.includes(`"Action":${quoted(action)}`))
      rows.push(`{"ID":${number},"Rev":${entry.rev},${entry.value.slice(1)}`);
    number -= 1;
  }
  const more = number > 0 ? `"More":true,"After":${number + 1},` : '';
  out.reply(ref, { rev, outcome: 'ok', body: `{"Audit":[${rows.join(',')}],${more}"Rev":${rev}}` });
}
