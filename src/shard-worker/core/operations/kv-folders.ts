/**
 * Pages of keys in folders: keys that have the delimiter behind the prefix are one row, their folder. After a folder the
 * page goes on behind all of its keys, so it costs one search, however many keys the folder has. Values of keys in
 * folders are not read.
 */
import { hasLapsed, type Entry } from '../../../protocol/entries.ts';
import type { KvList } from '../../../protocol/operations/kv-pages.ts';
import type { Page, Row } from '../../../protocol/page-rows.ts';
import { kinds } from '../../../protocol/record.ts';
import { foldersScanMax, keyBytesMax, pageBytesMax } from '../../../shared/limits.ts';
import type { Turn } from '../state/turn.ts';

/** Renders a key that is there. */
export type KeyRow = (key: string, entry: Entry) => string;

/** The last characters that there are: behind them is no key of a folder. */
const lastOfFolder = '\u{10ffff}'.repeat(keyBytesMax / 4);

export function listFolders(
  { state, now }: Turn,
  { account, prefix, after, limit, delimiter }: KvList & { readonly delimiter: string },
  render: KeyRow,
): Page {
  const rows: Row[] = [];
  let bytes = 0;
  let scanned = 0;
  let last: string | undefined;
  const folderOf = (key: string): string | undefined => {
    const at = key.indexOf(delimiter, prefix.length);
    return at === -1 ? undefined : key.slice(0, at + delimiter.length);
  };
  const passed = after?.startsWith(prefix) === true ? folderOf(after) : undefined;
  const keys = state.entries.keys(kinds.kv, account, prefix, passed === undefined ? after : passed + lastOfFolder);
  for (let next = keys.next(); next.done !== true; ) {
    const key = next.value;
    // Only this further key shows that there is more.
    if (last !== undefined && (rows.length >= limit || bytes >= pageBytesMax || scanned >= foldersScanMax))
      return { rows, after: last };
    scanned += 1;
    const folder = folderOf(key);
    last = folder ?? key;
    if (folder === undefined) {
      const entry = state.entries.get(kinds.kv, account, key);
      if (entry !== undefined && !hasLapsed(entry, now)) {
        const body = render(key, entry);
        bytes += body.length;
        rows.push({ key, body });
      }
    } else {
      bytes += folder.length;
      rows.push({ key: folder, body: JSON.stringify(folder), folder: true });
    }
    next = keys.next(folder);
  }
  return { rows };
}
