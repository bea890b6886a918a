/**
 * Named places at which a test can end the process as a power cut would. The environment arms one:
 * `DRAGONLOCK_FAILPOINT=journal.written:3` kills the process the third time that it passes there. An unarmed failpoint
 * costs one comparison. The crash tests iterate this list.
 */
export const failpoints = [
  'journal.before-write',
  'journal.written',
  'journal.synced',
  'journal.segment-prepared',
  'journal.segment-renamed',
  'journal.segment-trimmed',
  'checkpoint.before-commit',
  'checkpoint.committed',
  'recovery.tail-copied',
  'repartition.copied',
  'repartition.switched',
  'transaction.committed',
  'transaction.applied',
] as const;

export type Failpoint = (typeof failpoints)[number];

/** Those of `npm run salvage`, which no server passes. */
export const salvageFailpoints = ['salvage.header-mended', 'salvage.log-continued', 'salvage.set-aside'] as const;

/** Those of backups, which a server without `backup:` does not pass, and of a restore. */
export const backupFailpoints = [
  'ship.put',
  'ship.put-done',
  'merge.put',
  'copy.block',
  'copy.manifest',
  'prune.manifest',
  'restore.rows',
  'restore.replayed',
  'restore.journal',
  'restore.switched',
] as const;

type AnyFailpoint = Failpoint | (typeof salvageFailpoints)[number] | (typeof backupFailpoints)[number];

const [armed, nth] = (process.env['DRAGONLOCK_FAILPOINT'] ?? '').split(':');
let passes = 0;

export function failpoint(name: AnyFailpoint): void {
  if (name !== armed) return;
  passes += 1;
  if (passes >= Number(nth ?? 1)) process.kill(process.pid, 'SIGKILL');
}
