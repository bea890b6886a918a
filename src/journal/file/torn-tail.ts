/**
 * A bad frame with no valid frame after it: is it the torn end of the last write, or damage to an acknowledged frame?
 *
 * Segments are zero-filled before use, so a write that a crash cut short leaves zeros where it did not get to: whole
 * 512-byte sectors that the disk never got, or everything after the byte where the kernel stopped. So
 *
 *   a part of the frame in some sector is all zeros        torn: that sector was never written
 *   the last byte is zero                                  torn: no frame ends with one (keys and JSON texts do not),
 *                                                          unless one bit of it makes the checksum match: damage
 *   neither, and the checksum does not match               the frame was written whole and has changed since: damage
 *
 * The header holds the length of the frame, and a checksum of its own. A header that does not match that checksum is
 * damage too, if all of its sectors were written and anything but zeros stands after it: a write that was cut short
 * within the header leaves nothing after it.
 *
 * The price: if a disk leaves anything but old or new content in a sector, the start is refused where an unacknowledged
 * write could have been dropped; `salvage` then says what is lost.
 */
import { frameLengthIfHeaderIntact, matchesWithOneBitOfItsLastByte } from './frame.ts';
import type { SegmentWindow } from './segment-window.ts';

const sectorBytes = 512;
const scanStepBytes = 64 * 1024;

export function wasWrittenWhole(window: SegmentWindow, offset: number): boolean {
  const header = window.bytesAt(offset, window.headerBytes);
  if (header === undefined) return false;
  const length = frameLengthIfHeaderIntact(header);
  const frame = length === undefined ? undefined : window.bytesAt(offset, length);
  // No frame was ever longer than the rest of its file, so such a header has changed too.
  if (length === undefined || frame === undefined) return somethingFollowsHeader(window, offset);
  if (hasEmptySector(frame, offset)) return false;
  return frame[length - 1] !== 0 || matchesWithOneBitOfItsLastByte(frame);
}

/** Whether every sector of a header was written, and something after it: then the header was written whole. */
function somethingFollowsHeader(window: SegmentWindow, offset: number): boolean {
  const start = offset + window.headerBytes;
  const sectorsEnd = Math.min(window.size, Math.ceil(start / sectorBytes) * sectorBytes);
  const sectors = window.bytesAt(offset, sectorsEnd - offset);
  if (sectors === undefined || hasEmptySector(sectors, offset)) return false;
  for (let at = start; at < window.size; at += scanStepBytes) {
    const bytes = window.bytesAt(at, Math.min(scanStepBytes, window.size - at));
    if (bytes !== undefined && !isZero(bytes)) return true;
  }
  return false;
}

/** Whether the bytes at `offset` of the file are all zeros within one of the sectors that they touch. */
function hasEmptySector(bytes: Buffer, offset: number): boolean {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + sectorBytes - ((offset + at) % sectorBytes));
    if (isZero(bytes.subarray(at, end))) return true;
    at = end;
  }
  return false;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
