/**
 * Segments: the files that hold the frames.
 *
 *   journal-0000000000000001.log   a finished segment; the number is its first revision
 *   journal-0000000000004711.log   the newest one is the active one
 *   spare.log                      the next one, zero-filled and durable
 *   old.tmp                        a segment that is not needed any more; the next spare is made of it
 *   *.tmp                          a file that was being made when the process ended: removed at start
 *   *.damaged                      set aside by a salvage, never read by the server
 *
 * A segment has its full size from the start (64 MiB of zeros, fsynced). So writing a frame never changes the file's
 * metadata and never meets a full disk. Its first 512 bytes, a sector of their own, are the header:
 *
 *    0  magic    8 bytes "DRAGLOCK"
 *    8  version  u32     2
 *   12  crc      u32     CRC-32 of bytes 16-51
 *   16  log id   u64
 *   24  first    u48     the first revision that this segment may hold
 *   30  after    u48     the last revision of the segment before it; first - 1, unless a salvage left a gap
 *   36  chain    u32     crc of the last frame of the segment before it, or 0
 *   40  bytes    u48     size of the file; if the file is shorter now, something else truncated it
 *   46  at       u48     the time of the last frame before this segment; 0: there is none, or its time is unknown
 *
 * Version 1 is read as well. Its header ends at byte 45, its crc covers bytes 16-47, and its frames hold no time (see
 * `frame.ts`). New segments always have version 2. A log that a version-1 server wrote is continued as it is: recovery
 * copies its last segment byte for byte, because every checksum in the chain covers the header before it, and the
 * writer fills the rest of that segment with version-1 frames. So a start after an upgrade needs no disk space, and a
 * crash in it leaves nothing new. The next segment has version 2, and with it the log has times. The checksum does not
 * cover `version`, but no flip of one bit turns 1 into 2 or back, and the two checksums cover different bytes. The
 * checksum of any later version has to differ from both, too: a header with an unknown version and a known checksum is
 * damaged, and was not written by a newer server.
 *
 * `at` is for a segment that has no frame yet: a start finds the last time there without reading the segment before.
 *
 * Life of a segment, and what a crash leaves at each step:
 *
 *   writeZeros spare.tmp ─► rename to spare.log ─► sync directory      a .tmp or a spare: removed at start
 *   write header ─► datasync ─► rename to journal-N.log                the spare with a header: removed at start;
 *                                                                      nothing in it was acknowledged
 *   ─► sync directory                                                  an empty active segment, or still none: the
 *                                                                      segment before it is complete either way
 *   frames …                                                           see `frame.ts`
 *   unlink, oldest first ─► sync directory after each one              a log that begins earlier or later, with no gap
 *   or: rename to old.tmp ─► sync directory                            the same; the file is removed at start
 *   ─► rename to spare.tmp ─► writeZeros, as above                     a file of the right size becomes the next spare:
 *                                                                      no disk space and no new page is needed
 *
 * Each step begins only after the one before it is durable. So a file with a segment's name has a whole header.
 */
import { crc32 } from 'node:zlib';
import { joinPath, type Disk, type DiskFile } from '../../shared/disk.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { isOutOfFiles } from '../../shared/reserved-disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import { journalVersion, type JournalVersion } from './frame.ts';

export const segmentHeaderBytes = 512;
export const segmentBytesDefault = 64 * 1024 * 1024;
export const spareName = 'spare.log';
export const spareTmpName = 'spare.tmp';
export const oldName = 'old.tmp';

const magic = Buffer.from('DRAGLOCK', 'latin1');
/** By version: up to where the header's checksum reaches. */
const headerUsedBytes = { 1: 48, 2: 52 } as const satisfies Record<JournalVersion, number>;
const zeroStepBytes = 1024 * 1024;
const namePattern = /^journal-(\d{16})\.log$/;

/** A header as it is written: the version is the newest one, and the size is that of the file. */
type NewSegmentHeader = Omit<SegmentHeader, 'version' | 'bytes'>;

export interface SegmentHeader {
  readonly version: JournalVersion;
  readonly logId: bigint;
  readonly first: Revision;
  readonly after: Revision;
  readonly chain: number;
  /** The time of the last frame before it; 0: unknown. */
  readonly at: number;
  /** Size of the whole file, as it was made. */
  readonly bytes: number;
}

export interface SegmentName {
  readonly name: string;
  readonly first: Revision;
}

export function segmentName(first: Revision): string {
  return `journal-${String(first).padStart(16, '0')}.log`;
}

/** Lists the segments of the directory by their names, oldest first. */
export function listSegments(disk: Disk, directory: string): SegmentName[] {
  const segments: SegmentName[] = [];
  for (const name of disk.list(directory)) {
    const digits = namePattern.exec(name)?.[1];
    if (digits !== undefined) segments.push({ name, first: revision(Number(digits)) });
  }
  return segments.toSorted((a, b) => a.first - b.first);
}

/** @param header of the newest version, if it names none */
export function encodeSegmentHeader(header: Omit<SegmentHeader, 'version'> & { version?: JournalVersion }): Buffer {
  const { version = journalVersion } = header;
  const buffer = Buffer.alloc(segmentHeaderBytes);
  magic.copy(buffer);
  buffer.writeUInt32LE(version, 8);
  buffer.writeBigUInt64LE(header.logId, 16);
  buffer.writeUIntLE(header.first, 24, 6);
  buffer.writeUIntLE(header.after, 30, 6);
  buffer.writeUInt32LE(header.chain, 36);
  buffer.writeUIntLE(header.bytes, 40, 6);
  if (version > 1) buffer.writeUIntLE(header.at, 46, 6);
  buffer.writeUInt32LE(crc32(buffer.subarray(16, headerUsedBytes[version])), 12);
  return buffer;
}

/** A newer server has most likely written here. This is not damage, so a salvage must not touch it. */
export class UnsupportedFormat extends Error {
  override name = 'UnsupportedFormat';

  constructor(version: number, file: string) {
    super(
      `The journal segment ${file} has format version ${version}; this server reads up to ${journalVersion}. ` +
        'Nothing was changed. Start the version of the server that wrote it.',
    );
  }
}

/** No server to come will name a later one, so that a header with one is damaged, and not one of theirs. */
const versionMax = 255;

/** Returns the header of `file`, or what is wrong with it. @throws UnsupportedFormat */
export function decodeSegmentHeader(buffer: Buffer, file: string): SegmentHeader | string {
  if (buffer.length < segmentHeaderBytes) return 'the file is shorter than a segment header';
  if (!buffer.subarray(0, magic.length).equals(magic)) return 'the file does not begin as a journal segment';
  const version = buffer.readUInt32LE(8);
  if (version !== 1 && version !== 2) {
    // Every version has a checksum over other bytes. So one that matches tells which version this was.
    const written = ([1, 2] as const).find((known) => checksumMatches(buffer, known));
    if (written !== undefined) {
      return `the header names format version ${version}, but its checksum is that of version ${written}`;
    }
    if (version > versionMax) return `the header names format version ${version}, which no server writes`;
    throw new UnsupportedFormat(version, file);
  }
  if (!checksumMatches(buffer, version)) return 'the checksum of the segment header does not match its content';
  return {
    version,
    logId: buffer.readBigUInt64LE(16),
    first: revision(buffer.readUIntLE(24, 6)),
    after: revision(buffer.readUIntLE(30, 6)),
    chain: buffer.readUInt32LE(36),
    at: version === 1 ? 0 : buffer.readUIntLE(46, 6),
    bytes: buffer.readUIntLE(40, 6),
  };
}

function checksumMatches(buffer: Buffer, version: JournalVersion): boolean {
  return crc32(buffer.subarray(16, headerUsedBytes[version])) === buffer.readUInt32LE(12);
}

/** Reads the header of an open segment and compares it with the file's name. */
export function readSegmentHeader(file: DiskFile, segment: SegmentName): SegmentHeader | string {
  const buffer = Buffer.alloc(segmentHeaderBytes);
  const bytes = file.read(buffer, 0, segmentHeaderBytes, 0);
  const header = decodeSegmentHeader(buffer.subarray(0, bytes), segment.name);
  if (typeof header === 'string') return header;
  if (header.first !== segment.first) return `the header names revision ${header.first} as the first one`;
  if (header.after >= header.first) return `the header names revision ${header.after} as the one before the first`;
  return header;
}

/** Zero-fills `name` without returning to the event loop, for when the spare is needed and not ready. */
export function writeZerosNow(disk: Disk, directory: string, name: string, bytes: number): void {
  const file = disk.open(joinPath(directory, name), 'create');
  try {
    const zeros = Buffer.alloc(Math.min(zeroStepBytes, bytes));
    for (let at = 0; at < bytes; at += zeros.length) file.write(zeros, 0, Math.min(zeros.length, bytes - at), at);
    file.sync();
  } finally {
    file.close();
  }
}

/** What a new segment is made of. */
interface NewSegment {
  readonly header: NewSegmentHeader;
  readonly bytes: number;
  /** Its first frame, if it begins with one. */
  readonly frame?: Buffer;
}

/** Makes a segment that nothing writes to yet, and makes it durable with its name. */
export async function createSegment(
  disk: Disk,
  directory: string,
  { header, bytes: segmentBytes, frame }: NewSegment,
): Promise<void> {
  const name = segmentName(header.first);
  const tmp = joinPath(directory, `${name}.tmp`);
  await disk.writeZeros(tmp, segmentBytes);
  const file = disk.open(tmp, 'write');
  try {
    file.write(encodeSegmentHeader({ ...header, bytes: segmentBytes }), 0, segmentHeaderBytes, 0);
    if (frame !== undefined) file.write(frame, 0, frame.length, segmentHeaderBytes);
    file.sync();
  } finally {
    file.close();
  }
  disk.rename(tmp, joinPath(directory, name));
  disk.syncDirectory(directory);
}

export interface OpenSpare {
  readonly name: string;
  readonly file: DiskFile;
}

/** Turns a zero-filled, durable file into the segment `header.first`. Returns it open for writing. */
export function useSpare(disk: Disk, directory: string, { name, file }: OpenSpare, header: NewSegmentHeader): DiskFile {
  file.write(encodeSegmentHeader({ ...header, bytes: file.size() }), 0, segmentHeaderBytes, 0);
  file.datasync();
  failpoint('journal.segment-prepared');
  disk.rename(joinPath(directory, name), joinPath(directory, segmentName(header.first)));
  disk.syncDirectory(directory);
  failpoint('journal.segment-renamed');
  return file;
}

/** Removes one segment from the log. */
export function removeSegment(disk: Disk, directory: string, name: string): void {
  disk.unlink(joinPath(directory, name));
  trimmed(disk, directory);
}

/** As `removeSegment`, but keeps the file as `old.tmp`, to be filled with zeros and used again. */
export function retireSegment(disk: Disk, directory: string, name: string): void {
  disk.rename(joinPath(directory, name), joinPath(directory, oldName));
  trimmed(disk, directory);
}

/** Syncs the directory each time, so that no crash can leave a gap between two segments. */
function trimmed(disk: Disk, directory: string): void {
  disk.syncDirectory(directory);
  failpoint('journal.segment-trimmed');
}

export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Whether there is no room for another file: disk space, quota or open files are used up. That passes; nothing else does. */
export function isOutOfRoom(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || isOutOfFiles(error);
}

/** Whether the medium does not give back what was written. What a client or an operator can change is not among them. */
export function isUnreadable(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'EIO' || code === 'EBADMSG' || code === 'EUCLEAN';
}

/** Whether it is an error of the operating system; anything else that is thrown is a bug. */
export function isSystemError(error: unknown): error is Error {
  return /^E[A-Z0-9]+$/.test(errorCode(error) ?? '');
}

/** Removes a file, which may be missing. */
export function unlinkIfPresent(disk: Disk, directory: string, name: string): void {
  try {
    disk.unlink(joinPath(directory, name));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
