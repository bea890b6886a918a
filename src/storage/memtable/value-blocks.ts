/**
 * Entries as blocks of an arena.
 *
 *   block   rev f64 | till f64 | bytes of the text i32 | bytes of the block i32 | text
 *
 * The text is UTF-8. An ASCII text has as many bytes as characters and needs no decoder; for any other the length is
 * negated. An entry with a large value, or one that is written repeatedly, stays an object with its string; its place
 * is a number below 0. The bytes of such a text are counted on demand: counting them in every write would make writes
 * of hot keys slower by a tenth.
 */
import { assert } from '../../shared/assert.ts';
import { revision } from '../../protocol/ids.ts';
import type { Entry } from '../../protocol/entries.ts';
import { blockBytes, chunkShift, unitMask, type Chunk, type ChunkArena } from './chunk-arena.ts';
import { entryBytesMax, entryHeaderBytes, writeEntry, writeEntryHeader } from '../entry-codec.ts';

const headerBytes = 24;
/** A longer value stays a string: V8's overhead no longer matters. */
const inlineCharsMax = 4096;

export class ValueBlocks {
  readonly #arena: ChunkArena;
  readonly #chunks: readonly Chunk[];
  /** By −1 − place. */
  #objects: (Entry | undefined)[] = [];
  /** By the same index: the bytes of the text that were counted last; ~bytes if the text has changed since. */
  #objectBytes: number[] = [];
  #freeNumbers: number[] = [];

  constructor(arena: ChunkArena) {
    this.#arena = arena;
    this.#chunks = arena.chunks;
  }

  get(place: number): Entry {
    if (place < 0) return this.#objectAt(place);
    const { bytes, ints, doubles } = this.#chunks[place >>> chunkShift]!;
    const unit = place & unitMask;
    const start = unit * 8 + headerBytes;
    const length = ints[unit * 2 + 4]!;
    const value =
      length < 0 ? bytes.toString('utf8', start, start - length) : bytes.toString('latin1', start, start + length);
    return { rev: revision(doubles[unit]!), till: doubles[unit + 1]!, value };
  }

  till(place: number): number {
    if (place < 0) return this.#objectAt(place).till;
    return this.#chunks[place >>> chunkShift]!.doubles[(place & unitMask) + 1]!;
  }

  /** In characters for an object, otherwise in bytes. */
  textLength(place: number): number {
    if (place < 0) return this.#objectAt(place).value.length;
    return Math.abs(this.#chunks[place >>> chunkShift]!.ints[(place & unitMask) * 2 + 4]!);
  }

  /** The bytes of the text that were counted last. */
  countedBytes(place: number): number {
    if (place > 0) return this.textLength(place);
    const bytes = this.#objectBytes[-1 - place]!;
    return bytes < 0 ? ~bytes : bytes;
  }

  /** Notes that an object's text has changed. @returns false if that was noted already */
  markUncounted(place: number): boolean {
    const bytes = this.#objectBytes[-1 - place]!;
    if (bytes < 0) return false;
    this.#objectBytes[-1 - place] = ~bytes;
    return true;
  }

  /** Counts the bytes of the text. @returns the difference to the count before */
  count(place: number): number {
    if (place >= 0) return 0;
    const before = this.countedBytes(place);
    const bytes = Buffer.byteLength(this.#objectAt(place).value);
    this.#objectBytes[-1 - place] = bytes;
    return bytes - before;
  }

  /**
   * Puts an entry in the place of an old one; 0: there is no old one.
   * @param asObject keep it as an object, because it will be read or replaced soon and often
   * @returns the entry's place
   */
  replace(old: number, entry: Entry, asObject: boolean): number {
    const { value } = entry;
    if (asObject || value.length > inlineCharsMax) {
      if (old < 0) {
        this.#objects[-1 - old] = entry;
        return old;
      }
      const counted = old === 0 ? 0 : this.textLength(old);
      this.free(old);
      const number = this.#freeNumbers.pop() ?? this.#objects.length;
      this.#objects[number] = entry;
      this.#objectBytes[number] = counted;
      return -1 - number;
    }
    const bytes = Buffer.byteLength(value, 'utf8');
    const place = this.#placeFor(old, bytes);
    const chunk = this.#chunks[place >>> chunkShift]!;
    const unit = place & unitMask;
    const isAscii = bytes === value.length;
    chunk.bytes.write(value, unit * 8 + headerBytes, isAscii ? 'latin1' : 'utf8');
    chunk.ints[unit * 2 + 4] = isAscii ? bytes : -bytes;
    chunk.doubles[unit] = entry.rev;
    chunk.doubles[unit + 1] = entry.till;
    return place;
  }

  free(place: number): void {
    if (place === 0) return;
    if (place > 0) return this.#arena.free(place, this.#blockBytesOf(place));
    this.#objects[-1 - place] = undefined;
    this.#freeNumbers.push(-1 - place);
  }

  /** To be called after the arena was cleared. */
  clear(): void {
    if (this.#objects.length === 0) return;
    this.#objects = [];
    this.#objectBytes = [];
    this.#freeNumbers = [];
  }

  /** Upper bound of the bytes that `copy` writes. */
  storedBytesMax(place: number): number {
    return place < 0 ? entryBytesMax(this.#objectAt(place)) : entryHeaderBytes + this.textLength(place);
  }

  /** Writes the entry as it is stored (entry-codec.ts). @returns the offset after it */
  copy(place: number, target: Buffer, at: number): number {
    if (place < 0) return writeEntry(target, at, this.#objectAt(place));
    const { bytes, doubles } = this.#chunks[place >>> chunkShift]!;
    const unit = place & unitMask;
    const start = unit * 8 + headerBytes;
    const textAt = writeEntryHeader(target, at, doubles[unit]!, doubles[unit + 1]!);
    return textAt + bytes.copy(target, textAt, start, start + this.textLength(place));
  }

  /** @returns the old block if the text fits into it; otherwise frees it and allocates a new one */
  #placeFor(old: number, textBytes: number): number {
    const needed = headerBytes + textBytes;
    if (old > 0 && this.#blockBytesOf(old) >= needed) return old;
    this.free(old);
    const place = this.#arena.allocate(needed);
    this.#chunks[place >>> chunkShift]!.ints[(place & unitMask) * 2 + 5] = blockBytes(needed);
    return place;
  }

  #blockBytesOf(place: number): number {
    return this.#chunks[place >>> chunkShift]!.ints[(place & unitMask) * 2 + 5]!;
  }

  #objectAt(place: number): Entry {
    const entry = this.#objects[-1 - place];
    assert(entry !== undefined, 'an entry is where its slot says');
    return entry;
  }
}
