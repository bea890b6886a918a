/** Counts what an account has stored. */
import { bytesRow, deletingRow, usageMembers, type AccountUsage } from '../../../protocol/operations/usage.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import { kinds } from '../../../protocol/record.ts';
import type { Turn } from '../state/turn.ts';

/** Returns a row for each number of this shard. */
export function countAccount({ state: { entries, deletions } }: Turn, { account }: AccountUsage): Page {
  // Leases of locks that several hold, and states of tasks, are no entries of their own.
  let bytes = entries.countOf(account, kinds.share).bytes + entries.countOf(account, kinds.taskState).bytes;
  const rows = Object.entries(usageMembers).map(([key, kind]) => {
    const count = entries.countOf(account, kind);
    bytes += count.bytes;
    return { key, body: String(kind === kinds.queue ? entries.messagesOf(account) : count.entries) };
  });
  const deleting = { key: deletingRow, body: String(Number(deletions.has(account))) };
  return { rows: [...rows, { key: bytesRow, body: String(bytes) }, deleting] };
}
