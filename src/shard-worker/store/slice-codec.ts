/**
 * Slices: a frozen memtable as bytes, a little at a time, on its way to whoever writes the checkpoint.
 *
 *   slice = row…        row = key length u16 | value length u32 | key | value
 *
 * Integers are little-endian, the key is a storage key, the value what LMDB stores (entry-codec.ts; empty for a
 * deadline key). Value length 0xffffffff: the key is removed. A slice is bounded in rows and bytes, so that encoding
 * one keeps the shard's thread for a fraction of a millisecond; one large value makes one large slice.
 */
import { assert } from '../../shared/assert.ts';
import { entryBytesMax, writeEntry } from './entry-codec.ts';
import type { Memtable } from './memtable.ts';
import type { StorageKey } from './storage-key.ts';
import type { Entry } from '../core/entries.ts';

const rowHeaderBytes = 6;
const removed = 0xffffffff;
const sliceRowsMax = 256;
const sliceBytes = 64 * 1024;

/** Each slice has its own memory, to be transferred to another thread. */
export function* encodeSlices(memtable: Memtable): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  const writer = new SliceWriter();
  for (const [key, slot] of memtable.slots.entries()) {
    if (!writer.fits(key, slot.entry)) yield writer.take();
    writer.append(key, slot.entry);
  }
  for (const [key, live] of memtable.deadlines.entries()) {
    if (!writer.fits(key, undefined)) yield writer.take();
    writer.append(key, live);
  }
  if (!writer.isEmpty) yield writer.take();
}

/** `value` undefined: the key is removed. It is a view of the slice. */
export type SliceRow = (key: StorageKey, value: Buffer | undefined) => void;

/** Calls `row` for each row in order. @throws InvariantError when the bytes are no slice. */
export function decodeSlice(slice: Uint8Array, row: SliceRow): void {
  const buffer = Buffer.from(slice.buffer, slice.byteOffset, slice.byteLength);
  for (let at = 0; at < buffer.length; ) {
    assert(at + rowHeaderBytes <= buffer.length, 'a row fits into its slice');
    const keyAt = at + rowHeaderBytes;
    const valueAt = keyAt + buffer.readUInt16LE(at);
    const valueBytes = buffer.readUInt32LE(at + 2);
    const end = valueBytes === removed ? valueAt : valueAt + valueBytes;
    assert(end <= buffer.length, 'a row fits into its slice');
    row(buffer.toString('latin1', keyAt, valueAt), valueBytes === removed ? undefined : buffer.subarray(valueAt, end));
    at = end;
  }
}

class SliceWriter {
  #buffer: Buffer<ArrayBuffer> | undefined;
  #length = 0;
  #rows = 0;

  get isEmpty(): boolean {
    return this.#rows === 0;
  }

  fits(key: StorageKey, entry: Entry | undefined): boolean {
    if (this.#rows === 0) return true;
    return this.#rows < sliceRowsMax && this.#length + rowBytesMax(key, entry) <= sliceBytes;
  }

  /** @param value an entry, true for a deadline key, undefined to remove the key */
  append(key: StorageKey, value: Entry | true | undefined): void {
    const entry = value === true ? undefined : value;
    this.#buffer ??= Buffer.allocUnsafeSlow(Math.max(sliceBytes, rowBytesMax(key, entry)));
    const buffer = this.#buffer;
    const start = this.#length;
    buffer.writeUInt16LE(key.length, start);
    const valueAt = start + rowHeaderBytes + buffer.write(key, start + rowHeaderBytes, 'latin1');
    const end = entry === undefined ? valueAt : writeEntry(buffer, valueAt, entry);
    buffer.writeUInt32LE(value === undefined ? removed : end - valueAt, start + 2);
    this.#length = end;
    this.#rows += 1;
  }

  take(): Uint8Array<ArrayBuffer> {
    assert(this.#buffer !== undefined, 'a slice has rows');
    const slice = this.#buffer.subarray(0, this.#length);
    this.#buffer = undefined;
    this.#length = 0;
    this.#rows = 0;
    return slice;
  }
}

function rowBytesMax(key: StorageKey, entry: Entry | undefined): number {
  return rowHeaderBytes + key.length + (entry === undefined ? 0 : entryBytesMax(entry));
}
