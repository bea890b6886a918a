import type { LocatedEntry } from '../../../protocol/entries.ts';
import type { PageRequest } from '../../../protocol/operations/command.ts';
import type { Page, Row } from '../../../protocol/page-rows.ts';
import type { Kind } from '../../../protocol/record.ts';
import { pageBytesMax, pageScanMax } from '../../../shared/limits.ts';
import type { ShardState } from '../state/state.ts';

/** Returns one page of the entries of a kind. `render` returns the JSON text of an entry, or undefined to skip it. */
export function pageOfEntries(
  state: ShardState,
  kind: Kind,
  { account, prefix, after, limit }: PageRequest,
  render: (located: LocatedEntry) => string | undefined,
): Page {
  const rows: Row[] = [];
  let bytes = 0;
  let scanned = 0;
  let last: string | undefined;
  for (const located of state.entries.range(kind, account, prefix, after)) {
    // Only this further entry shows that there is more.
    if (last !== undefined && (rows.length >= limit || bytes >= pageBytesMax || scanned >= pageScanMax)) {
      return { rows, after: last };
    }
    scanned += 1;
    last = located.key;
    const body = render(located);
    if (body === undefined) continue;
    bytes += body.length;
    rows.push({ key: located.key, body });
  }
  return { rows };
}
