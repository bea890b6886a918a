/** What an account has stored. */
import type { AccountId } from '../ids.ts';
import { kinds, type Kind } from '../record.ts';
import { call } from './call.ts';
import type { CommandSpec } from './command.ts';

/** Counts the entries of an account on all shards as of one moment, without looking at any of them. */
export interface AccountUsage {
  readonly kind: 'account.usage';
  readonly account: AccountId;
}

export const accountUsage = {
  scope: () => 'read',
  prefix: () => '',
  list: 'Usage',
} as const satisfies CommandSpec<AccountUsage>;

/** The members of `Entries` in its reply. */
export const usageMembers = {
  kv: kinds.kv,
  counters: kinds.counter,
  sequences: kinds.sequence,
  locks: kinds.lock,
  ids: kinds.idempotency,
  messages: kinds.queue,
  limits: kinds.limit,
  tasks: kinds.task,
  settings: kinds.taskSetting,
  scripts: kinds.script,
} as const satisfies Readonly<Record<string, Kind>>;

/** The members of `Limits`, which front ends add. */
export const usageLimits = {
  Bytes: true,
  Entries: true,
  Messages: true,
  Tasks: true,
  Waiters: true,
  Watchers: true,
  RequestsPerSecond: true,
} as const;

/** The row of a page that has the bytes; the others are those of `usageMembers`. */
export const bytesRow = 'Bytes';

/** The row that says on how many shards the account is being deleted. */
export const deletingRow = 'Deleting';

export const usageCalls = {
  'account.usage': call({
    method: 'GET',
    path: 'usage',
    summary: 'See what the account has stored, and its quotas',
    query: {},
    command: ({ account }) => ({ kind: 'account.usage', account }) as const,
  }),
};
