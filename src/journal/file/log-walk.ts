import { joinPath, type Disk } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { follows, frameFaults, type Frame, type FrameFault, type JournalVersion } from './frame.ts';
import { JournalCorruption, type IntactPart } from './journal-corruption.ts';
import type { DamagedHistory, SegmentHead } from './log-heads.ts';
import { segmentHeaderBytes, type SegmentHeader } from './segment.ts';
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

interface WalkOptions {
  /** The index of the segment to begin with, see `replayStart`. */
  readonly start: number;
  /** The caller needs no record up to here. */
  readonly from: Revision;
  /** Is told of damage that the walk has passed over, because the caller needs none of the revisions in it. */
  readonly onSkipped?: (damage: DamagedHistory) => void;
}

/**
 * Reads the log from a segment to its end. Checks every frame, and that each follows the one before it.
 *
 * Where a frame is not valid, there are four cases:
 *   - A later frame of the same segment is valid, and nobody needs what is missing before it: it is passed over.
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
  heads: readonly SegmentHead[],
  options: WalkOptions,
): Generator<WalkedFrame, LogEnd> {
  let before: LogEnd | undefined;
  let buffer: Buffer | undefined;
  for (const [index, head] of heads.entries()) {
    if (index < options.start) continue;
    const { name, header, fault } = head;
    if (header === undefined) throw new JournalCorruption(name, 0, String(fault), intactPart(index, before));
    const gap = before && gapBefore(header, before);
    if (before !== undefined && gap !== undefined) {
      const reason = `${gap} (the next segment is ${name})`;
      throw new JournalCorruption(heads[index - 1]?.name ?? name, before.position, reason, intactPart(index, before));
    }
    const file = disk.open(joinPath(directory, name), 'read');
    try {
      const window = new SegmentWindow(file, header, buffer);
      let skipped = false;
      const onSkipped = (damage: DamagedHistory): void => {
        skipped = true;
        options.onSkipped?.(damage);
      };
      const end = yield* walkSegment(window, head, header, { ...options, onSkipped });
      if (index === heads.length - 1) {
        const reason = damageAtTheEnd(window, header, end) ?? (skipped ? unprovedEnd(end) : undefined);
        if (reason === undefined) return end;
        throw new JournalCorruption(name, end.position, reason, intactPart(index + 1, end));
      }
      before = end;
      buffer = window.buffer;
    } finally {
      file.close();
    }
  }
  throw new JournalCorruption(directory, 0, 'there is no segment');
}

/** Where the valid frames of a segment end, whatever stands after them. */
export function endOfSegment(disk: Disk, directory: string, head: SegmentHead, header: SegmentHeader): LogEnd {
  const file = disk.open(joinPath(directory, head.name), 'read');
  try {
    const walk = walkSegment(new SegmentWindow(file, header), head, header, { from: revision(0), start: 0 });
    for (;;) {
      const step = walk.next();
      if (step.done) return step.value;
    }
  } finally {
    file.close();
  }
}

/** Why the end of the last segment is not the end of the log; undefined if it is. */
function damageAtTheEnd(window: SegmentWindow, header: SegmentHeader, end: LogEnd): string | undefined {
  const fault = frameFaults[end.fault];
  if (end.fault === 'unreadable') return fault;
  const later = window.findLater(end.position, end.last);
  if (later !== undefined) {
    const { first, last } = later.frame;
    return `${fault}, but a valid frame with revisions ${first} to ${last} stands after it at byte ${later.offset}`;
  }
  if (window.size < header.bytes) {
    return `the file has ${window.size} bytes, and had ${header.bytes} when it was made`;
  }
  return wasWrittenWhole(window, end.position) ? `${fault}, although the frame was written whole` : undefined;
}

/**
 * A walk that has passed over damage may have gone on with a frame that stands out of its place: then what follows it has
 * moved too, and is no write that was cut short.
 */
function unprovedEnd({ fault }: LogEnd): string | undefined {
  return fault === 'nothing-written' ? undefined : `${frameFaults[fault]}, and the segment is damaged before it too`;
}

/** A segment of which nothing is intact does not count. */
function intactPart(segments: number, end: LogEnd | undefined): IntactPart | undefined {
  if (end === undefined) return undefined;
  const { logId, last, chain, at, position } = end;
  return { segments: position === segmentHeaderBytes ? segments - 1 : segments, logId, last, chain, at };
}

function* walkSegment(
  window: SegmentWindow,
  head: SegmentHead,
  header: SegmentHeader,
  { from, onSkipped }: WalkOptions,
): Generator<WalkedFrame, LogEnd> {
  const { logId, version } = header;
  let { chain, at } = header;
  // A salvage may have left a gap in the revisions before this segment.
  let last = revision(header.first - 1);
  let position = segmentHeaderBytes;
  for (;;) {
    const frame = window.frameAt(position);
    const fault = typeof frame === 'string' ? frame : follows(frame, chain, last);
    if (typeof frame !== 'string' && fault === undefined) {
      yield { frame, buffer: window.buffer, start: window.at };
      ({ last, crc: chain, at } = frame);
      position += frame.length;
      continue;
    }
    const later = last < from ? window.findLater(position, last) : undefined;
    if (later === undefined || later.frame.first > from + 1) {
      return { logId, version, last, chain, at, position, fault: fault ?? 'no-frame' };
    }
    const lost = { first: revision(last + 1), last: revision(later.frame.first - 1) };
    onSkipped?.({ file: head.name, offset: position, reason: frameFaults[fault ?? 'no-frame'], ...lost });
    chain = later.frame.previous;
    last = lost.last;
    position = later.offset;
  }
}

function gapBefore(header: SegmentHeader, before: LogEnd): string | undefined {
  if (header.logId !== before.logId) return 'the segment after it belongs to another log';
  if (header.after === before.last && header.chain === before.chain) return undefined;
  if (header.after <= before.last) return 'the segment after it does not follow its last frame';
  return `${frameFaults[before.fault]}; revisions ${before.last + 1} to ${header.after} are missing`;
}
