/** Metrics of backups; absent when none are made. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import { backupStates, type BackupCells } from '../backup/backup-cells.ts';
import { storageFaults } from '../backup/storage/storage.ts';
import type { RefreshMetrics } from './process-metrics.ts';
import { wallMs } from '../shared/clock.ts';

const lastKinds = [
  ['tail', 'caughtUpAt'],
  ['copy', 'copyAt'],
  ['verify', 'verifiedAt'],
  ['drill', 'drilledAt'],
] as const;

export function addBackupMetrics(
  registry: Registry,
  refreshers: RefreshMetrics[],
  backup: () => BackupCells | undefined,
): void {
  const get = (cell: Parameters<BackupCells['get']>[0]): number => backup()?.get(cell) ?? 0;
  const gauge = (name: string, help: string, read: () => number): void => {
    const metric = new Gauge({ name, help, registers: [registry] });
    refreshers.push(() => metric.set(read()));
  };
  const counter = (name: string, help: string, read: () => number): void => {
    const metric = new Counter({ name, help, registers: [registry] });
    refreshers.push(() => {
      metric.reset();
      metric.inc(read());
    });
  };
  const state = new Gauge({
    name: 'dragonlock_backup_state',
    help: '1 for the state that backups are in, 0 for all others',
    labelNames: ['state'],
    registers: [registry],
  });
  const failures = new Counter({
    name: 'dragonlock_backup_failures_total',
    help: 'Calls to the storage that failed, by reason',
    labelNames: ['reason'],
    registers: [registry],
  });
  refreshers.push(() => {
    for (const one of backupStates) state.set({ state: one }, backup()?.state === one ? 1 : 0);
    failures.reset();
    for (const reason of storageFaults) failures.inc({ reason }, backup()?.failures(reason) ?? 0);
  });
  gauge('dragonlock_backup_lag_seconds', 'Since everything durable was last in the backup', () =>
    sinceSeconds(get('caughtUpAt')),
  );
  gauge('dragonlock_backup_shipped_revision', 'The last revision in the backup', () => get('shipped'));
  gauge('dragonlock_backup_copy_age_seconds', 'Since the last copy was done', () => sinceSeconds(get('copyAt')));
  const last = new Gauge({
    name: 'dragonlock_backup_last_timestamp_seconds',
    help: 'When the log, a copy, a check without findings and a drill without findings were last done',
    labelNames: ['kind'],
    registers: [registry],
  });
  refreshers.push(() => {
    for (const [kind, cell] of lastKinds) last.set({ kind }, get(cell) / 1000);
  });
  gauge(
    'dragonlock_backup_clock_offset_seconds',
    "By how much the storage's clock is ahead of this machine's",
    () => get('clockOffset') / 1000,
  );
  gauge('dragonlock_backup_held_bytes', 'Bytes of the journal that are not in the backup', () => get('heldBytes'));
  gauge('dragonlock_backup_hold_dropped', '1: the journal is not kept for the backup any more', () =>
    get('holdDropped'),
  );
  counter('dragonlock_backup_objects_total', 'Objects of the log put into the storage', () => get('objects'));
  counter('dragonlock_backup_bytes_total', 'Bytes of the log put into the storage', () => get('bytes'));
  counter('dragonlock_backup_copies_total', 'Copies done since the start', () => get('copies'));
  counter('dragonlock_backup_gaps_total', 'Gaps: commits that never reached the backup', () => get('gaps'));
  gauge('dragonlock_backup_copying_rows', 'Rows of the copy that is being made', () => get('copyingRows'));
  gauge('dragonlock_backup_damaged_objects', 'Objects that could not be read when this server claimed', () =>
    get('damagedObjects'),
  );
  gauge('dragonlock_backup_fenced_by_lists', '1: the storage has no conditional puts', () => get('fencedByLists'));
  counter('dragonlock_backup_restarts_total', 'Times that the backup thread was started again', () => get('restarts'));
}

function sinceSeconds(at: number): number {
  return at === 0 ? Number.NaN : Math.max(0, wallMs() - at) / 1000;
}
