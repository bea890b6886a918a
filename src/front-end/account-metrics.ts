/**
 * Metrics of single accounts, for servers that ask for them (`metrics.accounts`): the accounts with the most bytes, of
 * those that a bounded number of pages has. They are asked for seldom, however often somebody scrapes.
 */
import { Gauge, type Registry } from '@prometheus-io/client';
import type { AccountId } from '../protocol/ids.ts';
import { accountsAfter } from '../protocol/operations/admin.ts';
import { isFailure, type Reply } from '../protocol/replies.ts';
import { processMs } from '../shared/clock.ts';
import { adminPageMax } from '../shared/limits.ts';
import type { RouteContext } from './http/route-context.ts';

/** Accounts that are shown, and pages of accounts that are looked at for them. */
const accountsMax = 100;
const pagesMax = 10;
const everyMs = 5000;

interface AccountRow {
  readonly Account: string;
  readonly Keys: number;
  readonly Counters: number;
  readonly Sequences: number;
  readonly Locks: number;
  readonly Limits: number;
  readonly Messages: number;
  readonly Bytes: number;
}

interface AccountPage {
  readonly Accounts: readonly AccountRow[];
  readonly After?: string;
}

/** @returns what brings the metrics up to date */
export function addAccountMetrics(
  registry: Registry,
  { dispatcher, accounts }: Pick<RouteContext, 'dispatcher' | 'accounts'>,
): () => Promise<void> {
  const gauge = (name: string, help: string): Gauge<'account'> =>
    new Gauge({ name, help, labelNames: ['account'], registers: [registry] });
  const bytes = gauge('dragonlock_account_bytes', 'Keys and values that the account has stored');
  const entries = gauge('dragonlock_account_entries', 'Entries of the account as quotas count them');
  const messages = gauge('dragonlock_account_messages', 'Messages of all queues of the account');
  const waiters = gauge('dragonlock_account_waiters', 'Requests of the account that wait');
  let rows: readonly AccountRow[] = [];
  let askedAt = -everyMs;
  return async () => {
    const now = processMs();
    if (now - askedAt >= everyMs) {
      askedAt = now;
      rows = await largest(dispatcher);
    }
    for (const metric of [bytes, entries, messages, waiters]) metric.reset();
    for (const row of rows) {
      const labels = { account: row.Account };
      const use = accounts.use(row.Account as AccountId);
      bytes.set(labels, row.Bytes);
      entries.set(labels, row.Keys + row.Counters + row.Sequences + row.Locks + row.Limits + row.Messages);
      messages.set(labels, row.Messages);
      waiters.set(labels, use.value('waiters'));
      accounts.release(use);
    }
  };
}

async function largest(dispatcher: RouteContext['dispatcher']): Promise<readonly AccountRow[]> {
  let rows: AccountRow[] = [];
  let after: AccountId | undefined;
  for (let page = 0; page < pagesMax; page += 1) {
    const reply = await new Promise<Reply>((deliver) => {
      dispatcher.request(accountsAfter(after, adminPageMax), { disconnected: false, deliver });
    });
    // The server stops, or has too much to do: what there is will do.
    if (isFailure(reply.outcome)) break;
    const { Accounts, After } = JSON.parse(reply.body) as AccountPage;
    rows = [...rows, ...Accounts].toSorted((a, b) => b.Bytes - a.Bytes).slice(0, accountsMax);
    if (After === undefined) break;
    after = After as AccountId;
  }
  return rows;
}
