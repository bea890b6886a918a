/**
 * The headers of all segments, read once. They say from where on a replay needs the log, without reading a frame: the
 * checkpoints hold everything up to `from`, so the replay begins with the last segment whose header says that nothing
 * before it is above `from`. What stands before that segment is history, for readers of watches only.
 */
import { joinPath, type Disk } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { JournalCorruption } from './journal-corruption.ts';
import { isUnreadable, readSegmentHeader, UnsupportedFormat, type SegmentHeader, type SegmentName } from './segment.ts';

export interface SegmentHead extends SegmentName {
  /** Absent if it is damaged, or of an unknown format. */
  readonly header: SegmentHeader | undefined;
  /** What is wrong with the header. */
  readonly fault: string | UnsupportedFormat | undefined;
  /** Size of the file. */
  readonly bytes: number;
}

/** A part of the log that cannot be read and that no replay needs. */
export interface DamagedHistory {
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
  readonly first: Revision;
  readonly last: Revision;
}

export function readHeads(disk: Disk, directory: string, segments: readonly SegmentName[]): SegmentHead[] {
  return segments.map((segment) => {
    const file = disk.open(joinPath(directory, segment.name), 'read');
    try {
      const bytes = file.size();
      const header = headerOrFault(() => readSegmentHeader(file, segment));
      if (typeof header === 'string' || header instanceof UnsupportedFormat) {
        return { ...segment, header: undefined, fault: header, bytes };
      }
      return { ...segment, header, fault: undefined, bytes };
    } finally {
      file.close();
    }
  });
}

/** @returns the header, or what is wrong with it. @throws errors of the disk other than that it cannot be read */
export function headerOrFault(read: () => SegmentHeader | string): SegmentHeader | string | UnsupportedFormat {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnsupportedFormat) return error;
    if (!isUnreadable(error)) throw error;
    return `the disk does not give back the header: ${(error as Error).message}`;
  }
}

/**
 * Returns the index of the segment with which a replay begins.
 * @throws JournalCorruption, UnsupportedFormat if the headers show already that not everything above `from` is there
 */
export function replayStart(directory: string, heads: readonly SegmentHead[], from: Revision): number {
  const start = heads.findLastIndex(({ header }) => header !== undefined && header.after <= from);
  for (const { name, fault } of heads.slice(Math.max(start, 0))) {
    if (fault instanceof UnsupportedFormat) throw fault;
    if (fault !== undefined && start < 0) throw new JournalCorruption(name, 0, fault);
  }
  const [oldest] = heads;
  if (oldest === undefined) throw new JournalCorruption(directory, 0, 'there is no segment');
  if (start < 0) {
    const reason = `the log begins with revision ${oldest.first}, but revision ${from + 1} is needed`;
    throw new JournalCorruption(oldest.name, 0, reason);
  }
  const leftOver = leftOverBySalvage(heads).find(({ head, by }) => by.after < head.first - 1);
  if (leftOver !== undefined) {
    const reason = `the segment does not follow ${leftOver.head.name}; if a salvage was interrupted, it has to run again`;
    throw new JournalCorruption(leftOver.name, 0, reason);
  }
  return start;
}

interface LeftOver {
  readonly head: SegmentHead;
  /** The later segment that begins the log anew before it. */
  readonly name: string;
  readonly by: SegmentHeader;
}

/** The segments after the place where a salvage has cut the log: it was interrupted before it set them aside. */
export function leftOverBySalvage(heads: readonly SegmentHead[]): LeftOver[] {
  return heads.flatMap((head, index) => {
    const later = heads.slice(index + 1).find(({ header }) => header !== undefined && header.after < head.first);
    return later?.header === undefined ? [] : [{ head, name: later.name, by: later.header }];
  });
}

/** The segments before `start` whose headers cannot be read. */
export function damagedBefore(heads: readonly SegmentHead[], start: number): DamagedHistory[] {
  return heads.slice(0, start).flatMap(({ name, first, fault }, index) => {
    if (fault === undefined) return [];
    const next = heads[index + 1];
    const last = revision(next?.header?.after ?? (next?.first ?? first) - 1);
    return [{ file: name, offset: 0, reason: typeof fault === 'string' ? fault : fault.message, first, last }];
  });
}
