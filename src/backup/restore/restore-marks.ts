/**
 * Files that a restore leaves in a data directory:
 *
 *   restoring       while it runs: written first, removed last. A start refuses the directory. Empty: a restore into an
 *                   empty directory. Otherwise one in place has switched to its new log, and JSON says what is left to do.
 *   restored.json   where the content came from, and whether this server may take the place of the one that it came from
 */
import fs from 'node:fs';
import path from 'node:path';
import type { NewLog } from './new-log.ts';

const markName = 'restoring';
const originName = 'restored.json';
/** Of one who is at it. */
const lockName = 'lock';
const journalName = 'journal';
const newJournalName = 'journal.new';

export interface RestoredFrom {
  readonly repository: string;
  readonly writer: number;
  readonly revision: number;
  /** 16 hex digits: the log that this directory goes on with. */
  readonly logId: string;
  /** Whether it ships, and runs what must run once. */
  readonly adopted: boolean;
}

/** The directory was not restored to its end. */
export class NotRestored extends Error {
  override name = 'NotRestored';

  constructor(directory: string) {
    const again =
      readMark(directory)?.kind === 'restore'
        ? 'Run the same restore again: it empties the directory and begins anew.'
        : 'Run the same restore --in-place again: it finishes what it has begun.';
    super(`The data directory ${directory} was not restored to its end. ${again}`);
  }
}

/** A file of a restore is not what was written: the disk, or somebody, has changed it. */
export class DamagedMark extends Error {
  override name = 'DamagedMark';
}

/** @throws NotRestored, DamagedMark */
export function refuseUnlessRestored(directory: string): void {
  if (fs.existsSync(path.join(directory, markName))) throw new NotRestored(directory);
  readRestoredFrom(directory);
}

export interface InPlaceReport extends NewLog {
  readonly revision: number;
  /** Milliseconds since the Unix epoch; 0: unknown. */
  readonly at: number;
  readonly highestKnown: number;
  readonly sequences: readonly string[];
  readonly adopted: boolean;
  readonly digest: string;
  /** Where the log is that the directory had, below it. */
  readonly logBefore: string;
  /** Whether a repository was asked. */
  readonly knowsRepository: boolean;
}

/** What is left to do after the mark. */
export interface InPlaceSwitch {
  readonly report: InPlaceReport;
  readonly origin: RestoredFrom;
}

export type RestoreMark = { readonly kind: 'restore' } | { readonly kind: 'switch'; readonly rest: InPlaceSwitch };

/** @returns undefined: nothing was begun. @throws DamagedMark */
export function readMark(directory: string): RestoreMark | undefined {
  const file = path.join(directory, markName);
  if (!fs.existsSync(file)) return undefined;
  const text = fs.readFileSync(file, 'utf8');
  if (text === '') return { kind: 'restore' };
  const rest = objectIn(text) as InPlaceSwitch | undefined;
  if (rest !== undefined && isRestoredFrom(rest.origin) && typeof rest.report === 'object')
    return { kind: 'switch', rest };
  throw new DamagedMark(
    `${file} is damaged, so what the restore had left to do is not known. Restore the backup into an empty directory.`,
  );
}

export function markSwitch(directory: string, rest: InPlaceSwitch): void {
  writeDurably(directory, markName, JSON.stringify(rest));
}

/** The target of a restore has something in it. */
export class NotEmpty extends Error {
  override name = 'NotEmpty';
}

/** Prepares a directory that exists: it is empty, or the rest of a restore that was interrupted. @throws NotEmpty */
export function beginRestore(directory: string): void {
  const names = fs.readdirSync(directory).filter((name) => name !== lockName);
  if (names.length > 0 && !names.includes(markName))
    throw new NotEmpty(
      `The directory ${directory} is not empty (it has ${names.slice(0, 3).join(', ')}); expected an empty or a new one.`,
    );
  const mark = readMark(directory);
  if (mark !== undefined && mark.kind !== 'restore') throw new NotRestored(directory);
  // The mark first: a crash between the two leaves a directory that no server uses.
  writeDurably(directory, markName, '');
  for (const name of names) if (name !== markName) fs.rmSync(path.join(directory, name), { recursive: true });
  syncDirectory(directory);
}

/** Removes what a try has left, and keeps the mark. */
export function clearStore(directory: string): void {
  fs.rmSync(path.join(directory, 'store'), { recursive: true, force: true });
}

/** @returns an empty directory for the log that `switchJournal` makes the directory's own */
export function beginNewJournal(directory: string): string {
  const journal = path.join(directory, newJournalName);
  fs.rmSync(journal, { recursive: true, force: true });
  fs.mkdirSync(journal, { mode: 0o700 });
  return journal;
}

/** Sets the log aside and puts the new one in its place. It may be called again after a crash anywhere in it. */
export function switchJournal(directory: string, aside: string): void {
  const [journal, next] = [path.join(directory, journalName), path.join(directory, newJournalName)];
  if (!fs.existsSync(next)) return;
  if (fs.existsSync(journal)) fs.renameSync(journal, path.join(directory, aside));
  syncDirectory(directory);
  fs.renameSync(next, journal);
  syncDirectory(directory);
}

export function endRestore(directory: string): void {
  fs.unlinkSync(path.join(directory, markName));
  syncDirectory(directory);
}

export function writeRestoredFrom(directory: string, from: RestoredFrom): void {
  writeDurably(directory, originName, `${JSON.stringify(from)}\n`);
}

/** @returns undefined: the directory was never restored. @throws DamagedMark */
export function readRestoredFrom(directory: string): RestoredFrom | undefined {
  const file = path.join(directory, originName);
  if (!fs.existsSync(file)) return undefined;
  const from = objectIn(fs.readFileSync(file, 'utf8'));
  if (isRestoredFrom(from)) return from;
  throw new DamagedMark(
    `${file} is damaged, so it is not known whether this server may ship and run tasks in the place of the one that was ` +
      'backed up. Restore again, or, if no other server goes on with that data, delete the file.',
  );
}

function isRestoredFrom(value: unknown): value is RestoredFrom {
  const { repository, writer, revision, logId, adopted } = (value ?? {}) as Partial<Record<string, unknown>>;
  return (
    typeof repository === 'string' &&
    Number.isSafeInteger(writer) &&
    Number.isSafeInteger(revision) &&
    typeof logId === 'string' &&
    /^[0-9a-f]{16}$/.test(logId) &&
    typeof adopted === 'boolean'
  );
}

/** @returns undefined: the text is not a JSON object */
function objectIn(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes that may be written below a directory. */
export function freeBytes(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory);
  return bavail * bsize;
}

function writeDurably(directory: string, name: string, text: string): void {
  const file = path.join(directory, name);
  const fd = fs.openSync(`${file}.tmp`, 'w', 0o600);
  try {
    fs.writeSync(fd, text);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(`${file}.tmp`, file);
  syncDirectory(directory);
}

export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
