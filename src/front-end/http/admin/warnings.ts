/** What is wrong, in words, with where to read on. The names of the documents are those of the repository. */
import type { BackupCells } from '../../../backup/backup-cells.ts';
import type { ServerStats } from '../../../protocol/stats.ts';

export interface Warning {
  readonly Level: 'warning' | 'error';
  readonly Text: string;
  /** A file of the documents, with its heading. */
  readonly Doc: string;
}

const backupLagMs = 30_000;
const queuedMany = 10_000;

export function warningsOf(stats: ServerStats, backup: BackupCells | undefined, now: number): Warning[] {
  const { journal, historyDamage, shards } = stats;
  const warnings: Warning[] = [];
  const warn = (Level: Warning['Level'], Text: string, Doc: string): void => void warnings.push({ Level, Text, Doc });
  if (journal.space === 'full')
    warn('error', 'No room on the disk: the server refuses all writes.', 'docs/operations.md#disk-full');
  if (journal.space === 'reserve')
    warn('error', 'No room on the disk: only what frees space is written.', 'docs/operations.md#disk-full');
  if (historyDamage.places > 0)
    warn('error', `The journal's history is damaged in ${historyDamage.places} places.`, 'docs/operations.md#salvage');
  const queued = shards.reduce((sum, shard) => sum + shard.queued, 0);
  if (queued > queuedMany) warn('warning', `${queued} requests wait for their shards.`, 'docs/operations.md#metrics');
  if (backup !== undefined) {
    const { state } = backup;
    if (state === 'failing') {
      const lag = Math.round((now - backup.get('caughtUpAt')) / 1000);
      warn('error', `Backups fail; the repository is ${lag} s behind.`, 'docs/backup.md');
    } else if (!['off', 'starting', 'shipping'].includes(state)) {
      warn('error', `No backups are made: the repository is ${state.replace('_', ' ')}.`, 'docs/backup.md');
    } else if (state === 'shipping' && now - backup.get('caughtUpAt') > backupLagMs && backup.get('caughtUpAt') > 0) {
      warn('warning', 'Backups are behind by more than 30 s.', 'docs/backup.md');
    }
    if (backup.get('gaps') > 0)
      warn('warning', 'The backup has a gap: moments within it cannot be restored.', 'docs/backup.md');
  }
  return warnings;
}
