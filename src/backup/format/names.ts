/**
 * The keys of a repository. Names sort as numbers do, and say which revisions an object has, so that a list alone finds
 * a hole:
 *
 *   repository.json                                format, id
 *   writers/‹writer›.json                          a claim, one for each start of a server that ships
 *   writers/‹writer›-‹random›                      a try to claim, where the storage has no conditional puts
 *   tail/‹writer›/‹number›-‹first›-‹last›          frames of one interval
 *   log/‹writer›/‹first›-‹last›                    the same frames of ten minutes in one
 *   copy/‹revision›-‹writer›-‹attempt›/‹block›     rows; `manifest.json` is written last
 *   pruned/‹revision›.json                         up to there, only what copies need of the log is kept
 *   checks/‹time›.json                             what a verify or a drill found
 *
 * `first` is the revision after the one that the object follows, so the next object of a writer begins at `last` + 1,
 * unless there is a gap.
 */
export const repositoryKey = 'repository.json';

export interface FrameObjectName {
  readonly key: string;
  readonly kind: 'tail' | 'log';
  readonly writer: number;
  /** Of a tail object. */
  readonly number: number;
  readonly first: number;
  readonly last: number;
}

export interface CopyName {
  /** Ends with a slash. */
  readonly folder: string;
  readonly revision: number;
  readonly writer: number;
  readonly attempt: number;
}

export function writerKey(writer: number): string {
  return `writers/${digits(writer, 6)}.json`;
}

export function writerOf(key: string): number | undefined {
  const found = /^writers\/(\d{6,})\.json$/.exec(key);
  return found === null ? undefined : Number(found[1]);
}

export function ticketKey(writer: number, random: string): string {
  return `writers/${digits(writer, 6)}-${random}`;
}

export function ticketOf(key: string): number | undefined {
  const found = /^writers\/(\d{6,})-[0-9a-f]+$/.exec(key);
  return found === null ? undefined : Number(found[1]);
}

export function tailKey(writer: number, number: number, { first, last }: RevisionRange): string {
  return `tail/${digits(writer, 6)}/${digits(number, 12)}-${digits(first, 16)}-${digits(last, 16)}`;
}

export function logKey(writer: number, { first, last }: RevisionRange): string {
  return `log/${digits(writer, 6)}/${digits(first, 16)}-${digits(last, 16)}`;
}

/** The revisions of an object, or of several that follow each other. */
export interface RevisionRange {
  readonly first: number;
  readonly last: number;
}

export function frameObjectOf(key: string): FrameObjectName | undefined {
  const tail = /^tail\/(\d{6,})\/(\d{12,})-(\d{16})-(\d{16})$/.exec(key);
  if (tail !== null) {
    const [writer = 0, number = 0, first = 0, last = 0] = tail.slice(1).map(Number);
    return { key, kind: 'tail', writer, number, first, last };
  }
  const log = /^log\/(\d{6,})\/(\d{16})-(\d{16})$/.exec(key);
  if (log === null) return undefined;
  const [writer = 0, first = 0, last = 0] = log.slice(1).map(Number);
  return { key, kind: 'log', writer, number: 0, first, last };
}

export function copyFolder(revision: number, writer: number, attempt: number): string {
  return `copy/${digits(revision, 16)}-${digits(writer, 6)}-${digits(attempt, 3)}/`;
}

export function blockKey(folder: string, block: number): string {
  return `${folder}${digits(block, 6)}`;
}

export function manifestKey(folder: string): string {
  return `${folder}manifest.json`;
}

export function copyOf(key: string): CopyName | undefined {
  const found = /^(copy\/(\d{16})-(\d{6,})-(\d{3,})\/)/.exec(key);
  if (found === null) return undefined;
  const [revision = 0, writer = 0, attempt = 0] = found.slice(2).map(Number);
  return { folder: found[1]!, revision, writer, attempt };
}

export function prunedKey(revision: number): string {
  return `pruned/${digits(revision, 16)}.json`;
}

export function prunedOf(key: string): number | undefined {
  const found = /^pruned\/(\d{16})\.json$/.exec(key);
  return found === null ? undefined : Number(found[1]);
}

export function checkKey(at: number): string {
  return `checks/${digits(at, 15)}.json`;
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0');
}
