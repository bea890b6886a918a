/** One page of a list, and how the pages of several shards become one. */
import type { Revision } from './ids.ts';
import { commands, type ListCommand } from './operations/operations.ts';
import type { Reply } from './replies.ts';

export interface Row {
  readonly key: string;
  /** Its finished JSON text. */
  readonly body: string;
}

export interface Page {
  /** In the byte order of the UTF-8 keys. */
  readonly rows: readonly Row[];
  /** Present: there may be more behind this key, which was the last that was looked at. */
  readonly after?: string;
}

/** Rows up to where every shard has looked, and at most `limit`. */
export function mergePages(pages: readonly Page[], limit: number): Page {
  const ends = pages.flatMap(({ after }) => (after === undefined ? [] : [after])).toSorted(compareKeys);
  const [end] = ends;
  const rows = pages
    .flatMap((page) => page.rows)
    .filter(({ key }) => end === undefined || compareKeys(key, end) <= 0)
    .toSorted((a, b) => compareKeys(a.key, b.key));
  if (rows.length > limit) return { rows: rows.slice(0, limit), after: rows[limit - 1]!.key };
  return end === undefined ? { rows } : { rows, after: end };
}

/** `More` is true when there may be more; `After` is what to continue with. */
export function pageReply(command: ListCommand, page: Page, rev: Revision): Reply {
  const { list } = commands[command.kind];
  const more = page.after === undefined ? '' : `"More":true,"After":${JSON.stringify(page.after)},`;
  const body = `{"${list}":[${page.rows.map((row) => row.body).join(',')}],${more}"Rev":${rev}}`;
  return { rev, outcome: 'ok', body };
}

/** UTF-8 byte order, which differs from JavaScript's where surrogate pairs meet U+E000–U+FFFF. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
