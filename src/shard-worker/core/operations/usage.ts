/** Counts what an account has stored. */
import { bytesRow, usageMembers, type AccountUsage } from '../../../protocol/operations/usage.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import type { Turn } from '../state/turn.ts';

/** Returns a row for each number of this shard. */
export function countAccount({ state }: Turn, { account }: AccountUsage): Page {
  const counts = state.entries.countsOf(account);
  const bytes = counts.reduce((sum, count) => sum + count.bytes, 0);
  const rows = Object.entries(usageMembers).map(([key, kind]) => {
    return { key, body: String(counts.find((count) => count.kind === kind)?.entries ?? 0) };
  });
  return { rows: [...rows, { key: bytesRow, body: String(bytes) }] };
}
