/** Exports of an account of a server in memory, and imports into another one. */
import assert from 'node:assert/strict';
import { accountId, revision, type AccountId } from '../../src/protocol/ids.ts';
import { accountCalls } from '../../src/protocol/operations/account.ts';
import { readLines, type ExportLine } from '../../src/protocol/operations/account-lines.ts';
import { CountingLines } from '../../src/shared/export-lines.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { acme } from './commands.ts';
import type { ServerInMemory } from './server-in-memory.ts';

/** Where exports are imported. */
export const copy = accountId('copy');

interface ExportedPage {
  readonly Lines: readonly ExportLine[];
  readonly After?: string;
  readonly Rev: number;
}

async function page(server: ServerInMemory, after: string | undefined, limit: number, of: AccountId = acme) {
  const place = after === undefined ? {} : { after: JSON.stringify(after) };
  const query = { ...place, limit };
  const made = { value: '', secret: () => '', newID: () => '' };
  const command = accountCalls['account.export'].command({ account: of, id: '', query, ...made });
  const { changes } = command;
  if (changes === undefined) return (await server.ok(command)) as unknown as ExportedPage;
  const client = server.client();
  const watch = { account: of, prefix: '', limit, after: revision(changes.from), changesTo: revision(changes.target) };
  server.running.router.watchPrefix({ ...watch, waitMs: 0 }, client);
  await server.advance(1);
  assert.equal(client.status, 200, String(client.reply?.body));
  return client.body as unknown as ExportedPage;
}

/**
 * Reads all pages of an export.
 * @param meanwhile is called between two pages of entries
 */
export async function exported(
  server: ServerInMemory,
  {
    limit = 1000,
    of = acme,
    meanwhile = () => Promise.resolve(),
  }: Partial<{ limit: number; of: AccountId; meanwhile: () => Promise<void> }> = {},
): Promise<{ readonly lines: readonly ExportLine[]; readonly rev: number; readonly pages: number }> {
  const lines: ExportLine[] = [];
  let after: string | undefined;
  for (let pages = 1; ; pages += 1) {
    const { Lines, After, Rev } = await page(server, after, limit, of);
    lines.push(...Lines);
    if (After === undefined) return { lines, rev: Rev, pages };
    after = After;
    const isOfChanges = Buffer.from(After, 'base64url').toString().startsWith('["c"');
    if (!isOfChanges) await meanwhile();
  }
}

/** Imports the lines that count into `copy`. */
export async function load(server: ServerInMemory, lines: readonly ExportLine[], size = 1000): Promise<void> {
  const counting = new CountingLines();
  lines.forEach((line, i) => counting.show(line, i));
  const wanted = lines.filter((line, i) => counting.counts(line, i) && line.Deleted !== true);
  for (let at = 0; at < wanted.length; at += size) {
    const operations = readLines({ Lines: wanted.slice(at, at + size) }, defaultLimits);
    await server.ok({ kind: 'batch', account: copy, format: 'account.import', load: operations });
  }
}
