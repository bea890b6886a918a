import { revision, type Revision } from '../../protocol/ids.ts';
import type { Frame } from './frame.ts';
import type { SegmentWindow } from './segment-window.ts';

/** What one read may still take of a frame. */
export interface RunLimit {
  /** The last revision that was taken before. */
  readonly after: Revision;
  readonly durable: Revision;
  readonly bytes: number;
  /** One record is taken even if it is larger than `bytes`. */
  readonly atLeastOne: boolean;
}

/** Records that follow each other in a window: bytes `start` to `end` of its buffer. */
export interface Run {
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly last: Revision;
}

/** The records of a frame that are due. The frame stands at `at` of the window. */
export function runOf({ buffer, at }: SegmentWindow, frame: Frame, limit: RunLimit): Run {
  const frameEnd = at + frame.length;
  let start = at + frame.headerBytes;
  if (frame.first > limit.after && frame.last <= limit.durable && frameEnd - start <= limit.bytes) {
    return { start, end: frameEnd, count: frame.count, last: frame.last };
  }
  let rev: number = frame.first;
  for (; rev <= limit.after; rev += 1) start += buffer.readUInt32LE(start);
  let end = start;
  let count = 0;
  for (; end < frameEnd && rev <= limit.durable; rev += 1) {
    const bytes = buffer.readUInt32LE(end);
    if (end + bytes - start > limit.bytes && !(limit.atLeastOne && count === 0)) break;
    end += bytes;
    count += 1;
  }
  return { start, end, count, last: count === 0 ? limit.after : revision(rev - 1) };
}
