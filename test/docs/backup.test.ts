import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from '@prometheus-io/client';
import { BackupCells, backupStates } from '../../src/backup/backup-cells.ts';
import { addBackupMetrics } from '../../src/front-end/backup-metrics.ts';
import { readDoc, tableUnder } from './markdown.ts';

const markdown = readDoc('docs/backup.md');

test('docs/backup.md lists every metric of backups, with its type, and no other', async () => {
  const registry = new Registry();
  const refreshers: (() => void)[] = [];
  addBackupMetrics(registry, refreshers, () => new BackupCells(BackupCells.allocate()));
  for (const refresh of refreshers) refresh();
  const emitted = [...(await registry.metrics()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
    ([, name, type]) => `${name} ${type}`,
  );
  const documented = tableUnder(markdown, 'Backup metrics').map(([name, type]) => `${name} ${type}`);
  assert.deepEqual(documented.toSorted(), emitted.toSorted());
});

test('docs/backup.md explains every state', () => {
  const documented = new Set(tableUnder(markdown, 'When something goes wrong').map(([state = '']) => state));
  const states = backupStates.filter((state) => state !== 'off' && state !== 'starting');
  assert.deepEqual(documented, new Set<string>(states));
});
