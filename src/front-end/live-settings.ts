/** The settings that a front end takes over while it serves (`main/reload.ts`); all others need a restart. */
import type { Limits } from '../shared/limits.ts';
import type { BackupSettings } from '../backup/backup-settings.ts';
import type { AccountConfig } from './accounts-schema.ts';
import type { Config, TokenConfig } from './config-schema.ts';
import type { LogSettings } from './request-log-settings.ts';
import type { TlsFiles } from './tls-schema.ts';

/** Limits that front ends look up at each request. */
export const liveLimits = [
  'account_inflight_max',
  'account_waiters_max',
  'account_watchers_max',
  'account_connections_max',
  'account_inflight_bytes_max',
  'account_waiting_bytes_max',
  'account_watching_bytes_max',
  'account_requests_per_second',
  'account_bytes_max',
  'account_entries_max',
  'account_messages_max',
  'account_tasks_max',
] as const satisfies readonly (keyof Limits)[];

export interface LiveSettings {
  readonly tokens: readonly TokenConfig[];
  readonly accounts: readonly AccountConfig[];
  readonly limits: Readonly<Record<(typeof liveLimits)[number], number>>;
  readonly corsOrigins: readonly string[];
  readonly httpTls: TlsFiles | undefined;
  readonly respTls: TlsFiles | undefined;
  readonly log: LogSettings;
  readonly backup: BackupSettings;
}

export function liveSettings({ tokens, accounts, limits, http, resp, log, backup }: Config): LiveSettings {
  return {
    tokens,
    accounts,
    limits: Object.fromEntries(liveLimits.map((name) => [name, limits[name]])) as LiveSettings['limits'],
    corsOrigins: http.cors_origins,
    httpTls: http.tls,
    respTls: resp.tls,
    log,
    backup,
  };
}
