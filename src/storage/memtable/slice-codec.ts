/**
 * Slices: a frozen memtable as bytes, a little at a time, on its way to the checkpoint writer.
 *
 *   slice = row…        row = key length u16 | value length u32 | key | value
 *
 * Integers are little-endian, the key is a storage key, the value what LMDB stores (entry-codec.ts; empty for a
 * deadline key, or a count). Value length 0xffffffff: the key is removed. A slice is bounded in rows and bytes, so
 * encoding one takes the shard's thread a fraction of a millisecond. One large value makes one large slice.
 */
import { assert } from '../../shared/assert.ts';
import type { EntryCount } from '../checkpoint-store.ts';
import { encodeCount } from '../entry-codec.ts';
import type { Memtable } from './memtable.ts';
import { countKey, type StorageKey } from '../storage-key.ts';

const rowHeaderBytes = 6;
const removed = 0xffffffff;
const sliceRowsMax = 256;
const sliceBytes = 64 * 1024;

/** Each slice has memory of its own, exactly as large as the slice, to be transferred to another thread. */
export function* encodeSlices(memtable: Memtable): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  const writer = new SliceWriter();
  for (const slot of memtable.slots()) {
    const keyBytes = memtable.keyLength(slot);
    const bytesMax = rowHeaderBytes + keyBytes + memtable.entryBytesMax(slot);
    if (!writer.fits(bytesMax)) yield writer.take();
    const { buffer, at } = writer.reserve(bytesMax);
    const valueAt = memtable.copyKey(slot, buffer, at + rowHeaderBytes);
    const end = memtable.copyEntry(slot, buffer, valueAt);
    writer.finish(keyBytes, end === undefined ? removed : end - valueAt);
  }
  for (const [key, live] of memtable.deadlines.entries()) {
    const bytes = rowHeaderBytes + key.length;
    if (!writer.fits(bytes)) yield writer.take();
    const { buffer, at } = writer.reserve(bytes);
    buffer.write(key, at + rowHeaderBytes, 'latin1');
    writer.finish(key.length, live === undefined ? removed : 0);
  }
  if (!writer.isEmpty) yield writer.take();
}

/** A count of zero removes the stored one. */
export function* encodeCountSlices(counts: Iterable<EntryCount>): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  const writer = new SliceWriter();
  for (const count of counts) {
    const key = countKey(count.account, count.kind, count.part);
    const value = count.entries === 0 ? undefined : encodeCount(count);
    const bytes = rowHeaderBytes + key.length + (value?.length ?? 0);
    if (!writer.fits(bytes)) yield writer.take();
    const { buffer, at } = writer.reserve(bytes);
    const valueAt = at + rowHeaderBytes + buffer.write(key, at + rowHeaderBytes, 'latin1');
    value?.copy(buffer, valueAt);
    writer.finish(key.length, value?.length ?? removed);
  }
  if (!writer.isEmpty) yield writer.take();
}

/** `value` is a view of the slice; undefined: the key is removed. */
export type SliceRow = (key: StorageKey, value: Buffer | undefined) => void;

/** Calls `row` for each row in order. @throws InvariantError if the bytes are not a slice */
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
  #buffer = Buffer.allocUnsafeSlow(sliceBytes);
  #length = 0;
  #rows = 0;

  get isEmpty(): boolean {
    return this.#rows === 0;
  }

  fits(bytes: number): boolean {
    return this.#rows === 0 || (this.#rows < sliceRowsMax && this.#length + bytes <= sliceBytes);
  }

  /** @returns the place of the next row. `finish` must follow. */
  reserve(bytes: number): { buffer: Buffer; at: number } {
    if (this.#length + bytes > this.#buffer.length) {
      assert(this.#rows === 0, 'a row fits into its slice');
      this.#buffer = Buffer.allocUnsafeSlow(bytes);
    }
    return { buffer: this.#buffer, at: this.#length };
  }

  /** Ends the row that was reserved last. @param valueBytes its length, or `removed` */
  finish(keyBytes: number, valueBytes: number): void {
    this.#buffer.writeUInt16LE(keyBytes, this.#length);
    this.#buffer.writeUInt32LE(valueBytes, this.#length + 2);
    this.#length += rowHeaderBytes + keyBytes + (valueBytes === removed ? 0 : valueBytes);
    this.#rows += 1;
  }

  take(): Uint8Array<ArrayBuffer> {
    assert(this.#rows > 0, 'a slice has rows');
    const slice = Buffer.allocUnsafeSlow(this.#length);
    this.#buffer.copy(slice, 0, 0, this.#length);
    this.#length = 0;
    this.#rows = 0;
    return slice;
  }
}
