/**
 * What a repository has, from lists, claims and manifests.
 *
 * A line is how the revisions of one state follow each other over several writers: a writer goes on where the one that it
 * continues was at that moment. What that one has written beyond belongs to another line, which a restore has left.
 */
import type { CheckHeader, ManifestHeader, WriterHeader } from '../format/headers.ts';
import {
  copyOf,
  frameObjectOf,
  manifestKey,
  prunedOf,
  writerOf,
  type CopyName,
  type FrameObjectName,
} from '../format/names.ts';
import { inParallel } from './in-parallel.ts';
import { isDamage, type Repository } from './repository.ts';

export interface CatalogCopy {
  readonly name: CopyName;
  readonly manifest: ManifestHeader;
  readonly madeAt: number;
}

export interface Catalog {
  /** By number. A claim that cannot be read is among `problems`. */
  readonly writers: ReadonlyMap<number, WriterHeader>;
  /** By writer: all frame objects, by revision. */
  readonly objects: ReadonlyMap<number, readonly FrameObjectName[]>;
  /** With a manifest, by revision. */
  readonly copies: readonly CatalogCopy[];
  /** Folders without a manifest: copies that are being made, or were never finished. */
  readonly unfinished: readonly { readonly name: CopyName; readonly madeAt: number }[];
  readonly lastCheck: CheckHeader | undefined;
  /** Up to this revision, only what copies need of the log was kept. */
  readonly prunedBefore: number;
  /** Bytes of all objects. */
  readonly bytes: number;
  /** What is damaged or missing of the above. */
  readonly problems: readonly string[];
}

/** A writer's part of a line: the frames up to `upTo`. */
export interface LinePart {
  readonly writer: number;
  readonly upTo: number;
}

/** @throws StorageError, NewerFormat */
export async function readCatalog(repository: Repository): Promise<Catalog> {
  const problems: string[] = [];
  const { storage } = repository;
  const [claims, tails, logs, stored, checks, pruned] = await Promise.all(
    ['writers/', 'tail/', 'log/', 'copy/', 'checks/', 'pruned/'].map((prefix) => storage.list(prefix)),
  );
  const writers = new Map<number, WriterHeader>();
  await inParallel(claims!, async ({ key }) => {
    const writer = writerOf(key);
    if (writer === undefined) return;
    const header = await orProblem(repository.readHeader<WriterHeader>(key, 'writer'), problems);
    if (header !== undefined) writers.set(writer, header);
  });
  const objects = new Map<number, FrameObjectName[]>();
  for (const { key } of [...tails!, ...logs!]) {
    const object = frameObjectOf(key);
    if (object === undefined) continue;
    const own = objects.get(object.writer);
    if (own === undefined) objects.set(object.writer, [object]);
    else own.push(object);
  }
  for (const own of objects.values()) own.sort((a, b) => a.first - b.first || b.last - a.last);

  const folders = new Map<string, { name: CopyName; madeAt: number; done: boolean }>();
  for (const { key, madeAt } of stored!) {
    const name = copyOf(key);
    if (name === undefined) continue;
    const before = folders.get(name.folder);
    const done = key === manifestKey(name.folder) || before?.done === true;
    folders.set(name.folder, { name, madeAt: Math.max(madeAt, before?.madeAt ?? 0), done });
  }
  const copies: CatalogCopy[] = [];
  await inParallel([...folders.values()], async ({ name, madeAt, done }) => {
    if (!done) return;
    const manifest = await orProblem(
      repository.readHeader<ManifestHeader>(manifestKey(name.folder), 'manifest'),
      problems,
    );
    if (manifest !== undefined) copies.push({ name, manifest, madeAt });
  });
  const last = checks!.at(-1);
  const lastCheck = last && (await orProblem(repository.readHeader<CheckHeader>(last.key, 'check'), problems));
  const all = [...claims!, ...tails!, ...logs!, ...stored!, ...checks!];
  return {
    writers: new Map([...writers].toSorted(([a], [b]) => a - b)),
    objects,
    copies: copies.toSorted((a, b) => a.manifest.consistent - b.manifest.consistent || a.name.attempt - b.name.attempt),
    unfinished: [...folders.values()].filter(({ done }) => !done),
    lastCheck,
    prunedBefore: Math.max(0, ...pruned!.map(({ key }) => prunedOf(key) ?? 0)),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    problems,
  };
}

async function orProblem<Header>(
  read: Promise<{ readonly header: Header }>,
  problems: string[],
): Promise<Header | undefined> {
  try {
    return (await read).header;
  } catch (error) {
    if (!isDamage(error)) throw error;
    problems.push(error.message);
    return undefined;
  }
}

/** The highest writer that has shipped a frame, or made a copy. */
export function newestWriter({ objects, copies }: Pick<Catalog, 'objects' | 'copies'>): number | undefined {
  const all = [...objects.keys(), ...copies.map(({ name }) => name.writer)];
  return all.length === 0 ? undefined : Math.max(...all);
}

/** The line that ends with a writer, oldest part first. */
export function lineOf({ writers }: Pick<Catalog, 'writers'>, writer: number, upTo = Infinity): LinePart[] {
  const line: LinePart[] = [];
  const seen = new Set<number>();
  for (let at: LinePart | undefined = { writer, upTo }; at !== undefined && !seen.has(at.writer); ) {
    seen.add(at.writer);
    line.unshift(at);
    const continued: WriterHeader['continues'] = writers.get(at.writer)?.continues;
    at = continued && { writer: continued.writer, upTo: continued.revision };
  }
  return line;
}

/**
 * The objects of a line that are needed to read all of it, by revision; those of ten minutes instead of the many that
 * they are made of. Where the line leaves a writer in the middle of an object, `last` is where it leaves.
 */
export function objectsOf({ objects }: Pick<Catalog, 'objects'>, line: readonly LinePart[]): FrameObjectName[] {
  const found: FrameObjectName[] = [];
  for (const { writer, upTo } of line) {
    let covered = -1;
    for (const object of objects.get(writer) ?? []) {
      if (object.last <= covered || object.first > upTo) continue;
      found.push(object.last > upTo ? { ...object, last: upTo } : object);
      covered = object.last;
    }
  }
  return found;
}

/** Revisions that follow each other without a gap: everything in (after, last]. */
export interface RevisionRun {
  readonly after: number;
  readonly last: number;
}

export function runsOf(objects: readonly FrameObjectName[]): RevisionRun[] {
  const runs: { after: number; last: number }[] = [];
  for (const { first, last } of objects) {
    const run = runs.at(-1);
    if (run !== undefined && first === run.last + 1) run.last = last;
    else runs.push({ after: first - 1, last });
  }
  return runs;
}

/** What can be restored of a line: from each copy on, as far as frames follow. */
export function restorable(catalog: Catalog, line: readonly LinePart[]): RevisionRun[] {
  const runs = runsOf(objectsOf(catalog, line));
  const ranges: { after: number; last: number }[] = [];
  for (const { manifest } of copiesOn(catalog, line)) {
    const { from, consistent } = manifest;
    const run = runs.find(({ after, last }) => after <= from && last >= consistent);
    const last = run?.last ?? (from >= consistent ? consistent : undefined);
    if (last === undefined) continue;
    const before = ranges.at(-1);
    if (before !== undefined && before.last >= consistent) continue;
    ranges.push({ after: consistent - 1, last });
  }
  return ranges;
}

/** The copies that belong to a line, oldest first. */
export function copiesOn({ copies }: Pick<Catalog, 'copies'>, line: readonly LinePart[]): CatalogCopy[] {
  return copies.filter(({ manifest }) =>
    line.some(({ writer, upTo }) => writer === manifest.writer && manifest.consistent <= upTo),
  );
}

/** Whether the objects have everything in (from, to]. */
export function leadsTo(objects: readonly FrameObjectName[], from: number, to: number): boolean {
  let reached = from;
  for (const { first, last } of objects) {
    if (first <= reached + 1 && last > reached) reached = last;
    if (reached >= to) return true;
  }
  return reached >= to;
}
