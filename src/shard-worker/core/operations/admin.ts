/** What administrators look at: accounts, the longest lines, the line of one lock. All of it is bounded, and only reads. */
import type { AccountId } from '../../../protocol/ids.ts';
import {
  accountRowKey,
  type AccountList,
  type LockLine,
  type LockLongest,
} from '../../../protocol/operations/admin.ts';
import type { Page, Row } from '../../../protocol/page-rows.ts';
import { kinds, type Kind } from '../../../protocol/record.ts';
import { adminPageMax, linesLookedMax } from '../../../shared/limits.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { WaitQueue } from '../state/wait-queue.ts';
import { holderInfo } from './lock-failures.ts';
import { viewDurableLock } from './lock.ts';

/** What accounts have, by the names of the reply. */
const counted = {
  Keys: kinds.kv,
  Counters: kinds.counter,
  Sequences: kinds.sequence,
  Locks: kinds.lock,
  Limits: kinds.limit,
  QueueParts: kinds.queue,
  Tasks: kinds.task,
  TaskSettings: kinds.taskSetting,
  IDs: kinds.idempotency,
} as const satisfies Record<string, Kind>;

export function listAccounts({ state }: Turn, { after, limit, only }: AccountList): Page {
  if (only !== undefined) {
    const sorted = only.toSorted((a, b) => (accountRowKey(a) < accountRowKey(b) ? -1 : 1));
    return { rows: sorted.map((account) => rowOf(state, account).row) };
  }
  const rows: Row[] = [];
  const { entries } = state;
  let account = after === undefined ? ('' as AccountId) : (after.slice(1) as AccountId);
  // An account that has nothing any more may be found until the next checkpoint.
  for (let looked = 0; looked < 2 * limit; looked += 1) {
    const next = entries.accountAfter(account);
    if (next === undefined) return { rows };
    if (rows.length >= limit) break;
    account = next;
    const { some, row } = rowOf(state, account);
    if (some) rows.push(row);
  }
  return { rows, after: accountRowKey(account) };
}

function rowOf({ entries }: ShardState, account: AccountId): { readonly some: boolean; readonly row: Row } {
  const body: Record<string, number | string> = { Account: account };
  let Bytes = entries.countOf(account, kinds.share).bytes + entries.countOf(account, kinds.taskState).bytes;
  let some = false;
  for (const [name, kind] of Object.entries(counted)) {
    const count = entries.countOf(account, kind);
    body[name] = count.entries;
    some ||= count.entries > 0;
    Bytes += count.bytes;
  }
  return {
    some,
    row: {
      key: accountRowKey(account),
      body: JSON.stringify({ ...body, Messages: entries.messagesOf(account), Bytes }),
    },
  };
}

/** Counts down, so that the longest line is the first row of a page. */
const mostWaiters = 10 ** 9;

export function listLongest(turn: Turn, { of, limit }: LockLongest): Page {
  const { state, now } = turn;
  const most = Math.min(limit, adminPageMax);
  const longest: WaitQueue[] = [];
  let looked = 0;
  for (const line of state.waitQueues.lines('lock')) {
    looked += 1;
    if (looked > linesLookedMax) break;
    if (of !== undefined && line.account !== of) continue;
    if (longest.length === most && line.size <= longest.at(-1)!.size) continue;
    const place = longest.findLastIndex(({ size }) => size >= line.size) + 1;
    longest.splice(place, 0, line);
    if (longest.length > most) longest.pop();
  }
  const rows = longest.map(({ account, id, size }): Row => {
    const holder = holderInfo(viewDurableLock(state, account, { id }, now));
    const body = JSON.stringify({ Account: account, LockID: id, ...holder, Waiters: size });
    return { key: `${String(mostWaiters - size).padStart(10, '0')}\0${account}\0${id}`, body };
  });
  return { rows: rows.toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))) };
}

/** Handles and owners are secrets of those who hold them, and no part of it. */
export function lookAtLine({ state, now, out }: Turn, ref: RequestRef, { account, id }: LockLine): void {
  const rev = readRevision(state);
  const view = viewDurableLock(state, account, { id }, now);
  const queue = state.waitQueues.find('lock', account, id);
  const line: object[] = [];
  for (const { timer, operation } of queue?.waiters() ?? []) {
    if (line.length >= adminPageMax) break;
    line.push(timer === undefined ? {} : { Since: timer.at - operation.waitMs, Until: timer.at });
  }
  const holder = holderInfo(view);
  const body = {
    Account: account,
    LockID: id,
    Locked: holder !== undefined,
    ...holder,
    Waiters: queue?.size ?? 0,
    Waiting: line,
    Ended: view.ended.map(({ why, at, reason }) => ({
      Why: why,
      AtMs: at,
      ...(reason !== undefined && { Reason: reason }),
    })),
    Now: now,
    Rev: rev,
  };
  out.reply(ref, { rev, outcome: 'ok', body: JSON.stringify(body) });
}
