/**
 * A damaged segment header costs nothing, as long as the frames after it are whole: everything in it is known from
 * elsewhere. The name has the first revision; the first frame has its version, the log's id and the checksum of the
 * frame before; the end of the segment before says which revision that was. Only a salvage does this. It keeps the old
 * header in a file of its own and writes the new one in place: it is one sector, which is old or new after a crash.
 */
import { joinPath, type Disk } from '../../shared/disk.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { revision } from '../../protocol/ids.ts';
import { journalVersion } from './frame.ts';
import type { SegmentHead } from './log-heads.ts';
import { endOfSegment, type LogEnd } from './log-walk.ts';
import {
  encodeSegmentHeader,
  isUnreadable,
  segmentHeaderBytes,
  unlinkIfPresent,
  type SegmentHeader,
} from './segment.ts';
import { SegmentWindow, windowBytes } from './segment-window.ts';

export interface MendedHeader {
  readonly name: string;
  readonly header: SegmentHeader;
}

/** Finds what the damaged headers said. Those that nothing proves are left out. */
export function inferHeaders(
  disk: Disk,
  directory: string,
  heads: readonly SegmentHead[],
  logId: bigint,
): MendedHeader[] {
  const mended: MendedHeader[] = [];
  let previous: SegmentHead | undefined;
  for (const head of heads) {
    let { header } = head;
    if (typeof head.fault === 'string') {
      const before = previous?.header && endOfSegment(disk, directory, previous, previous.header);
      header = inferHeader(disk, directory, head, { logId, before });
      if (header !== undefined) mended.push({ name: head.name, header });
    }
    previous = { ...head, header };
  }
  return mended;
}

interface Known {
  readonly logId: bigint;
  /** The end of the segment before. */
  readonly before: LogEnd | undefined;
}

function inferHeader(
  disk: Disk,
  directory: string,
  { name, first, bytes }: SegmentHead,
  { logId, before }: Known,
): SegmentHeader | undefined {
  const file = disk.open(joinPath(directory, name), 'read');
  try {
    const common = { logId, first, bytes, at: before?.at ?? 0 };
    for (const version of [journalVersion, 1] as const) {
      const window = new SegmentWindow(file, { logId, version });
      const frame = window.frameAt(segmentHeaderBytes);
      if (typeof frame === 'string' || frame.first !== first) continue;
      // The checksum is the same in both versions; the records begin at different places.
      if (window.buffer.readUIntLE(window.at + frame.headerBytes + 4, 6) !== first) continue;
      const follows = before !== undefined && before.chain === frame.previous && before.last < first;
      const after = follows ? before.last : revision(first - 1);
      return { ...common, version, after, chain: frame.previous, at: version === 1 ? 0 : common.at };
    }
    if (before?.last !== first - 1 || !isEmpty(new SegmentWindow(file, { logId, version: journalVersion }))) {
      return undefined;
    }
    return { ...common, version: journalVersion, after: before.last, chain: before.chain };
  } finally {
    file.close();
  }
}

function isEmpty(window: SegmentWindow): boolean {
  try {
    for (let at = segmentHeaderBytes; at < window.size; at += windowBytes) {
      if (!window.isZero(at, windowBytes)) return false;
    }
    return window.size > segmentHeaderBytes;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return false;
  }
}

/** @param aside the name of a new file for the old header */
export function mendHeader(disk: Disk, directory: string, { name, header }: MendedHeader, aside: string): void {
  const file = disk.open(joinPath(directory, name), 'write');
  try {
    keepOldHeader();
    const bytes = encodeSegmentHeader(header);
    file.write(bytes, 0, bytes.length, 0);
    file.sync();
  } finally {
    file.close();
  }
  failpoint('salvage.header-mended');

  function keepOldHeader(): void {
    const old = Buffer.alloc(segmentHeaderBytes);
    let length: number;
    try {
      length = file.read(old, 0, segmentHeaderBytes, 0);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return;
    }
    const tmp = `${aside}.tmp`;
    unlinkIfPresent(disk, directory, tmp);
    const copy = disk.open(joinPath(directory, tmp), 'create');
    try {
      copy.write(old, 0, length, 0);
      copy.sync();
    } finally {
      copy.close();
    }
    disk.rename(joinPath(directory, tmp), joinPath(directory, aside));
    disk.syncDirectory(directory);
  }
}
