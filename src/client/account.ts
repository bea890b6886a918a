/**
 * Accounts as a whole. An export is pages of lines, in the names of the HTTP API. An import reads them twice: lines that
 * others have taken the place of are left out.
 */
import { CountingLines, type NamedLine } from '../shared/export-lines.ts';
import { showCallers } from './caller.ts';
import { gotText, invalid } from './checks.ts';
import { TooLargeError } from './errors.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { systemLeaseClock } from './lease-clock.ts';
import { retryId } from './retry-id.ts';
import type { CallOptions, StoreCalls } from './store-calls.ts';

/** One thing of an account, or `{ Deleted: true }` of it; docs/http.md has the members of each kind. */
export interface ExportLine extends NamedLine {
  readonly [member: string]: unknown;
}

/** Some lines of an export. */
export interface ExportPage {
  /** In the order in which they count. */
  readonly lines: readonly ExportLine[];
  /** They are what has changed during the export: they may take the place of lines before. */
  readonly changes: boolean;
  /** Goes on behind this page: `accounts.export({ after })`. Absent: it was the last. */
  readonly after?: string;
  /** Of the last page: all lines together are the account as of this revision. */
  readonly rev: number;
}

/** Options of `client.accounts.export`. */
export interface ExportOptions extends CallOptions {
  /** Goes on behind this page. */
  readonly after?: string | undefined;
}

/** Options of `client.accounts.import`. */
export interface ImportOptions extends CallOptions {
  /** Goes on where an import of the same pages has stopped: `resume` of its last progress. */
  readonly resume?: string | undefined;
  /** Called after each page that is in the account. */
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
}

/** How far an import has come. */
export interface ImportProgress {
  /** Lines that have been put. */
  readonly loaded: number;
  /** Lines that were left out because their time was over. */
  readonly ended: number;
  /** Goes on from here. */
  readonly resume: string;
}

/** Options of `client.accounts.delete`. */
export interface DeleteAccountOptions extends CallOptions {
  /** The name of the account once more. */
  readonly confirm: string;
}

const exportNames: NamesOf<ExportOptions> = { after: true, signal: true };
const importNames: NamesOf<ImportOptions> = { resume: true, onProgress: true, signal: true };
const deleteNames: NamesOf<DeleteAccountOptions> = { confirm: true, signal: true };

/** The account as a whole: `client.accounts`. */
export class Accounts {
  static {
    showCallers(this, 'import', 'delete');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /**
   * All that the account has, page by page, but for leases of locks and of messages. Others may write meanwhile: all
   * pages together are the account as of the last page's `rev`. Needs the scope `admin`.
   */
  export(options?: ExportOptions): AsyncGenerator<ExportPage, void, undefined> {
    checkOptions(options, exportNames);
    return exportPages(this.#calls, this.#account, options);
  }

  /**
   * Puts what an export has into the account, over what is there. Each page is one commit, and none is put twice, also
   * when an import goes on with `resume`.
   * @param read returns the pages from the beginning; called twice
   */
  async import(
    read: () => Iterable<PageOfLines> | AsyncIterable<PageOfLines>,
    options?: ImportOptions,
  ): Promise<ImportProgress> {
    return await importPages(this.#calls, this.#account, { read, options });
  }

  /**
   * Deletes everything that the account has. It is gone at once if it is little; otherwise calls fail with
   * `AccountDeletingError` until it is gone: `usage().deleting`.
   */
  async delete(options: DeleteAccountOptions): Promise<{ readonly entries: number }> {
    return await deleteAll(this.#calls, this.#account, options);
  }
}

/** Of one page of an import, which is one commit. */
const pageLines = 500;
const pageChars = 128 * 1024;

async function* exportPages(
  calls: StoreCalls,
  account: string,
  options: ExportOptions = {},
): AsyncGenerator<ExportPage, void, undefined> {
  let { after } = options;
  do {
    const { signal } = options;
    const path = pathOf(account, 'export', undefined, { after });
    const { Lines, After, Changes, Rev } = (await calls.rest('GET', path, [], { signal })) as unknown as WirePage;
    after = After;
    yield { lines: Lines, changes: Changes === true, ...(After !== undefined && { after: After }), rev: Rev };
  } while (after !== undefined);
}

interface WirePage {
  readonly Lines: readonly ExportLine[];
  readonly After?: string;
  readonly Changes?: true;
  readonly Rev: number;
}

type Pages = Iterable<PageOfLines> | AsyncIterable<PageOfLines>;
/** What an import needs of a page. */
export type PageOfLines = Pick<ExportPage, 'lines' | 'changes'>;

/** @param read returns the pages of the export from its beginning; called twice */
async function importPages(
  calls: StoreCalls,
  account: string,
  { read, options = {} }: { readonly read: () => Pages; readonly options?: ImportOptions | undefined },
): Promise<ImportProgress> {
  checkOptions(options, importNames);
  if (typeof read !== 'function') throw invalid('read: expected a function that returns the pages of an export');
  const { signal, onProgress } = options;
  const { run, done } = startOf(options.resume);
  const counting = await showAll(read());
  let progress: ImportProgress = { loaded: 0, ended: 0, resume: `${done}-${run}` };
  const put = async (lines: readonly ExportLine[], first: number): Promise<void> => {
    const sent = await load(calls, account, { lines, id: `import/${run}/${first}`, signal });
    const loaded = progress.loaded + sent.Loaded;
    progress = { loaded, ended: progress.ended + sent.Ended, resume: `${first + lines.length}-${run}` };
    onProgress?.(progress);
  };
  /** How many lines are in the account, and those of the page that is being filled. */
  let [number, at] = [0, 0];
  let page: ExportLine[] = [];
  let chars = 0;
  for await (const { lines } of read()) {
    for (const line of lines) {
      const counts = counting.counts(line, at);
      at += 1;
      if (!counts || (line.Deleted === true && line.Kind === 'message')) continue;
      number += 1;
      if (number <= done) continue;
      page.push(counting.isMovedOn(line) ? { ...line, DueMs: undefined } : line);
      chars += JSON.stringify(line).length;
      if (page.length < pageLines && chars < pageChars) continue;
      await put(page, number - page.length);
      page = [];
      chars = 0;
    }
  }
  if (page.length > 0) await put(page, number - page.length);
  return progress;
}

function startOf(resume: string | undefined): { readonly run: string; readonly done: number } {
  if (resume === undefined) return { run: retryId(systemLeaseClock.mark().wallMs), done: 0 };
  const [, done, run] = /^(\d{1,15})-([\w-]{36})$/.exec(resume) ?? [];
  if (run === undefined) throw invalid('resume: expected the resume of an import that has stopped');
  return { run, done: Number(done) };
}

async function showAll(pages: Pages): Promise<CountingLines> {
  const counting = new CountingLines();
  let at = 0;
  for await (const { lines, changes } of pages) {
    for (const line of lines) {
      if (changes) counting.show(line, at);
      else counting.showQueue(line);
      at += 1;
    }
  }
  return counting;
}

interface Page {
  /** In the order in which they count. */
  readonly lines: readonly ExportLine[];
  readonly id: string;
  readonly signal: AbortSignal | undefined;
}

interface WireLoaded {
  readonly Loaded: number;
  readonly Ended: number;
}

/** Puts a page, in one commit if the server takes so much in one. */
async function load(calls: StoreCalls, account: string, { lines, id, signal }: Page): Promise<WireLoaded> {
  const path = pathOf(account, 'import', undefined);
  try {
    return (await calls.rest('POST', path, [], { signal, id }, { Lines: lines })) as unknown as WireLoaded;
  } catch (error) {
    if (!(error instanceof TooLargeError) || lines.length < 2) throw error;
    const middle = lines.length >> 1;
    const first = await load(calls, account, { lines: lines.slice(0, middle), id: `${id}a`, signal });
    const second = await load(calls, account, { lines: lines.slice(middle), id: `${id}b`, signal });
    return { Loaded: first.Loaded + second.Loaded, Ended: first.Ended + second.Ended };
  }
}

async function deleteAll(
  calls: StoreCalls,
  account: string,
  options: DeleteAccountOptions,
): Promise<{ readonly entries: number }> {
  checkOptions(options, deleteNames);
  const confirm: unknown = options?.confirm;
  if (typeof confirm !== 'string') throw invalid(`confirm: expected the name of the account, got ${gotText(confirm)}`);
  const path = pathOf(account, '', undefined, { confirm });
  // To delete again is harmless; an idempotency key would be deleted, too.
  const body = await calls.rest('DELETE', path, [], { signal: options.signal, id: '' });
  return { entries: Number(body['Entries']) };
}
