/**
 * The journal on disk: frames.
 *
 * A group commit is one frame. Frames stand one behind the other in segments (see `segment.ts`), without padding, and
 * form a chain: each carries the checksum of the frame before it, and each checksum covers that field, so that a frame
 * is valid in one place of one log only. All integers are little-endian.
 *
 *    0  magic      u32   ff 44 4c fe; ff and fe never occur in UTF-8, so no user's text looks like a frame
 *    4  crc        u32   CRC-32 of byte 8 to the end of the frame
 *    8  length     u32   bytes of the whole frame, this header included
 *   12  previous   u32   crc of the frame before it; in the first frame of a segment, the segment header's chain
 *   16  log id     u64   random, made with the log: blocks of another log never pass for this one's
 *   24  first      u48   revision of the first record
 *   30  last       u48   revision of the last record
 *   36  durable    u48   what was durable when the frame was written, that is everything before `first`
 *   42  count      u32   records; revisions are dense: count = last - first + 1
 *   46  check      u16   low half of the CRC-32 of bytes 8 to 45: tells a damaged header from a torn frame
 *   48  records          see `protocol/record.ts`
 *
 * What a crash leaves. The writer writes a frame with one call, waits for fdatasync, and only then writes the next one
 * (and only then acknowledges). So at most the last frame can be incomplete: any subset of its 512-byte sectors may
 * be missing. A sector that it shares with the end of the frame before is either old or new, and both hold that
 * frame's bytes; a disk that can destroy a sector by losing power in the middle of it is not supported. Behind the last
 * frame there are zeros, because segments are zero-filled before use and recovery copies the tail to a fresh one.
 * Hence the rule of recovery: a bad frame of which a part was never written, with nothing valid behind it, is a torn tail
 * and was never acknowledged. A bad frame with a valid later one behind it was durable once, and one that was written
 * whole may have been (see `torn-tail.ts`): such damage must not be passed over.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../shared/assert.ts';
import { revision, type Revision } from '../../protocol/ids.ts';

export const frameHeaderBytes = 48;
export const frameMagic = Buffer.from([0xff, 0x44, 0x4c, 0xfe]);
const magic = frameMagic.readUInt32LE(0);
const crcStart = 8;
const checkAt = 46;

export interface FrameHeader {
  readonly previous: number;
  readonly logId: bigint;
  readonly first: Revision;
  readonly last: Revision;
  readonly durable: Revision;
  readonly count: number;
}

export interface Frame extends FrameHeader {
  readonly length: number;
  readonly crc: number;
}

/** Why there is no valid frame at a place. */
export type FrameFault = 'nothing-written' | 'no-frame' | 'cut-off' | 'checksum' | 'other-log' | 'chain' | 'revisions';

export const frameFaults = {
  'nothing-written': 'no frame has been written here',
  'no-frame': 'no frame starts here',
  'cut-off': 'the frame is longer than the rest of its segment',
  checksum: 'the checksum of the frame does not match its content',
  'other-log': 'the frame belongs to another log',
  chain: 'the frame does not follow the one before it',
  revisions: 'the revisions of the frame are not dense',
} as const satisfies Record<FrameFault, string>;

/**
 * Puts the header in front of the records that stand at byte `frameHeaderBytes` and after, up to `length`.
 * @returns the frame's crc, which is the next frame's `previous`.
 */
export function sealFrame(buffer: Buffer, length: number, header: FrameHeader): number {
  assert(header.count === header.last - header.first + 1, 'the revisions of a frame are dense');
  buffer.writeUInt32LE(magic, 0);
  buffer.writeUInt32LE(length, 8);
  buffer.writeUInt32LE(header.previous, 12);
  buffer.writeBigUInt64LE(header.logId, 16);
  buffer.writeUIntLE(header.first, 24, 6);
  buffer.writeUIntLE(header.last, 30, 6);
  buffer.writeUIntLE(header.durable, 36, 6);
  buffer.writeUInt32LE(header.count, 42);
  buffer.writeUInt16LE(headerCheck(buffer, 0), checkAt);
  const crc = crc32(buffer.subarray(crcStart, length));
  buffer.writeUInt32LE(crc, 4);
  return crc;
}

/** The length of the whole frame, if its header, given alone, is as it was written. */
export function frameLengthIfHeaderIntact(header: Buffer): number | undefined {
  if (header.readUInt32LE(0) !== magic || header.readUInt16LE(checkAt) !== headerCheck(header, 0)) return undefined;
  // Sixteen bits match by chance now and then.
  const [first, last] = [header.readUIntLE(24, 6), header.readUIntLE(30, 6)];
  if (header.readUIntLE(36, 6) !== first - 1 || header.readUInt32LE(42) !== last - first + 1) return undefined;
  return header.readUInt32LE(crcStart);
}

/** Whether a frame whose last byte is zero is whole but for one bit of that byte. */
export function matchesWithOneBitOfItsLastByte(frame: Buffer): boolean {
  const wanted = frame.readUInt32LE(4);
  const before = crc32(frame.subarray(crcStart, frame.length - 1));
  return [1, 2, 4, 8, 16, 32, 64, 128].some((last) => crc32(Buffer.from([last]), before) === wanted);
}

function headerCheck(buffer: Buffer, at: number): number {
  return crc32(buffer.subarray(at + crcStart, at + checkAt)) & 0xffff;
}

/** The length that the frame at `at` claims to have; the header must lie within the buffer. */
export function peekFrameLength(buffer: Buffer, at: number): number | FrameFault {
  const found = buffer.readUInt32LE(at);
  if (found !== magic) return found === 0 ? 'nothing-written' : 'no-frame';
  const length = buffer.readUInt32LE(at + 8);
  return length <= frameHeaderBytes ? 'no-frame' : length;
}

/**
 * Checks the frame at `at` by itself: checksum, log, density. Whether it follows the frame before it is for the caller
 * to say (`follows`).
 */
export function decodeFrame(buffer: Buffer, at: number, logId: bigint): Frame | FrameFault {
  if (at + frameHeaderBytes > buffer.length) return 'cut-off';
  const length = peekFrameLength(buffer, at);
  if (typeof length === 'string') return length;
  if (at + length > buffer.length) return 'cut-off';
  const crc = buffer.readUInt32LE(at + 4);
  if (crc32(buffer.subarray(at + crcStart, at + length)) !== crc) return 'checksum';
  const foundId = buffer.readBigUInt64LE(at + 16);
  if (foundId !== logId) return 'other-log';
  const first = buffer.readUIntLE(at + 24, 6);
  const last = buffer.readUIntLE(at + 30, 6);
  const durable = buffer.readUIntLE(at + 36, 6);
  const count = buffer.readUInt32LE(at + 42);
  if (count === 0 || last - first + 1 !== count || durable !== first - 1) return 'revisions';
  return {
    length,
    crc,
    previous: buffer.readUInt32LE(at + 12),
    logId: foundId,
    first: revision(first),
    last: revision(last),
    durable: revision(durable),
    count,
  };
}

/** Whether `frame` is the one behind the frame with checksum `chain` that ended at revision `last`. */
export function follows(frame: Frame, chain: number, last: Revision): FrameFault | undefined {
  if (frame.previous !== chain) return 'chain';
  return frame.first === last + 1 ? undefined : 'revisions';
}
