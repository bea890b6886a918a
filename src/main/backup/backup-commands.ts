/** What `dragonlock restore`, `backups`, `verify` and `backup --data-dir` do. The command loads this file from a checkout. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { restorable, readCatalog } from '../../backup/repository/catalog.ts';
import { NotInPlace, restoreInPlace } from '../../backup/restore/in-place.ts';
import type { InPlaceReport } from '../../backup/restore/restore-marks.ts';
import { planOf, restore, type RestoreReport } from '../../backup/restore/restore.ts';
import type { RestoreGoal } from '../../backup/restore/restore-plan.ts';
import { drill, noteCheck } from '../../backup/verify/drill.ts';
import { holesIn, newestLine, verify, type RevisionGap } from '../../backup/verify/verify.ts';
import { isoTime, wallMs } from '../../shared/clock.ts';
import { lockDataDirectory } from '../data-directory/data-directory-lock.ts';
import { BackupUsage, openRepository, backupSettingsOf, type StorageOptions } from './open-repository.ts';
import { backUpStopped, type StoppedBackup } from './stopped-server.ts';

export { backupFailureOf } from './open-repository.ts';

/** @param done objects @param bytes that were read of the storage */
type OnProgress = (done: number, total: number, bytes: number) => void;

export interface RestoreRequest extends StorageOptions {
  readonly dataDirectory: string;
  readonly at?: string | undefined;
  readonly revision?: number | undefined;
  readonly adopt: boolean;
  readonly graceMs: number;
  readonly jump?: number | undefined;
  readonly skipSequences?: number | undefined;
  readonly dryRun: boolean;
  /** Only makes a directory safe that was put back by hand; the repository is not needed for it. */
  readonly inPlace: boolean;
  readonly onProgress?: OnProgress;
  readonly onNote?: (note: string) => void;
}

export type RestoreResult =
  | { readonly kind: 'restored'; readonly report: RestoreReport | InPlaceReport; readonly lines: readonly string[] }
  | { readonly kind: 'planned'; readonly revision: number; readonly copy: string; readonly objects: number };

export async function runRestore(request: RestoreRequest): Promise<RestoreResult> {
  if (request.inPlace) return runRestoreInPlace(request);
  const goal = goalOf(request);
  const repository = await openRepository(request);
  const { dataDirectory, adopt, graceMs, jump, skipSequences, onProgress, onNote } = request;
  if (request.dryRun) {
    const { plan } = await planOf(repository, goal);
    const copy = plan.copies[0]!;
    const objects = plan.objects.filter(({ last }) => last > copy.manifest.from).length;
    return { kind: 'planned', revision: plan.revision, copy: copy.name.folder, objects };
  }
  const lock = lockDataDirectory(dataDirectory);
  try {
    const report = await restore({
      repository,
      goal,
      dataDirectory,
      adopt,
      graceMs,
      randomBytes,
      ...(jump !== undefined && { jump }),
      ...(skipSequences !== undefined && { skipSequences }),
      ...(onProgress && { onProgress: (done, total) => onProgress(done, total, repository.bytesRead) }),
      ...(onNote && { onNote }),
    });
    return { kind: 'restored', report, lines: inWords(report) };
  } finally {
    lock.release();
    repository.storage.close();
  }
}

async function runRestoreInPlace(request: RestoreRequest): Promise<RestoreResult> {
  const { dataDirectory, adopt, graceMs, jump, skipSequences = 0, at, revision, dryRun, url, config } = request;
  if (at !== undefined || revision !== undefined || dryRun)
    throw new BackupUsage('--in-place keeps the content as it is; expected no --at, --revision or --dry-run.');
  if (!fs.existsSync(dataDirectory)) throw new NotInPlace(`There is no directory ${dataDirectory}.`);
  const repository = url === undefined && config === undefined ? undefined : await openRepository(request);
  const lock = lockDataDirectory(dataDirectory);
  try {
    const report = await restoreInPlace({
      repository,
      dataDirectory,
      adopt,
      graceMs,
      jump,
      skipSequences,
      randomBytes,
    });
    const kept = `The content is as it was. Its log is kept in ${report.logBefore}; remove that when all is well.`;
    const asked = report.knowsRepository
      ? []
      : ['No backup was asked what came after. If the server makes backups, give their URL, or adopt it later.'];
    return { kind: 'restored', report, lines: [kept, ...asked, ...inWords(report)] };
  } finally {
    lock.release();
    repository?.storage.close();
  }
}

function goalOf({ at, revision }: RestoreRequest): RestoreGoal {
  if (at !== undefined && revision !== undefined) throw new BackupUsage('Expected --at or --revision, got both.');
  if (revision !== undefined) return { kind: 'revision', revision };
  if (at === undefined) return { kind: 'latest' };
  const ms = Date.parse(at);
  if (Number.isNaN(ms) || !/[Zz]$|[+-]\d{2}:?\d{2}$/.test(at))
    throw new BackupUsage(`--at: expected a time with its zone, such as 2026-11-26T08:00:00Z, got ${at}.`);
  return { kind: 'moment', at: ms };
}

/** What those who live through it must know. */
function inWords(report: RestoreReport | InPlaceReport): string[] {
  const { revision, at, continuesWith, highestKnown, graceMs, locksWithLongerGrace, sequences, digest } = report;
  const seconds = graceMs / 1000;
  const isLatest = 'isLatest' in report && report.isLatest ? ', the latest that is known' : '';
  return [
    `Restored: revision ${revision}${at === 0 ? '' : `, of ${isoTime(at)}`}${isLatest}.`,
    'copy' in report
      ? `From ${report.copy} (${report.rows} entries) and the log after it. Digest ${digest}.`
      : `Digest ${digest}.`,
    `The server goes on with revision ${continuesWith}: no version, fencing token or cursor is given out twice.`,
    ...(highestKnown > revision
      ? [`Given up: revisions ${revision + 1} to ${highestKnown}, and what never reached the backup.`]
      : ['Given up: what never reached the backup.']),
    'Watches that resume from before are answered 410 and begin anew.',
    graceMs === 0
      ? 'Locks are granted at once. That is safe only if every client was stopped.'
      : `Locks that were not held are granted ${seconds} s after the start at the earliest` +
        `${locksWithLongerGrace > 0 ? `, and ${locksWithLongerGrace} of them later, as long as their leases were` : ''}.`,
    'Fencing tokens of the lost time are answered lock_lost, with Why "restored".',
    'Idempotency ids of the lost time are forgotten: a request that is sent again may happen twice.',
    report.sequencesMoved > 0
      ? `${report.sequencesMoved} sequences were moved ahead. Counters have gone back to that moment.`
      : sequences.length === 0
        ? 'No sequence has changed in the hour before. Counters and sequences have gone back to that moment.'
        : `Sequences that changed in the hour before, and may repeat numbers: ${sequences.slice(0, 20).join(', ')}` +
          `${sequences.length > 20 ? ` and ${sequences.length - 20} more` : ''}.`,
    report.adopted
      ? 'This server takes the place of the one that the backup is of.'
      : 'This server makes no backups until it is adopted: dragonlock backup adopt.',
  ];
}

/** Backs up a server that does not run. */
export function runBackupOfStopped(
  request: StorageOptions & { readonly dataDirectory: string; readonly onRows?: (rows: number) => void },
): Promise<StoppedBackup> {
  const { dataDirectory, onRows } = request;
  return backUpStopped({ dataDirectory, settings: backupSettingsOf(request), randomBytes, onRows });
}

export interface BackupList {
  readonly place: string;
  readonly copies: readonly {
    readonly revision: number;
    readonly at: string;
    readonly rows: number;
    readonly bytes: number;
  }[];
  readonly ranges: readonly { readonly from: number; readonly to: number }[];
  readonly gaps: readonly RevisionGap[];
  readonly writers: number;
  readonly bytes: number;
  readonly lastCheck: { readonly at: string; readonly what: string; readonly ok: boolean } | undefined;
  readonly problems: readonly string[];
}

export async function listBackups(options: StorageOptions): Promise<BackupList> {
  const repository = await openRepository(options);
  try {
    const catalog = await readCatalog(repository);
    const problems = [...catalog.problems];
    const gaps = await holesIn(repository, catalog, problems);
    const { lastCheck } = catalog;
    return {
      place: repository.storage.name,
      copies: catalog.copies.map(({ manifest: { consistent, at, rows, raw } }) => ({
        revision: consistent,
        at: isoTime(at),
        rows,
        bytes: raw,
      })),
      ranges: restorable(catalog, newestLine(catalog)).map(({ after, last }) => ({ from: after + 1, to: last })),
      gaps,
      writers: catalog.writers.size,
      bytes: catalog.bytes,
      lastCheck: lastCheck && { at: isoTime(lastCheck.at), what: lastCheck.what, ok: lastCheck.ok },
      problems,
    };
  } finally {
    repository.storage.close();
  }
}

export interface VerifyRequest extends StorageOptions {
  readonly read: boolean;
  readonly sample?: number | undefined;
  readonly drill: boolean;
  readonly onProgress?: OnProgress;
}

export interface VerifyResult {
  readonly ok: boolean;
  readonly problems: readonly string[];
  readonly gaps: readonly RevisionGap[];
  readonly objects: number;
  readonly read: number;
  readonly drill?: { readonly revision: number; readonly copies: readonly string[]; readonly ok: boolean };
}

export async function runVerify(request: VerifyRequest): Promise<VerifyResult> {
  const repository = await openRepository(request);
  try {
    const { read, sample, onProgress } = request;
    const found = await verify(repository, {
      read,
      random: () => randomBytes(4).readUInt32LE(0) / 2 ** 32,
      ...(sample !== undefined && { sample }),
      ...(onProgress && { onProgress: (done, total) => onProgress(done, total, repository.bytesRead) }),
    });
    const problems = [...found.problems];
    const drilled = request.drill
      ? await drill(repository, inScratch, (done, total) => onProgress?.(done, total, repository.bytesRead))
      : undefined;
    if (drilled?.ok === false)
      problems.push(
        `The copies ${drilled.copies.join(' and ')} lead to different states at revision ${drilled.revision}.`,
      );
    const ok = problems.length === 0;
    const what = request.drill ? 'drill' : read ? 'read' : 'lists';
    const { revision, digests } = drilled ?? {};
    await noteCheck(repository, Math.round(wallMs()), {
      what,
      ok,
      problems,
      ...(revision !== undefined && { revision }),
      ...(digests?.[0] !== undefined && { digest: digests[0] }),
    });
    return { ...found, ok, problems, ...(drilled && { drill: drilled }) };
  } finally {
    repository.storage.close();
  }
}

async function inScratch<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-drill-'));
  try {
    return await use(directory);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}
