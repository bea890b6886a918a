/**
 * A bad frame with nothing valid behind it: the torn end of the last write, or damage to a frame that was acknowledged?
 *
 * A write that a crash cut short leaves zeros where it did not get to, since segments are zero-filled before use: whole
 * 512-byte sectors that the disk never got, or everything behind the byte where the kernel was stopped. So
 *
 *   a part of the frame in some sector is all zeros        torn: that sector was never written
 *   the last byte is zero                                  torn: no frame ends with one (keys and JSON texts do not),
 *                                                          unless one bit of it makes the checksum match: damage
 *   neither, and the checksum does not match               the frame was written whole, and has changed since: damage
 *
 * How long the frame was meant to be stands in its header, which has a checksum of its own. A header that does not match
 * it is damage as well when all of its sectors were written and anything stands behind it, since what was cut short within
 * its header has nothing behind.
 *
 * The price: a disk that leaves anything but old or new content in a sector makes the start refuse rather than drop an
 * unacknowledged write; `salvage` then says what is lost.
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
  // No frame was ever longer than the rest of its file: such a header has changed, too.
  if (length === undefined || frame === undefined) return standsBehindItsHeader(window, offset);
  if (hasEmptySector(frame, offset)) return false;
  return frame[length - 1] !== 0 || matchesWithOneBitOfItsLastByte(frame);
}

/** Whether every sector of a header was written, and anything behind it: then so was the header, as a whole. */
function standsBehindItsHeader(window: SegmentWindow, offset: number): boolean {
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

/** Whether the bytes, which stand at `offset` of the file, are all zeros within one of the sectors that they touch. */
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
