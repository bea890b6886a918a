/** Which copy and which objects lead to the state that is asked for: never to one near it. */
import { ObjectDamaged, ObjectMissing } from '../format/backup-object.ts';
import type { FramesHeader } from '../format/headers.ts';
import type { FrameObjectName } from '../format/names.ts';
import { framesIn } from '../format/shipped-frames.ts';
import {
  copiesOn,
  leadsTo,
  lineOf,
  newestWriter,
  objectsOf,
  restorable,
  type Catalog,
  type CatalogCopy,
  type LinePart,
} from '../repository/catalog.ts';
import { needsOf, unknownIn } from '../../protocol/readers.ts';
import { isDamage, type Repository } from '../repository/repository.ts';
import { isoTime } from '../../shared/clock.ts';
import { NewerData } from '../../shared/newer-data.ts';

export type RestoreGoal =
  | { readonly kind: 'latest' }
  | { readonly kind: 'revision'; readonly revision: number }
  /** The state after the last commit at or before this time: milliseconds since the Unix epoch. */
  | { readonly kind: 'moment'; readonly at: number };

export interface RestorePlan {
  readonly revision: number;
  /** The writer that has this revision. */
  readonly writer: number;
  readonly line: readonly LinePart[];
  /** Copies that reach it, the newest first. */
  readonly copies: readonly CatalogCopy[];
  /** All objects of the line up to it, by revision. */
  readonly objects: readonly FrameObjectName[];
  /** The asked moment is after everything that is known. */
  readonly isLatest: boolean;
}

/** The repository has no such state. The message names the nearest ones. */
export class NoSuchMoment extends Error {
  override name = 'NoSuchMoment';
}

/** @throws NoSuchMoment, NewerData, ObjectDamaged, ObjectMissing, StorageError */
export async function planRestore(repository: Repository, catalog: Catalog, goal: RestoreGoal): Promise<RestorePlan> {
  const newest = newestWriter(catalog);
  if (newest === undefined || catalog.copies.length === 0)
    throw new NoSuchMoment(`There is no copy in ${repository.storage.name} yet, so nothing can be restored.`);
  const found =
    goal.kind === 'latest'
      ? endOf(catalog, newest)
      : goal.kind === 'revision'
        ? await withRevision(repository, catalog, goal.revision, newest)
        : await atMoment(repository, catalog, goal.at, newest);
  const line = lineOf(catalog, found.writer, found.revision);
  const objects = objectsOf(catalog, line);
  const copies = copiesOn(catalog, line)
    .filter(({ manifest }) => manifest.consistent <= found.revision && leadsTo(objects, manifest.from, found.revision))
    .toReversed();
  if (copies.length === 0) throw new NoSuchMoment(nearest(catalog, lineOf(catalog, found.writer), found.revision));
  refuseNewer(copies[0]!);
  return { ...found, line, copies, objects: objects.filter(({ first }) => first <= found.revision) };
}

function refuseNewer({ name, manifest }: CatalogCopy): void {
  const unknown = unknownIn(needsOf(manifest));
  if (unknown !== undefined)
    throw new NewerData(
      `The copy ${name.folder} has ${unknown}. Nothing was changed. ` +
        'Use the version of the server that made it, or a later one.',
    );
}

interface Found {
  readonly revision: number;
  readonly writer: number;
  readonly isLatest: boolean;
}

function endOf(catalog: Catalog, writer: number): Found {
  const objects = catalog.objects.get(writer) ?? [];
  const copies = catalog.copies.filter(({ name }) => name.writer === writer);
  const last = Math.max(0, ...objects.map((one) => one.last), ...copies.map(({ manifest }) => manifest.consistent));
  return { revision: last, writer, isLatest: true };
}

async function withRevision(repository: Repository, catalog: Catalog, wanted: number, newest: number): Promise<Found> {
  const newestLine = lineOf(catalog, newest);
  const onLine = newestLine.filter(({ upTo }) => wanted <= upTo).map(({ writer }) => writer);
  // Revisions are never used twice, so one that a restore has left is found in the line that it left.
  const others = [...catalog.objects.keys()].toSorted((a, b) => a - b);
  const isLatest = endOf(catalog, newest).revision === wanted;
  for (const writer of [...onLine, ...others]) {
    const object = catalog.objects.get(writer)?.find((one) => isIn(one, wanted));
    if (object !== undefined && (await isBehindLeap(repository, object, wanted)))
      return { revision: wanted, writer, isLatest };
  }
  const writer = copyAt(catalog, wanted);
  if (writer === undefined) throw new NoSuchMoment(nearest(catalog, newestLine, wanted));
  return { revision: wanted, writer, isLatest };
}

/** Names tell what an object follows. Behind a restore or a salvage the revisions up to its first one were lost. */
async function isBehindLeap(repository: Repository, object: FrameObjectName, wanted: number): Promise<boolean> {
  try {
    return wanted >= (await headerOf(repository, object)).first;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return true;
  }
}

function copyAt({ copies }: Catalog, wanted: number): number | undefined {
  return copies.find(({ manifest }) => manifest.consistent === wanted)?.manifest.writer;
}

function isIn({ first, last }: FrameObjectName, wanted: number): boolean {
  return first <= wanted && wanted <= last;
}

async function atMoment(repository: Repository, catalog: Catalog, at: number, newest: number): Promise<Found> {
  const line = lineOf(catalog, newest);
  const objects = objectsOf(catalog, line);
  // The first object that ends after the moment.
  let [low, high] = [0, objects.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((await headerOf(repository, objects[middle]!)).atLast <= at) low = middle + 1;
    else high = middle;
  }
  const after = objects[low];
  const before = objects[low - 1];
  if (after === undefined) return endOf(catalog, newest);
  const header = await headerOf(repository, after);
  const ends = before && { revision: before.last, writer: before.writer, isLatest: false };
  if (header.atFirst > at) {
    const { gap } = header;
    if (gap !== undefined && gap.atAfter < at)
      throw new NoSuchMoment(
        `${isoTime(at)} is in a gap: what was committed between ${isoTime(gap.atAfter)} and ` +
          `${isoTime(header.atFirst)} never reached the backup. Take one of these two moments.`,
      );
    if (ends === undefined) throw new NoSuchMoment(tooEarly(at, header.atFirst));
    return ends;
  }
  const { raw } = await repository.read<FramesHeader>(after.key, after.kind);
  let last = header.after;
  for (const { frame } of framesIn(after.key, header, raw)) if (frame.at <= at) last = Math.min(frame.last, after.last);
  return { revision: last, writer: after.writer, isLatest: false };
}

function tooEarly(at: number, first: number): string {
  return `${isoTime(at)} is before everything that the backup has; expected ${isoTime(first)} or later.`;
}

async function headerOf(repository: Repository, { key, kind }: FrameObjectName): Promise<FramesHeader> {
  return (await repository.readHeader<FramesHeader>(key, kind)).header;
}

function nearest(catalog: Catalog, line: readonly LinePart[], wanted: number): string {
  const ranges = restorable(catalog, line);
  const below = ranges.findLast(({ last }) => last < wanted)?.last;
  const above = ranges.find(({ after }) => after >= wanted);
  const near = [below, above && above.after + 1].filter((one) => one !== undefined);
  const expected = near.length === 0 ? 'There is none that can be restored.' : `The nearest are ${near.join(' and ')}.`;
  return `The state at revision ${wanted} cannot be restored: the backup does not have it. ${expected}`;
}

/** Whether another copy may lead to the same state. */
export function isOfCopy(error: unknown, { name }: CatalogCopy): boolean {
  return (error instanceof ObjectDamaged || error instanceof ObjectMissing) && error.key.startsWith(name.folder);
}
