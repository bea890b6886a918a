/**
 * The journal on disk: frames.
 *
 * A group commit is one frame. Frames follow each other in segments (see `segment.ts`) without padding and form a
 * chain: each frame carries the checksum of the frame before it, and its own checksum covers that field. A frame is
 * therefore valid in one place of one log only. All integers are little-endian.
 *
 *    0  magic      u32   ff 44 4c fe; ff and fe never occur in UTF-8, so no user's text looks like a frame
 *    4  crc        u32   CRC-32 of byte 8 to the end of the frame
 *    8  length     u32   bytes of the whole frame, this header included
 *   12  previous   u32   crc of the frame before it; in the first frame of a segment, the segment header's chain
 *   16  log id     u64   random, made with the log: a block of another log never passes for one of this log
 *   24  first      u48   revision of the first record
 *   30  last       u48   revision of the last record
 *   36  durable    u48   what was durable when the frame was written: everything before `first`
 *   42  count      u32   records; revisions are dense: count = last - first + 1
 *   46  check      u16   low half of the CRC-32 of bytes 8 to 45: tells a damaged header from a torn frame
 *   48  at         u48   when it was written: wall-clock milliseconds; never falls within a log
 *   54  zero       2 bytes
 *   56  records          see `protocol/record.ts`
 *
 * In a segment of version 1 the header ends after `check`: 48 bytes, and the time is unknown, which reads as 0. The
 * segment's header names the version of all of its frames, and nothing else differs between the two.
 *
 * The time. The writer takes the later of its clock and the frame before, also after a restart, since a wall clock may
 * be set back between two starts. If the clock was once ahead, `at` stands still until the clock has caught up.
 *
 * What a crash leaves. The writer writes a frame with one call and waits for fdatasync; only then does it acknowledge
 * the frame and write the next one. So at most the last frame can be incomplete: any subset of its 512-byte sectors may
 * be missing. A sector that it shares with the end of the frame before it is either old or new, and both hold that
 * frame's bytes. A disk that can destroy a sector by losing power in the middle of it is not supported. After the last
 * frame there are zeros, because segments are zero-filled before use and recovery copies the tail to a fresh file.
 * Hence the rule of recovery: a bad frame of which a part was never written, with no valid frame after it, is a torn
 * tail and was never acknowledged. A bad frame with a valid later one after it was durable once, and a bad frame that
 * was written whole may have been (see `torn-tail.ts`): recovery must not skip such damage.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../shared/assert.ts';
import { revision, type Revision } from '../../protocol/ids.ts';

/** The version of a segment and of all frames in it. New segments have the newest one. */
export type JournalVersion = 1 | 2;
export const journalVersion = 2;

/** Of a frame of the newest version; no older header is longer. */
export const frameHeaderBytes = 56;
export const frameMagic = Buffer.from([0xff, 0x44, 0x4c, 0xfe]);
const magic = frameMagic.readUInt32LE(0);
const crcStart = 8;
const checkAt = 46;
const timeAt = 48;

export function frameHeaderBytesOf(version: JournalVersion): number {
  return version === 1 ? 48 : frameHeaderBytes;
}

interface FrameHeader {
  readonly version: JournalVersion;
  readonly previous: number;
  readonly logId: bigint;
  readonly first: Revision;
  readonly last: Revision;
  readonly durable: Revision;
  readonly count: number;
  /** Wall-clock milliseconds; 0 in version 1, which does not hold it. */
  readonly at: number;
}

export interface Frame extends FrameHeader {
  /** Bytes before the first record. */
  readonly headerBytes: number;
  readonly length: number;
  readonly crc: number;
}

/** Why no valid frame stands at a place. */
export type FrameFault =
  | 'nothing-written'
  | 'no-frame'
  | 'cut-off'
  | 'unreadable'
  | 'checksum'
  | 'other-log'
  | 'chain'
  | 'revisions';

export const frameFaults = {
  'nothing-written': 'no frame has been written here',
  'no-frame': 'no frame starts here',
  'cut-off': 'the frame is longer than the rest of its segment',
  unreadable: 'the disk does not give back what was written here',
  checksum: 'the checksum of the frame does not match its content',
  'other-log': 'the frame belongs to another log',
  chain: 'the frame does not follow the one before it',
  revisions: 'the revisions of the frame are not dense',
} as const satisfies Record<FrameFault, string>;

/**
 * Writes the header before the records, which begin at byte `frameHeaderBytesOf(header.version)` and end the buffer.
 * @returns the frame's crc, which is the next frame's `previous`.
 */
export function sealFrame(buffer: Buffer, header: FrameHeader): number {
  assert(header.count === header.last - header.first + 1, 'the revisions of a frame are dense');
  buffer.writeUInt32LE(magic, 0);
  buffer.writeUInt32LE(buffer.length, 8);
  buffer.writeUInt32LE(header.previous, 12);
  buffer.writeBigUInt64LE(header.logId, 16);
  buffer.writeUIntLE(header.first, 24, 6);
  buffer.writeUIntLE(header.last, 30, 6);
  buffer.writeUIntLE(header.durable, 36, 6);
  buffer.writeUInt32LE(header.count, 42);
  buffer.writeUInt16LE(headerCheck(buffer, 0), checkAt);
  if (header.version > 1) {
    buffer.writeUIntLE(header.at, timeAt, 6);
    buffer.writeUInt16LE(0, timeAt + 6);
  }
  const crc = crc32(buffer.subarray(crcStart));
  buffer.writeUInt32LE(crc, 4);
  return crc;
}

/** The length of the whole frame, if the header, given alone, is as it was written. */
export function frameLengthIfHeaderIntact(header: Buffer): number | undefined {
  if (header.readUInt32LE(0) !== magic || header.readUInt16LE(checkAt) !== headerCheck(header, 0)) return undefined;
  // The 16 bits of `check` match by chance now and then.
  const [first, last] = [header.readUIntLE(24, 6), header.readUIntLE(30, 6)];
  if (header.readUIntLE(36, 6) !== first - 1 || header.readUInt32LE(42) !== last - first + 1) return undefined;
  return header.readUInt32LE(crcStart);
}

/** Whether a frame whose last byte is zero would be valid if one bit of that byte were set. */
export function matchesWithOneBitOfItsLastByte(frame: Buffer): boolean {
  const crc = frame.readUInt32LE(4);
  const before = crc32(frame.subarray(crcStart, frame.length - 1));
  return [1, 2, 4, 8, 16, 32, 64, 128].some((last) => crc32(Buffer.from([last]), before) === crc);
}

function headerCheck(buffer: Buffer, at: number): number {
  return crc32(buffer.subarray(at + crcStart, at + checkAt)) & 0xffff;
}

/** The length that the frame at byte `offset` claims to have; the header must lie within the buffer. */
export function peekFrameLength(buffer: Buffer, offset: number, version: JournalVersion): number | FrameFault {
  const found = buffer.readUInt32LE(offset);
  if (found !== magic) return found === 0 ? 'nothing-written' : 'no-frame';
  const length = buffer.readUInt32LE(offset + 8);
  return length <= frameHeaderBytesOf(version) ? 'no-frame' : length;
}

/** The log that a segment belongs to, and the version of its frames. */
export interface FrameContext {
  readonly logId: bigint;
  readonly version: JournalVersion;
}

/**
 * Checks the frame at byte `offset` by itself: checksum, log, density. `follows` checks whether it follows the frame
 * before it.
 */
export function decodeFrame(buffer: Buffer, offset: number, { logId, version }: FrameContext): Frame | FrameFault {
  const headerBytes = frameHeaderBytesOf(version);
  if (offset + headerBytes > buffer.length) return 'cut-off';
  const length = peekFrameLength(buffer, offset, version);
  if (typeof length === 'string') return length;
  if (offset + length > buffer.length) return 'cut-off';
  const crc = buffer.readUInt32LE(offset + 4);
  if (crc32(buffer.subarray(offset + crcStart, offset + length)) !== crc) return 'checksum';
  const foundId = buffer.readBigUInt64LE(offset + 16);
  if (foundId !== logId) return 'other-log';
  const first = buffer.readUIntLE(offset + 24, 6);
  const last = buffer.readUIntLE(offset + 30, 6);
  const durable = buffer.readUIntLE(offset + 36, 6);
  const count = buffer.readUInt32LE(offset + 42);
  if (count === 0 || last - first + 1 !== count || durable !== first - 1) return 'revisions';
  return {
    version,
    headerBytes,
    length,
    crc,
    previous: buffer.readUInt32LE(offset + 12),
    logId: foundId,
    first: revision(first),
    last: revision(last),
    durable: revision(durable),
    count,
    at: version === 1 ? 0 : buffer.readUIntLE(offset + timeAt, 6),
  };
}

/** Whether `frame` is the one after the frame with checksum `chain` that ended at revision `last`. */
export function follows(frame: Frame, chain: number, last: Revision): FrameFault | undefined {
  if (frame.previous !== chain) return 'chain';
  return frame.first === last + 1 ? undefined : 'revisions';
}
