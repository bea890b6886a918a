/**
 * An entry as LMDB keeps it, integers little-endian:
 *
 *   revision u48 | till u48 | value: JSON text, UTF-8
 *
 * The value is never parsed here. A deadline key has an empty value. Meta records:
 *
 *   watermark   revision u48 | 1 u8: the stored counts match the content
 *   count       entries u48 | bytes u48
 *
 * A version without counts writes a watermark that ends after the revision, also over one that had the flag.
 */
import { revision, type Revision } from '../protocol/ids.ts';
import { storedHeaderBytes, type Entry } from '../protocol/entries.ts';

export const entryHeaderBytes = storedHeaderBytes;
const watermarkBytes = 7;
const hasCountsFlag = 1;

/** Upper bound of the bytes that `writeEntry` needs: a UTF-16 code unit becomes at most three bytes. */
export function entryBytesMax(entry: Entry): number {
  return entryHeaderBytes + entry.value.length * 3;
}

/** @returns the offset after the entry */
export function writeEntry(buffer: Buffer, at: number, { rev, till, value }: Entry): number {
  const textAt = writeEntryHeader(buffer, at, rev, till);
  return textAt + buffer.write(value, textAt, 'utf8');
}

/** @returns the offset after it, where the value's text belongs */
export function writeEntryHeader(buffer: Buffer, at: number, rev: number, till: number): number {
  buffer.writeUIntLE(rev, at, 6);
  return buffer.writeUIntLE(till, at + 6, 6);
}

export function readEntry(bytes: Buffer): Entry {
  return {
    rev: revision(readUint48(bytes, 0)),
    till: readUint48(bytes, 6),
    value: bytes.toString('utf8', entryHeaderBytes, bytes.length),
  };
}

/** Of an entry in plain memory; `readEntry` says what lmdb-js returns. */
export function tillOfEntry(bytes: Buffer): number {
  return bytes.readUIntLE(6, 6);
}

export function encodeWatermark(watermark: Revision): Buffer {
  const bytes = Buffer.alloc(watermarkBytes);
  bytes.writeUIntLE(watermark, 0, 6);
  bytes[6] = hasCountsFlag;
  return bytes;
}

export function decodeWatermark(bytes: Buffer): Revision {
  return revision(readUint48(bytes, 0));
}

/** Whether the stored counts match the content. */
export function hasCounts(watermark: Buffer): boolean {
  return watermark.length === watermarkBytes && watermark[6] === hasCountsFlag;
}

export function encodeCount(count: { readonly entries: number; readonly bytes: number }): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUIntLE(count.entries, 0, 6);
  bytes.writeUIntLE(count.bytes, 6, 6);
  return bytes;
}

export function decodeCount(bytes: Buffer): { entries: number; bytes: number } {
  return { entries: readUint48(bytes, 0), bytes: readUint48(bytes, 6) };
}

// lmdb-js returns a view of one reused buffer and sets its `length` by hand: read it byte by byte, within `length`.
function readUint48(bytes: Buffer, at: number): number {
  let value = 0;
  for (let index = at + 5; index >= at; index -= 1) value = value * 256 + (bytes[index] ?? 0);
  return value;
}
