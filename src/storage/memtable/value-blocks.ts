/**
 * Entries as blocks of an arena.
 *
 *   block   rev f64 | till f64 | bytes of the text i32 | bytes of the block i32 | text
 *
 * The text is UTF-8. One that is all ASCII has as many bytes as characters and needs no decoder; any other has its
 * length negated. An entry with a large value, or one that is written again and again, stays an object with its string;
 * its place is a number below 0. How many bytes such a text has is not known before somebody asks: to find it out with
 * every write would make writes of hot keys slower by a tenth.
 */
import { assert } from '../../shared/assert.ts';
import { revision } from '../../protocol/ids.ts';
import type { Entry } from '../../protocol/entries.ts';
import { blockBytes, chunkShift, unitMask, type Chunk, type ChunkArena } from './chunk-arena.ts';
import { entryBytesMax, entryHeaderBytes, writeEntry, writeEntryHeader } from '../entry-codec.ts';

const headerBytes = 24;
/** A value of more characters stays a string: what V8 adds to it no longer matters. */
const inlineCharsMax = 4096;

export class ValueBlocks {
  readonly #arena: ChunkArena;
  readonly #chunks: readonly Chunk[];
  /** By −1 − place. */
  #objects: (Entry | undefined)[] = [];
  /** The bytes of its text that have been counted; ~bytes when the text has changed since. */
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

  /** In characters, or in bytes where it is not all ASCII. */
  textLength(place: number): number {
    if (place < 0) return this.#objectAt(place).value.length;
    return Math.abs(this.#chunks[place >>> chunkShift]!.ints[(place & unitMask) * 2 + 4]!);
  }

  /** The bytes of the text, as far as they have been counted. */
  countedBytes(place: number): number {
    if (place > 0) return this.textLength(place);
    const bytes = this.#objectBytes[-1 - place]!;
    return bytes < 0 ? ~bytes : bytes;
  }

  /** The object's text has changed. @returns false when it was known already that its bytes must be counted */
  markUncounted(place: number): boolean {
    const bytes = this.#objectBytes[-1 - place]!;
    if (bytes < 0) return false;
    this.#objectBytes[-1 - place] = ~bytes;
    return true;
  }

  /** Counts the bytes of the text. @returns how many there are more than before */
  count(place: number): number {
    if (place >= 0) return 0;
    const before = this.countedBytes(place);
    const bytes = Buffer.byteLength(this.#objectAt(place).value);
    this.#objectBytes[-1 - place] = bytes;
    return bytes - before;
  }

  /**
   * Puts an entry in the place of an old one, 0 = there is none.
   * @param asObject it will be asked for, or replaced, soon and often
   * @returns where it is now
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
    const place = this.#roomFor(old, bytes);
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

  /** After the arena was cleared. */
  clear(): void {
    this.#objects = [];
    this.#objectBytes = [];
    this.#freeNumbers = [];
  }

  /** Upper bound of the bytes that `copy` writes. */
  storedBytesMax(place: number): number {
    return place < 0 ? entryBytesMax(this.#objectAt(place)) : entryHeaderBytes + this.textLength(place);
  }

  /** Writes the entry as it is stored (entry-codec.ts). @returns the offset behind it */
  copy(place: number, target: Buffer, at: number): number {
    if (place < 0) return writeEntry(target, at, this.#objectAt(place));
    const { bytes, doubles } = this.#chunks[place >>> chunkShift]!;
    const unit = place & unitMask;
    const start = unit * 8 + headerBytes;
    const textAt = writeEntryHeader(target, at, doubles[unit]!, doubles[unit + 1]!);
    return textAt + bytes.copy(target, textAt, start, start + this.textLength(place));
  }

  /** The old block when the text fits into it, otherwise a new one instead. */
  #roomFor(old: number, textBytes: number): number {
    const wanted = headerBytes + textBytes;
    if (old > 0 && this.#blockBytesOf(old) >= wanted) return old;
    this.free(old);
    const place = this.#arena.allocate(wanted);
    this.#chunks[place >>> chunkShift]!.ints[(place & unitMask) * 2 + 5] = blockBytes(wanted);
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
