/** Answers of `/admin/slow` and `/admin/top`, of what the front ends know. */
import type { TopOrder } from '../../../protocol/operations/admin-calls.ts';
import { adminPageMax } from '../../../shared/limits.ts';
import type { BusyAccount } from '../../busy-accounts.ts';
import type { LoggedMembers } from '../../request-log.ts';

export function slowReply(found: readonly unknown[], limit: number): object {
  const all = (found as (readonly LoggedMembers[] | undefined)[]).flatMap((one) => one ?? []);
  const newest = all.toSorted((a, b) => b.time - a.time);
  return { Slow: newest.slice(0, limit).map(rowOf) };
}

function rowOf(request: LoggedMembers): object {
  const { time, operation, account, status, ms, bytes, requestId, token, address, method, url } = request;
  return {
    At: time,
    Operation: operation,
    Account: account,
    Status: status,
    Ms: ms,
    Bytes: bytes,
    RequestID: requestId,
    Who: token,
    From: address,
    Method: method,
    URL: url,
  };
}

const memberOf = { requests: 'requests', bytes: 'bytes', time: 'ms' } as const;

interface Busy {
  readonly accounts: readonly BusyAccount[];
  readonly ms: number;
}

export function topReply(found: readonly unknown[], by: TopOrder): object {
  const parts = (found as (Busy | undefined)[]).flatMap((one) => one ?? []);
  const total = new Map<string, Omit<BusyAccount, 'account'>>();
  for (const { account, requests, bytes, ms } of parts.flatMap(({ accounts }) => accounts)) {
    const sum = total.get(account) ?? { requests: 0, bytes: 0, ms: 0 };
    total.set(account, { requests: sum.requests + requests, bytes: sum.bytes + bytes, ms: sum.ms + ms });
  }
  const rows = [...total].toSorted(([, a], [, b]) => b[memberOf[by]] - a[memberOf[by]]).slice(0, adminPageMax);
  return {
    Seconds: Math.round(Math.max(0, ...parts.map(({ ms }) => ms)) / 1000),
    Top: rows.map(([Account, { requests, bytes, ms }]) => ({
      Account,
      Requests: requests,
      Bytes: bytes,
      Ms: Math.round(ms),
    })),
  };
}
