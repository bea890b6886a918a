/** What administrators look at, and no client may: accounts, the longest lines, the line of one lock. Nothing changes. */
import { adminPageMax } from '../../shared/limits.ts';
import { serverAccount, type AccountId } from '../ids.ts';
import type { CommandSpec, PageRequest } from './command.ts';

/** Accounts that have entries, by the length of their names and then by name; `after` is an `accountRowKey`. */
export interface AccountList extends PageRequest {
  readonly kind: 'account.list';
  /** Present: these, and no others. */
  readonly only?: readonly AccountId[];
}

/** The locks that most requests wait for, the longest line first. There is no second page. */
export interface LockLongest extends PageRequest {
  readonly kind: 'lock.longest';
  /** Absent: of all accounts. */
  readonly of?: AccountId;
}

/** One lock with its line and its last leases. */
export interface LockLine {
  readonly kind: 'lock.line';
  readonly account: AccountId;
  readonly id: string;
}

/** Holds of transactions are the server's own here, and so never in the way of a client. */
export const accountList = {
  scope: () => 'read',
  prefix: () => '',
  list: 'Accounts',
} as const satisfies CommandSpec<AccountList>;

export const lockLongest = {
  scope: () => 'read',
  prefix: () => '',
  list: 'Locks',
} as const satisfies CommandSpec<LockLongest>;

export const lockLine = {
  scope: () => 'read',
  keys: ({ id }) => [id],
} as const satisfies CommandSpec<LockLine>;

export function accountRowKey(account: AccountId): string {
  return String.fromCharCode(account.length) + account;
}

export function accountsAfter(after: AccountId | undefined, limit: number): AccountList {
  const from = after === undefined ? {} : { after: accountRowKey(after) };
  return { kind: 'account.list', account: serverAccount, prefix: '', ...from, limit };
}

/** @param only at most a page of them */
export function accountsOf(only: readonly AccountId[]): AccountList {
  return {
    kind: 'account.list',
    account: serverAccount,
    prefix: '',
    only: only.slice(0, adminPageMax),
    limit: adminPageMax,
  };
}

export function longestLines(of: AccountId | undefined): LockLongest {
  const only = of === undefined ? {} : { of };
  return { kind: 'lock.longest', account: serverAccount, prefix: '', ...only, limit: adminPageMax };
}
