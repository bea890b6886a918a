/** Pages of a list, and how the pages of several shards are merged. */
import { compareKeys } from '../shared/text.ts';
import type { Revision } from './ids.ts';
import { commands, type ListCommand, type PageCommand } from './operations/operations.ts';
import { exportCursor, type AccountExport } from './operations/account.ts';
import { bytesRow, deletingRow, usageMembers } from './operations/usage.ts';
import { kinds, type Effect } from './record.ts';
import type { Page, Row } from './page-rows.ts';
import type { Reply } from './replies.ts';

/** Merges the rows up to the key that every shard has reached, and at most `limit` of them. */
export function mergePages(pages: readonly Page[], limit: number): Page {
  const ends = pages.flatMap(({ after }) => (after === undefined ? [] : [after])).toSorted(compareKeys);
  const [end] = ends;
  const rows = joinEqual(
    pages
      .flatMap((page) => page.rows)
      .filter(({ key }) => end === undefined || compareKeys(key, end) <= 0)
      .toSorted((a, b) => compareKeys(a.key, b.key)),
  );
  if (rows.length > limit) return { rows: rows.slice(0, limit), after: rows[limit - 1]!.key };
  return end === undefined ? { rows } : { rows, after: end };
}

/** Several shards have parts of a folder, and of an account. A key is on one of them. */
function joinEqual(rows: readonly Row[]): readonly Row[] {
  const joined: Row[] = [];
  for (const row of rows) {
    const before = joined.at(-1);
    if (before?.key !== row.key) joined.push(row);
    else if (row.folder !== true) joined[joined.length - 1] = { key: row.key, body: addCounts(before.body, row.body) };
  }
  return joined;
}

function addCounts(first: string, second: string): string {
  const sum = JSON.parse(first) as Record<string, unknown>;
  for (const [name, value] of Object.entries(JSON.parse(second) as object)) {
    if (typeof value === 'number') sum[name] = Number(sum[name] ?? 0) + value;
  }
  return JSON.stringify(sum);
}

/** Returns the effects of a page that ends with this key: those on later keys belong to the next. */
export function upToKey<Pending extends Pick<Effect, 'kind' | 'key'>>(
  pending: readonly Pending[],
  last: string | undefined,
): readonly Pending[] {
  if (last === undefined) return pending;
  return pending.filter(({ kind, key }) => kind !== kinds.kv || compareKeys(key, last) <= 0);
}

/** Renders what the shards have found of a list. */
export function listReply(command: ListCommand, pages: readonly Page[], rev: Revision): Reply {
  if (command.kind === 'account.usage') return usageReply(pages, rev);
  if (command.kind === 'account.export') return exportReply(command, mergePages(pages, command.limit), rev);
  return pageReply(command, mergePages(pages, command.limit), rev);
}

/** Adds up the numbers of all shards. */
function usageReply(pages: readonly Page[], rev: Revision): Reply {
  const sums = new Map<string, number>();
  for (const { key, body } of pages.flatMap(({ rows }) => rows)) sums.set(key, (sums.get(key) ?? 0) + Number(body));
  const entries = Object.fromEntries(Object.keys(usageMembers).map((name) => [name, sums.get(name) ?? 0]));
  const deleting = sums.get(deletingRow) === 0 ? '' : '"Deleting":true,';
  const body = `{"Bytes":${sums.get(bytesRow) ?? 0},"Entries":${JSON.stringify(entries)},${deleting}"Rev":${rev}}`;
  return { rev, outcome: 'ok', body };
}

/** Renders a page of entries. Behind the last one come the changes since the first, unless there is no other page. */
function exportReply({ first }: AccountExport, { rows, after }: Page, rev: Revision): Reply {
  const from = first ?? rev;
  const cursor =
    after !== undefined ? (['e', from, after] as const) : first !== undefined && (['c', from, rev] as const);
  return exportPage(
    rows.map(({ body }) => body),
    rev,
    cursor === false ? undefined : exportCursor(cursor),
  );
}

/** Renders what changed after the first page. @param rev how far these changes lead */
export function changesBody(lines: readonly string[], rev: Revision, target: number): string {
  const { body } = exportPage(lines, rev, rev >= target ? undefined : exportCursor(['c', rev, target]));
  return body.replace(/\}$/, ',"Changes":true}');
}

function exportPage(lines: readonly string[], rev: Revision, after: string | undefined): Reply {
  const more = after === undefined ? '' : `"More":true,"After":"${after}",`;
  return { rev, outcome: 'ok', body: `{"Lines":[${lines.join(',')}],${more}"Rev":${rev}}` };
}

/** Renders a page. `More` is true if there may be more; then `After` continues the list. */
function pageReply(command: PageCommand, page: Page, rev: Revision): Reply {
  const { list } = commands[command.kind];
  const after = afterOf(command, page);
  const more = after === undefined ? '' : `"More":true,"After":${JSON.stringify(after)},`;
  const folders =
    command.kind === 'kv.list' && command.delimiter !== undefined ? `"Folders":[${rowsOf(page, true)}],` : '';
  const body = `{"${list}":[${rowsOf(page, undefined)}],${folders}${more}"Rev":${rev}}`;
  return { rev, outcome: 'ok', body };
}

function rowsOf({ rows }: Page, folder: true | undefined): string {
  return rows
    .filter((row) => row.folder === folder)
    .map(({ body }) => body)
    .join(',');
}

/** The longest lines have no second page. The row of an account is found by its length first. */
function afterOf({ kind }: ListCommand, { after }: Page): string | undefined {
  if (kind === 'lock.longest') return undefined;
  return kind === 'account.list' ? after?.slice(1) : after;
}
