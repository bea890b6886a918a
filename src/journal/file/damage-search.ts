import type { Revision } from '../../protocol/ids.ts';
import { segmentHeaderBytes, type SegmentName } from './segment.ts';
import { windowBytes, type SegmentWindow } from './segment-window.ts';

/** Where a segment cannot be read. */
export interface Place {
  readonly segment: SegmentName;
  readonly offset: number;
  /** The first revision that is missing. */
  readonly first: Revision;
  readonly reason: string;
  /** Absent: the whole segment is lost with its header. */
  readonly window?: SegmentWindow;
}

/** A frame that can be read again after a damaged place. */
export interface ResumePoint {
  readonly offset: number;
  readonly first: Revision;
}

interface Search {
  /** Where this step begins. */
  readonly from: number;
  /** The last revision before the damaged place. */
  readonly passed: Revision;
  readonly durable: Revision;
  /** The segment is the one that is being written. */
  readonly isLast: boolean;
}

/**
 * Looks for the next durable frame in a segment, one bounded step.
 * @returns where the next step begins; undefined: there is no such frame
 */
export function searchStep(window: SegmentWindow, search: Search): ResumePoint | number | undefined {
  const { from, passed, durable, isLast } = search;
  const end = from + windowBytes;
  const found = window.findLater(Math.max(from, segmentHeaderBytes), passed, end);
  if (found !== undefined) {
    return found.frame.last > durable ? undefined : { offset: found.offset, first: found.frame.first };
  }
  // In the segment that is being written, zeros are where nothing was written yet.
  return end >= window.size || (isLast && window.isZero(from, windowBytes)) ? undefined : end;
}
