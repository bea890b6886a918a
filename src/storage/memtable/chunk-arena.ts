/**
 * Memory for many small blocks that all go at once, outside of the JavaScript heap.
 *
 * A memtable of objects and strings takes twice the memory of what it holds, and when it is dropped it stays until V8
 * collects the old generation, which V8 puts off the longer the more there is. Here a block is a few bytes of a chunk of
 * 1 MiB, and chunks go back to a pool from which the next memtable takes them: loading keys leaves no garbage.
 *
 * A block is named by its place in units of 8 bytes, counted over all chunks: a number that fits into 31 bits. 0 is
 * nobody's place. A block that is freed is kept for the next one of its size.
 */
import { assert } from '../../shared/assert.ts';

export const unitBytes = 8;
export const chunkBytes = 1024 * 1024;
export const chunkShift = 17;
export const unitMask = 2 ** chunkShift - 1;

/** One piece of memory, seen in three ways. */
export interface Chunk {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly ints: Int32Array;
  readonly doubles: Float64Array;
}

/** Chunks that nobody uses at the moment. */
export class ChunkPool {
  readonly #chunks: Chunk[] = [];

  get size(): number {
    return this.#chunks.length;
  }

  take(): Chunk {
    return this.#chunks.pop() ?? newChunk();
  }

  /** Keeps as many as are given back here: what was needed once will be needed again, and a lull lets go of the rest. */
  giveBack(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) this.#chunks.push(chunk);
    for (const { bytes } of this.#chunks.splice(Math.max(1, chunks.length))) bytes.buffer.transfer(0);
  }
}

export class ChunkArena {
  readonly chunks: Chunk[] = [];
  readonly #pool: ChunkPool;
  /** By size in units. */
  #grantable: (number[] | undefined)[] = [];
  #next = 0;
  #end = 0;
  #used = 0;

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Bytes that have been handed out since the last `clear`, grantable ones included. */
  get used(): number {
    return this.#used;
  }

  /** The place of a block whose content is undefined. */
  allocate(bytes: number): number {
    const units = unitsOf(bytes);
    const grantable = this.#grantable[units]?.pop();
    if (grantable !== undefined) return grantable;
    if (this.#next + units > this.#end) this.#addChunk(units);
    const at = this.#next;
    this.#next += units;
    this.#used += units * unitBytes;
    return at;
  }

  /** @param bytes as it was allocated */
  free(at: number, bytes: number): void {
    (this.#grantable[unitsOf(bytes)] ??= []).push(at);
  }

  /** All blocks are gone, the memory stays. */
  clear(): void {
    if (this.chunks.length > 1) this.#pool.giveBack(this.chunks.splice(1));
    this.#grantable = [];
    this.#next = 1;
    this.#end = this.chunks.length << chunkShift;
    this.#used = 0;
  }

  /** The memory goes back; whoever still reads a block finds no chunk. */
  release(): void {
    this.#pool.giveBack(this.chunks.splice(0));
    this.clear();
  }

  #addChunk(units: number): void {
    assert(units < unitMask, 'a block fits into a chunk');
    this.#next = this.chunks.length << chunkShift;
    this.#end = this.#next + unitMask + 1;
    this.chunks.push(this.#pool.take());
    if (this.#next === 0) this.#next = 1;
  }
}

/** What a block of so many bytes takes. */
export function blockBytes(bytes: number): number {
  return unitsOf(bytes) * unitBytes;
}

/** Above 128 bytes in steps of an eighth, so that values which grow find the blocks of others that have grown. */
function unitsOf(bytes: number): number {
  const units = (bytes + unitBytes - 1) >>> 3;
  const step = units < 16 ? 1 : 1 << (28 - Math.clz32(units));
  return (units + step - 1) & -step;
}

function newChunk(): Chunk {
  const bytes = Buffer.allocUnsafeSlow(chunkBytes);
  return { bytes, ints: new Int32Array(bytes.buffer), doubles: new Float64Array(bytes.buffer) };
}
