/**
 * Counters that all front ends of a server share, in memory of all threads. The server allocates them once, before the
 * first front end. A server with one front end, and tests of the HTTP door, use the same.
 */
import { BackupCells } from '../backup/backup-cells.ts';
import type { OwnQuotas } from '../protocol/quotas.ts';
import { AccountCounts, type OwnLimits } from '../router/account-counts.ts';
import { RouterCounts } from '../router/router-counts.ts';
import type { Config } from './config-schema.ts';
import { ConnectionLimits } from './http/sockets/connection-limits.ts';
import { RateLimiter, type OwnRates } from './rate-limiter.ts';
import { ReloadCell } from './reload-cell.ts';
import { SharedTaskCounts } from './shared-task-counts.ts';
import { RequestMetrics } from './request-metrics.ts';
import { ScanCursors } from './resp/scan-cursors.ts';
import { allocateClock } from '../shared/clock.ts';
import { ScriptBudgets, type OwnCpuTime } from '../scripts/script-budgets.ts';
import { ScriptCounts } from '../scripts/script-counts.ts';
import { sharedCountBytes } from '../shared/shared-count.ts';

export interface SharedCounters {
  /** See `RequestMetrics`. */
  readonly metrics: SharedArrayBuffer;
  /** See `RateLimiter`. */
  readonly rates: SharedArrayBuffer;
  /** See `RouterCounts`. */
  readonly routers: SharedArrayBuffer;
  /** The server's time, see `systemClock`. */
  readonly clock: SharedArrayBuffer;
  /** See `ConnectionLimits`. */
  readonly connections: SharedArrayBuffer;
  /** A `SharedCount` of lines that the log has lost. */
  readonly lostLogLines: SharedArrayBuffer;
  /** See `ReloadCell`. */
  readonly reload: SharedArrayBuffer;
  /** A `SharedCount` of the bytes of the log of requests that are on their way to the main thread. */
  readonly logBytes: SharedArrayBuffer;
  /** See `AccountCounts`. */
  readonly accounts: SharedArrayBuffer;
  /** See `BackupCells`. */
  readonly backup: SharedArrayBuffer;
  /** A `SharedCount` of those who follow the overview. */
  readonly adminViewers: SharedArrayBuffer;
  /** See `ScriptBudgets` and `ScriptCounts`. */
  readonly scriptBudgets: SharedArrayBuffer;
  readonly scriptCounts: SharedArrayBuffer;
  /** See `SharedTaskCounts`. */
  readonly taskCounts: SharedArrayBuffer;
  /** See `ScanCursors`; empty without a door for Redis clients. */
  readonly cursors: SharedArrayBuffer;
}

type Accounts = Config['accounts'];

export function allocateSharedCounters(config: {
  readonly http: Pick<Config['http'], 'threads'>;
  readonly shards: number;
  readonly resp?: Pick<Config['resp'], 'listen'>;
}): SharedCounters {
  return {
    metrics: RequestMetrics.allocate(config.http.threads),
    rates: RateLimiter.allocate(),
    routers: RouterCounts.allocate(config.shards),
    connections: ConnectionLimits.allocate(),
    clock: allocateClock(),
    lostLogLines: new SharedArrayBuffer(sharedCountBytes),
    reload: ReloadCell.allocate(),
    logBytes: new SharedArrayBuffer(sharedCountBytes),
    accounts: AccountCounts.allocate(),
    backup: BackupCells.allocate(),
    adminViewers: new SharedArrayBuffer(sharedCountBytes),
    scriptBudgets: ScriptBudgets.allocate(),
    // Its last row is that of the dispatcher.
    scriptCounts: ScriptCounts.allocate(config.http.threads + 1),
    taskCounts: SharedTaskCounts.allocate(),
    cursors: config.resp?.listen === undefined ? new SharedArrayBuffer(0) : ScanCursors.allocate(),
  };
}

/** The rates of the accounts that have their own. */
export function ratesOf(accounts: Accounts): OwnRates {
  const own = accounts.flatMap(({ name, requests_per_second: rate }) =>
    rate === undefined ? [] : [[name, rate] as const],
  );
  return new Map(own);
}

/** What scripts of the accounts have of CPU time that have their own. */
export function scriptCpuOf(accounts: Accounts): OwnCpuTime {
  const own = accounts.flatMap(({ name, script_cpu_ms_per_second: time }) =>
    time === undefined ? [] : [[name, time] as const],
  );
  return new Map(own);
}

/** The quotas of the accounts that have their own. */
export function ownQuotasOf(accounts: Accounts): OwnQuotas {
  return new Map(
    accounts.map(({ name, bytes_max: bytes, entries_max: entries, messages_max: messages, tasks_max: tasks }) => [
      name,
      {
        ...(bytes !== undefined && { bytes }),
        ...(entries !== undefined && { entries }),
        ...(messages !== undefined && { messages }),
        ...(tasks !== undefined && { tasks }),
      },
    ]),
  );
}

/** The other limits of the accounts that have their own. */
export function ownLimitsOf(accounts: Accounts): OwnLimits {
  return new Map(
    accounts.map(({ name, waiters_max: waiters, watchers_max: watchers }) => [
      name,
      { ...(waiters !== undefined && { waiters }), ...(watchers !== undefined && { watchers }) },
    ]),
  );
}
