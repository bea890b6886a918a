/**
 * Cuts a damaged journal at the first damage. It runs only when an operator asks for it: the records after the damage
 * were acknowledged and are given up.
 *
 * The cut is one new, empty segment. Its header names the last revision and checksum before the damage, which proves to
 * every reader that the damaged segment ends there. The rest of that segment stays in the file for inspection. Segments
 * after the damaged one are renamed to `*.damaged`. Clients have seen the lost revisions as versions and fencing
 * tokens, so these must never come again: the new segment begins a billion revisions later.
 *
 * The new segment is made first. Until the last of the later segments is renamed, the log has a gap or an overlap, and
 * every start is refused. An operator runs an interrupted salvage again.
 */
import { joinPath, type Disk } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { JournalCorruption } from './journal-corruption.ts';
import { walkLog } from './log-walk.ts';
import { createSegment, listSegments, readSegmentHeader, type SegmentName } from './segment.ts';

export interface SalvageReport {
  /** The last revision that was kept; absent if nothing could be kept, or there is no journal. */
  readonly kept: Revision | undefined;
  /** What was cut off; absent if the journal is undamaged, and nothing was done. */
  readonly lost: SalvageLoss | undefined;
}

interface SalvageLoss {
  /** Where the damage is; `reason` says what it is. */
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
  /** The highest revision that the name of a segment proves to have existed; more may be lost. */
  readonly atLeastTo: Revision;
  /** The revision that the log continues with; absent if nothing could be kept. */
  readonly next: Revision | undefined;
  /** Files that were set aside. */
  readonly aside: readonly string[];
}

export const salvageJump = 1_000_000_000;

export async function salvageJournal(disk: Disk, directory: string): Promise<SalvageReport> {
  const segments = listSegments(disk, directory);
  const oldest = segments[0];
  if (oldest === undefined) return { kept: undefined, lost: undefined };
  const damage = findDamage(disk, directory, segments);
  if (!(damage instanceof JournalCorruption)) return { kept: damage, lost: undefined };
  const { intact, file, offset, reason } = damage;
  const newest = segments.at(-1)?.first ?? oldest.first;
  let next: Revision | undefined;
  if (intact !== undefined) {
    next = revision(Math.max(newest, intact.last) + salvageJump);
    const { logId, bytes } = shapeOf(disk, directory, oldest);
    const header = { logId, first: next, after: intact.last, chain: intact.chain, at: intact.at };
    await createSegment(disk, directory, header, bytes);
  }
  const aside: string[] = [];
  for (const segment of segments.slice(intact?.segments ?? 0).toReversed()) {
    disk.rename(joinPath(directory, segment.name), joinPath(directory, `${segment.name}.damaged`));
    disk.syncDirectory(directory);
    aside.push(`${segment.name}.damaged`);
  }
  return { kept: intact?.last, lost: { file, offset, reason, atLeastTo: newest, next, aside } };
}

function findDamage(disk: Disk, directory: string, segments: readonly SegmentName[]): JournalCorruption | Revision {
  const walk = walkLog(disk, directory, segments, 0);
  try {
    for (;;) {
      const step = walk.next();
      if (step.done) return step.value.last;
    }
  } catch (error) {
    if (error instanceof JournalCorruption) return error;
    throw error;
  }
}

function shapeOf(disk: Disk, directory: string, segment: SegmentName): { logId: bigint; bytes: number } {
  const file = disk.open(joinPath(directory, segment.name), 'read');
  try {
    const header = readSegmentHeader(file, segment);
    if (typeof header === 'string') throw new JournalCorruption(segment.name, 0, header);
    return { logId: header.logId, bytes: header.bytes };
  } finally {
    file.close();
  }
}
