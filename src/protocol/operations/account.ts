/** Accounts as a whole: deletion, export and import. */
import { keyBytesMax, pageLimitMax } from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';
import { refuse, refuseField } from '../refusal.ts';
import type { LoadOperation } from './account-lines.ts';
import { call, integerParameter, keyParameter, requiredParameter } from './call.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import { listSection, singleSection, type NeededScope } from './section.ts';

/** Deletes all that the account has. The commit marks the account; sweeps follow (core/deletion.ts). */
export type WipeOperation = Readonly<Record<string, never>>;

export interface WipeResult {
  /** Entries that are left to be deleted. */
  readonly entries: number;
}

/** It has a REST call and no member in the body of `POST /db/:acc`. */
export const wipeSection = singleSection<WipeOperation, WipeResult>({
  body: 'account',
  schema: {},
  key: () => '',
  prefix: () => '',
  effect: () => 'free',
  scope: () => 'admin',
  read: () => undefined,
});

/** Puts things as an export has them. Whoever may do it may set up queues, and take the place of any value. */
export const loadSection = listSection<LoadOperation, 'loaded' | 'ended' | 'unmatched'>({
  body: 'Lines',
  schema: {},
  key: ({ key }) => key,
  effect: (operation) => (isDeletion(operation) ? 'free' : 'write'),
  scope: scopesOfLine,
  read: () => undefined,
});

function isDeletion(operation: LoadOperation): boolean {
  switch (operation.kind) {
    case 'gone':
    case 'forgotten':
      return true;
    case 'kv':
    case 'counter':
      return operation.value === undefined;
    case 'script':
      return operation.script === undefined;
    case 'task':
      return operation.task === undefined;
    case 'flow':
      return operation.flow === undefined;
    case 'secret':
      return operation.secret === undefined;
    default:
      return false;
  }
}

/** What runs code or sends requests needs what it takes to have it done. */
function scopesOfLine(operation: LoadOperation): readonly NeededScope[] {
  if (operation.kind === 'script') return ['admin', 'script'];
  const target = operation.kind === 'task' ? operation.task?.definition.target.kind : undefined;
  if (target === 'http') return ['admin', 'task'];
  return target === 'script' ? ['admin', 'script'] : ['admin'];
}

/**
 * A page of an export. First come the entries, page by page, while others go on to change them; then all changes since
 * the first page, so that in the end everything is as of one revision:
 *
 *   entries, from `first` on ──the last page was read at `target`──► changes after `first` ──`target` is reached──► end
 */
export interface AccountExport extends PageRequest {
  readonly kind: 'account.export';
  /** The revision of the first page; absent: this is the first. */
  readonly first?: number;
  /** Present: the entries have been read. The page has the changes after `from`. */
  readonly changes?: { readonly from: number; readonly target: number };
}

export const accountExport = {
  // It has fencing tokens, owners and replies.
  scope: () => 'admin',
  prefix: () => '',
  list: 'Lines',
} as const satisfies CommandSpec<AccountExport>;

/** A queue, a group, and what stands between them. */
const placeBytesMax = 2 * keyBytesMax + 64;

type Cursor = readonly ['e', first: number, after: string] | readonly ['c', from: number, target: number];

export function exportCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

function readCursor(text: string): Pick<AccountExport, 'after' | 'first' | 'changes'> {
  let cursor: unknown;
  try {
    cursor = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    // It is refused below.
  }
  const [letter, first, second] = Array.isArray(cursor) ? (cursor as readonly unknown[]) : [];
  if (Number.isSafeInteger(first) && Number(first) >= 0) {
    if (letter === 'e' && typeof second === 'string' && isPlace(second)) return { first: Number(first), after: second };
    if (letter === 'c' && Number.isSafeInteger(second))
      return { changes: { from: Number(first), target: Number(second) } };
  }
  return refuseField('?after', 'expected After of the last page');
}

/** The place of a kind, and a key of the store, which may be a part of a queue. Anybody can make a cursor. */
function isPlace(text: string): boolean {
  return /^[0-9a-z]/.test(text) && text.isWellFormed() && Buffer.byteLength(text) <= placeBytesMax;
}

function exportOf(account: AccountId, after: string | undefined, limit: number): AccountExport {
  const place = after === undefined ? {} : readCursor(JSON.parse(after) as string);
  return { kind: 'account.export', account, prefix: '', limit, ...place };
}

export const accountCalls = {
  'account.export': call({
    method: 'GET',
    path: 'export',
    summary: 'Export the account, page by page',
    query: {
      after: { type: 'string', bytesMax: 4096, limitName: 'the length of a place in an export' },
      limit: integerParameter(1, pageLimitMax),
    },
    command: ({ account, query: { after, limit = pageLimitMax } }) => exportOf(account, after, limit),
  }),
  'account.import': call({
    method: 'POST',
    path: 'import',
    summary: 'Import a page of an export, all or nothing',
    query: {},
    body: 'lines',
    command: ({ account, value }) =>
      ({ kind: 'batch', account, format: 'account.import', load: JSON.parse(value) as LoadOperation[] }) as const,
  }),
  'account.delete': call({
    method: 'DELETE',
    path: '',
    summary: 'Delete everything that the account has',
    query: { confirm: requiredParameter(keyParameter, 'the name of the account once more') },
    command: ({ account, query: { confirm } }) => {
      if (confirm !== account)
        refuse(
          'invalid',
          `?confirm: expected the name of the account, ${JSON.stringify(account)}, got ${JSON.stringify(confirm)}`,
        );
      return { kind: 'batch', account, format: 'account.delete', wipe: {} } as const;
    },
  }),
} as const;
