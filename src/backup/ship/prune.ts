/**
 * Removes what retention does not keep. Times are those of the storage.
 *
 *   moments   the log of the last `keep_moments_days`, and from the newest copy that is older than that
 *   copies    those of the last `keep_copies_days`, each with the log that makes it exact
 *   always    the last two copies of each line's end, whatever their age, and all claims
 *
 * A copy loses its manifest first, so that half of a copy never passes for one. An object of the log goes only when every
 * copy that is kept begins after it, or has what it needs of it. Tail objects go a day after the log object that has them.
 */
import { failpoint } from '../../shared/failpoints.ts';
import type { FrameObjectName } from '../format/names.ts';
import { manifestKey, prunedKey } from '../format/names.ts';
import { lineOf, newestWriter, copiesOn, type Catalog, type CatalogCopy } from '../repository/catalog.ts';
import type { Repository } from '../repository/repository.ts';

export interface Retention {
  readonly keepMomentsMs: number;
  readonly keepCopiesMs: number;
}

export interface PrunePlan {
  /** Every moment after this revision stays. */
  readonly before: number;
  readonly copies: readonly string[];
  readonly objects: readonly string[];
}

const dayMs = 24 * 60 * 60 * 1000;
const copiesMin = 2;

/** @param now the storage's time @param madeAt of each frame object, by key */
export function planPrune(
  catalog: Catalog,
  retention: Retention,
  { now, madeAt }: { readonly now: number; readonly madeAt: ReadonlyMap<string, number> },
): PrunePlan {
  const newest = newestWriter(catalog);
  if (newest === undefined) return { before: 0, copies: [], objects: [] };
  const line = lineOf(catalog, newest);
  const own = copiesOn(catalog, line);
  const safe = new Set(own.slice(-copiesMin));
  const kept = catalog.copies.filter((copy) => safe.has(copy) || copy.madeAt >= now - retention.keepCopiesMs);
  const copies = catalog.copies.filter((copy) => !kept.includes(copy)).map(({ name }) => name.folder);
  const left = catalog.unfinished.filter(({ madeAt: at }) => at < now - dayMs).map(({ name }) => name.folder);
  const needed = neededRanges(catalog, kept, { momentsFrom: now - retention.keepMomentsMs, safe });
  const objects: string[] = [];
  for (const [, mine] of catalog.objects) {
    for (const object of mine) {
      const isNeeded = needed.some(({ from, to }) => object.last > from && object.first <= to);
      if (isNeeded ? isMergedSince(object, mine, madeAt, now - dayMs) : madeAtOf(object, madeAt) < now - dayMs)
        objects.push(object.key);
    }
  }
  const before = Math.min(...needed.filter(({ to }) => to === Infinity).map(({ from }) => from));
  return { before, copies: [...copies, ...left], objects };
}

interface NeededRange {
  readonly from: number;
  readonly to: number;
}

/** Each kept copy needs the log up to its own end; the last one before the kept moments needs all of it. */
function neededRanges(
  catalog: Catalog,
  kept: readonly CatalogCopy[],
  { momentsFrom, safe }: { readonly momentsFrom: number; readonly safe: ReadonlySet<CatalogCopy> },
): NeededRange[] {
  const ranges: NeededRange[] = kept.map(({ manifest }) => ({ from: manifest.from, to: manifest.consistent }));
  const base = kept.findLast(({ madeAt }) => madeAt <= momentsFrom) ?? kept[0];
  if (base !== undefined) ranges.push({ from: base.manifest.from, to: Infinity });
  for (const { manifest } of safe) ranges.push({ from: manifest.from, to: Infinity });
  // Without a copy nothing may go.
  if (catalog.copies.length === 0) ranges.push({ from: -1, to: Infinity });
  return ranges;
}

function isMergedSince(
  object: FrameObjectName,
  all: readonly FrameObjectName[],
  madeAt: ReadonlyMap<string, number>,
  before: number,
): boolean {
  if (object.kind !== 'tail') return false;
  return all.some(
    (log) =>
      log.kind === 'log' && log.first <= object.first && log.last >= object.last && madeAtOf(log, madeAt) < before,
  );
}

function madeAtOf({ key }: FrameObjectName, madeAt: ReadonlyMap<string, number>): number {
  return madeAt.get(key) ?? Infinity;
}

/** @returns how many objects were removed. @throws StorageError: the next run goes on */
export async function prune(
  repository: Repository,
  catalog: Catalog,
  retention: Retention,
  now: number,
): Promise<number> {
  const { storage } = repository;
  const [tails, logs] = await Promise.all([storage.list('tail/'), storage.list('log/')]);
  const madeAt = new Map([...tails, ...logs].map(({ key, madeAt: at }) => [key, at]));
  const plan = planPrune(catalog, retention, { now, madeAt });
  let removed = 0;
  if (plan.before > catalog.prunedBefore && plan.objects.length > 0) {
    // Before anything goes: from now on a hole before this revision is no damage.
    await repository.create(prunedKey(plan.before), repository.sealHeader({ kind: 'pruned', before: plan.before }));
    if (catalog.prunedBefore > 0) await storage.delete(prunedKey(catalog.prunedBefore));
  }
  for (const folder of plan.copies) {
    const stored = await storage.list(folder);
    await storage.delete(manifestKey(folder));
    failpoint('prune.manifest');
    for (const { key } of stored) {
      await storage.delete(key);
      removed += 1;
    }
  }
  for (const key of plan.objects) {
    await storage.delete(key);
    removed += 1;
  }
  return removed;
}
