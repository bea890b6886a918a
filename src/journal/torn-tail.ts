/**
 * A bad frame with nothing valid behind it: the torn end of the last write, or damage to a frame that was acknowledged?
 *
 * A write that a crash cut short leaves zeros where it did not get to, since segments are zero-filled before use: whole
 * 512-byte sectors that the disk never got, or everything behind the byte where the kernel was stopped. So
 *
 *   a part of the frame in some sector is all zeros        torn: that sector was never written
 *   the last byte is zero                                  torn: no frame ends with one (keys and JSON texts do not)
 *   neither, and the checksum does not match               the frame was written whole, and has changed since: damage
 *
 * How long the frame was meant to be stands in its header, which has a checksum of its own. A header that does not match
 * it is damage as well when the records behind it are there: whatever is written up to there has written the header.
 *
 * The price: a disk that leaves anything but old or new content in a sector makes the start refuse rather than drop an
 * unacknowledged write; `salvage` then says what is lost.
 */
import { frameHeaderBytes, frameLengthIfHeaderIntact } from './frame.ts';
import type { SegmentWindow } from './segment-window.ts';

const sectorBytes = 512;
/** Of the first record: its length, which is never zero. */
const recordStartBytes = 4;

export function wasWrittenWhole(window: SegmentWindow, offset: number): boolean {
  const header = window.bytesAt(offset, frameHeaderBytes);
  if (header === undefined || hasEmptySector(header, offset)) return false;
  const length = frameLengthIfHeaderIntact(header);
  if (length === undefined) {
    const behind = window.bytesAt(offset + frameHeaderBytes, recordStartBytes);
    return behind !== undefined && !isZero(behind);
  }
  const frame = window.bytesAt(offset, length);
  return frame !== undefined && !hasEmptySector(frame, offset) && frame[length - 1] !== 0;
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
