import { joinPath, type Disk } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { follows, frameFaults, type Frame, type FrameFault, type JournalVersion } from './frame.ts';
import { JournalCorruption, type IntactPart } from './journal-corruption.ts';
import { readSegmentHeader, segmentHeaderBytes, type SegmentHeader, type SegmentName } from './segment.ts';
import { wasWrittenWhole } from './torn-tail.ts';
import { SegmentWindow } from './segment-window.ts';

/** A valid frame, until the next step of the walk. */
interface WalkedFrame {
  readonly frame: Frame;
  readonly buffer: Buffer;
  /** Where the frame starts in `buffer`. */
  readonly start: number;
}

/** Where the log, or a segment of it, ends. */
export interface LogEnd {
  readonly logId: bigint;
  /** The last revision in it; for a segment without frames, the one before the segment's first. */
  readonly last: Revision;
  readonly chain: number;
  /** The time of the last frame; 0: unknown. */
  readonly at: number;
  /** Of the segment. */
  readonly version: JournalVersion;
  /** The byte of the segment after its last valid frame. */
  readonly position: number;
  /** `nothing-written` is a clean end; everything else is a torn tail. */
  readonly fault: FrameFault;
}

/**
 * Reads the log from segment `start` (an index into `segments`) to its end. Checks every frame, and that each follows
 * the one before it.
 *
 * Where a frame is not valid, there are three cases:
 *   - Another segment follows. Then this one must have ended right here: the next header proves it with the last
 *     revision and checksum before that segment. Bytes after the end are left over and harmless.
 *   - A later frame of this log is valid, or this one was written whole, or the file was longer when it was made. Then
 *     something durable is damaged.
 *   - Otherwise the log ends here.
 *
 * @throws JournalCorruption
 */
export function* walkLog(
  disk: Disk,
  directory: string,
  segments: readonly SegmentName[],
  start: number,
): Generator<WalkedFrame, LogEnd> {
  let before: LogEnd | undefined;
  let buffer: Buffer | undefined;
  for (const [index, segment] of segments.entries()) {
    if (index < start) continue;
    const intact = (count: number, end: LogEnd | undefined): IntactPart | undefined =>
      start > 0 || end === undefined ? undefined : { segments: count, last: end.last, chain: end.chain, at: end.at };
    const file = disk.open(joinPath(directory, segment.name), 'read');
    try {
      const header = readSegmentHeader(file, segment);
      if (typeof header === 'string') throw new JournalCorruption(segment.name, 0, header, intact(index, before));
      const gap = before && gapBefore(header, before);
      if (before !== undefined && gap !== undefined) {
        const name = segments[index - 1]?.name ?? segment.name;
        const reason = `${gap} (the next segment is ${segment.name})`;
        throw new JournalCorruption(name, before.position, reason, intact(index, before));
      }
      const window = new SegmentWindow(file, header, buffer);
      const end = yield* walkSegment(window, header);
      if (index === segments.length - 1) {
        const later = window.findLater(end.position, end.last);
        const cutOff = window.size < header.bytes;
        if (later === undefined && !cutOff && !wasWrittenWhole(window, end.position)) return end;
        if (later === undefined) {
          const reason = cutOff
            ? `the file has ${window.size} bytes, and had ${header.bytes} when it was made`
            : `${frameFaults[end.fault]}, although the frame was written whole`;
          throw new JournalCorruption(segment.name, end.position, reason, intact(index + 1, end));
        }
        const reason =
          `${frameFaults[end.fault]}, but a valid frame with revisions ${later.frame.first} to ${later.frame.last} ` +
          `stands after it at byte ${later.offset}`;
        throw new JournalCorruption(segment.name, end.position, reason, intact(index + 1, end));
      }
      before = end;
      buffer = window.buffer;
    } finally {
      file.close();
    }
  }
  throw new JournalCorruption(directory, 0, 'there is no segment');
}

function* walkSegment(window: SegmentWindow, header: SegmentHeader): Generator<WalkedFrame, LogEnd> {
  const { logId, version } = header;
  let { chain, at } = header;
  // A salvage may have left a gap in the revisions before this segment.
  let last = revision(header.first - 1);
  let position = segmentHeaderBytes;
  const end = (fault: FrameFault): LogEnd => ({ logId, version, last, chain, at, position, fault });
  for (;;) {
    const frame = window.frameAt(position);
    if (typeof frame === 'string') return end(frame);
    const fault = follows(frame, chain, last);
    if (fault !== undefined) return end(fault);
    yield { frame, buffer: window.buffer, start: window.at };
    ({ last, crc: chain, at } = frame);
    position += frame.length;
  }
}

function gapBefore(header: SegmentHeader, before: LogEnd): string | undefined {
  if (header.logId !== before.logId) return 'the segment after it belongs to another log';
  if (header.after === before.last && header.chain === before.chain) return undefined;
  if (header.after <= before.last) return 'the segment after it does not follow its last frame';
  return `${frameFaults[before.fault]}; revisions ${before.last + 1} to ${header.after} are missing`;
}
