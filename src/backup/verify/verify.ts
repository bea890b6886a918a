/**
 * Looks whether a repository can be restored from.
 *
 *   lists   claims, manifests, and that objects follow each other: no object's payload is read, except that of a
 *           hole, which may be a gap that its writer has noted
 *   read    every object, or a sample: hashes, checksums, frames and their chain, sizes
 *   drill   restores from the two newest copies to the same revision: the digests must be equal, so that a copy whose
 *           hashes are right and whose content is wrong is found
 *
 * Problems are sentences that name the object.
 */
import { decodeRecord } from '../../protocol/record.ts';
import { ObjectDamaged, ObjectMissing } from '../format/backup-object.ts';
import type { BlockHeader, FramesHeader } from '../format/headers.ts';
import { blockKey, frameObjectOf, type FrameObjectName } from '../format/names.ts';
import { rowsIn } from '../format/row-block.ts';
import { framesIn } from '../format/shipped-frames.ts';
import { leadsTo, lineOf, newestWriter, objectsOf, readCatalog, type Catalog } from '../repository/catalog.ts';
import { inParallel } from '../repository/in-parallel.ts';
import { isDamage, type Repository } from '../repository/repository.ts';

export interface VerifyOptions {
  readonly read: boolean;
  /** Of the objects that are read, 0 to 1. */
  readonly sample?: number;
  readonly random: () => number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface VerifyReport {
  readonly problems: readonly string[];
  /** What is no fault of the repository: holes that a writer has noted. */
  readonly gaps: readonly RevisionGap[];
  readonly objects: number;
  readonly read: number;
}

export interface RevisionGap {
  readonly writer: number;
  readonly after: number;
  readonly to: number;
  /** Milliseconds since the Unix epoch; 0: unknown. */
  readonly atAfter: number;
  readonly at: number;
}

/** @throws StorageError, NewerFormat, NoIdentity */
export async function verify(repository: Repository, options: VerifyOptions): Promise<VerifyReport> {
  const catalog = await readCatalog(repository);
  const problems = [...catalog.problems];
  const gaps = await holesIn(repository, catalog, problems);
  await findMissingBlocks(repository, catalog, problems);
  findCopiesWithoutLog(catalog, problems);
  if (catalog.copies.length === 0) problems.push('There is no copy, so nothing can be restored.');
  const frames = [...catalog.objects.values()].flat();
  let read = 0;
  if (options.read) read = await readObjects(repository, catalog, options, problems);
  const blocks = catalog.copies.reduce((sum, { manifest }) => sum + manifest.blocks.length, 0);
  return { problems, gaps, objects: frames.length + blocks, read };
}

/** Holes between the objects of each writer. */
export async function holesIn(repository: Repository, catalog: Catalog, problems: string[]): Promise<RevisionGap[]> {
  const gaps: RevisionGap[] = [];
  for (const writer of catalog.objects.keys()) {
    let before: FrameObjectName | undefined;
    for (const object of objectsOf(catalog, [{ writer, upTo: Infinity }])) {
      if (before !== undefined && object.first !== before.last + 1 && object.first > catalog.prunedBefore + 1) {
        const gap = await gapBefore(repository, object, before, problems);
        if (gap !== undefined) gaps.push(gap);
      }
      before = object;
    }
  }
  return gaps;
}

async function gapBefore(
  repository: Repository,
  object: FrameObjectName,
  before: FrameObjectName,
  problems: string[],
): Promise<RevisionGap | undefined> {
  const hole = `${object.key}: revisions ${before.last + 1} to ${object.first - 1} before it are missing.`;
  try {
    const { header } = await repository.readHeader<FramesHeader>(object.key, object.kind);
    const { gap, atFirst } = header;
    if (gap?.after === before.last) {
      const { writer } = object;
      return { writer, after: gap.after, to: object.first - 1, atAfter: gap.atAfter, at: atFirst };
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  problems.push(hole);
  return undefined;
}

async function findMissingBlocks(repository: Repository, { copies }: Catalog, problems: string[]): Promise<void> {
  const stored = new Set((await repository.storage.list('copy/')).map(({ key }) => key));
  for (const { name, manifest } of copies) {
    manifest.blocks.forEach((_, block) => {
      const key = blockKey(name.folder, block);
      if (!stored.has(key)) problems.push(new ObjectMissing(key).message);
    });
  }
}

function findCopiesWithoutLog(catalog: Catalog, problems: string[]): void {
  for (const { name, manifest } of catalog.copies) {
    const objects = objectsOf(catalog, lineOf(catalog, manifest.writer));
    if (!leadsTo(objects, manifest.from, manifest.consistent))
      problems.push(`${name.folder}: the log that makes this copy exact is not complete.`);
  }
}

interface Readable {
  readonly key: string;
  readonly read: () => Promise<void>;
}

async function readObjects(
  repository: Repository,
  catalog: Catalog,
  { sample = 1, random, onProgress }: VerifyOptions,
  problems: string[],
): Promise<number> {
  const known = new Set(problems);
  const all: Readable[] = [...catalog.objects.values()].flat().map((object) => ({
    key: object.key,
    read: () => readFrames(repository, object),
  }));
  for (const { name, manifest } of catalog.copies) {
    manifest.blocks.forEach((sha256, block) => {
      const key = blockKey(name.folder, block);
      all.push({ key, read: () => readBlock(repository, key, sha256) });
    });
  }
  const chosen = sample >= 1 ? all : all.filter(() => random() < sample);
  let done = 0;
  await inParallel(chosen, async ({ read }) => {
    try {
      await read();
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (!known.has(error.message)) problems.push(error.message);
    }
    onProgress?.((done += 1), chosen.length);
  });
  if (sample >= 1) await checkChains(repository, catalog, problems);
  return chosen.length;
}

async function readFrames(repository: Repository, object: FrameObjectName): Promise<void> {
  const { header, raw } = await repository.read<FramesHeader>(object.key, object.kind);
  const { writer, after, last } = header;
  const name = frameObjectOf(object.key);
  if (name?.writer !== writer || name.first !== after + 1 || name.last !== last)
    throw new ObjectDamaged(object.key, `it is the one with revisions ${after + 1} to ${last} of writer ${writer}`);
  for (const { frame, start } of framesIn(object.key, header, raw)) {
    for (let at = start + frame.headerBytes, end = start + frame.length; at < end; at += raw.readUInt32LE(at))
      decodeRecord(raw, at);
  }
}

async function readBlock(repository: Repository, key: string, sha256: string): Promise<void> {
  const { header, raw, sha256: found } = await repository.read<BlockHeader>(key, 'block');
  const rows = [...rowsIn(raw)].length;
  if (rows !== header.rows) throw new ObjectDamaged(key, `it names ${header.rows} rows, and has ${rows}`);
  if (found !== sha256) throw new ObjectDamaged(key, 'the manifest names another hash for it');
}

/** Each object's frames follow those of the one before: no object was exchanged for another that is whole. */
async function checkChains(repository: Repository, catalog: Catalog, problems: string[]): Promise<void> {
  for (const writer of catalog.objects.keys()) {
    let before: FramesHeader | undefined;
    for (const { key, kind } of objectsOf(catalog, [{ writer, upTo: Infinity }])) {
      const header = await headerOf(repository, key, kind);
      if (header !== undefined && before !== undefined && header.after === before.last) {
        if (header.chain !== before.crc) problems.push(`${key}: its first frame does not follow the object before it.`);
        if (header.atFirst < before.atLast) problems.push(`${key}: its time is before that of the object before it.`);
      }
      before = header;
    }
  }
}

async function headerOf(repository: Repository, key: string, kind: 'tail' | 'log'): Promise<FramesHeader | undefined> {
  try {
    return (await repository.readHeader<FramesHeader>(key, kind)).header;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return undefined;
  }
}

/** The line that a restore to the latest takes. */
export function newestLine(catalog: Catalog): ReturnType<typeof lineOf> {
  const newest = newestWriter(catalog);
  return newest === undefined ? [] : lineOf(catalog, newest);
}
