/**
 * An entry as LMDB keeps it, integers little-endian:
 *
 *   revision u48 | till u48 | value: JSON text, UTF-8
 *
 * The value is never parsed here. A deadline key has an empty value, the watermark is a bare u48.
 */
import { revision, type Revision } from '../protocol/ids.ts';
import type { Entry } from '../protocol/entries.ts';

export const entryHeaderBytes = 12;

/** Upper bound of the bytes that `writeEntry` needs: a UTF-16 code unit becomes at most three bytes. */
export function entryBytesMax(entry: Entry): number {
  return entryHeaderBytes + entry.value.length * 3;
}

/** @returns the offset behind the entry */
export function writeEntry(buffer: Buffer, at: number, { rev, till, value }: Entry): number {
  const textAt = writeEntryHeader(buffer, at, rev, till);
  return textAt + buffer.write(value, textAt, 'utf8');
}

/** @returns the offset behind it, where the value's text belongs */
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

export function encodeWatermark(watermark: Revision): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntLE(watermark, 0, 6);
  return bytes;
}

export function decodeWatermark(bytes: Buffer): Revision {
  return revision(readUint48(bytes, 0));
}

// LMDB hands out a view of one reused buffer whose `length` is set by hand: read it byte by byte, within `length`.
function readUint48(bytes: Buffer, at: number): number {
  let value = 0;
  for (let index = at + 5; index >= at; index -= 1) value = value * 256 + (bytes[index] ?? 0);
  return value;
}
